"""Mends the documents of a page, to be read from top to bottom: judge, embed, write, look again."""

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias
from urllib.parse import quote

from sidecar.embedded_texts import EmbeddedTexts, texts_by_space
from sidecar.errors import ClusterRefused, EmbedderMisbehaved, ModelNotFound, SpaceMismatch
from sidecar.model import IndexBinding
from sidecar.ports import Embedder, Embeddings, ServedModel, Space, embed_passages
from sidecar.repair.documents import Finding, Kind, StoredDocument, findings
from sidecar.repair.patience import Patience
from sidecar.repair.report import IndexReport, Outcome
from sidecar.repair.scan import Scan
from sidecar.repair.targets import Target
from sidecar.repair.write_repairs import Mend, Result, bulks, mend, read_result

Key: TypeAlias = tuple[str, str, str, str]  # index, document, field, hash of the text
Failed: TypeAlias = MutableMapping[Key, str]  # why it could not be mended

_LOOKS: Final = 3  # at a document that changes whenever we write to it; then it is left to whoever does that
_EMBED_TIMEOUT_S: Final = 300.0
_TOO_MANY_REQUESTS: Final = 429
_HARMLESS: Final = "text"


@dataclass(slots=True)
class Mending:
    """One pass over one index."""

    scan: Scan
    embedder: Embedder
    patience: Patience
    target: Target
    report: IndexReport
    failed: Failed
    is_served: bool = False  # whether the embedder has been seen to have what the index is bound to

    async def mend(self, page: Sequence[StoredDocument], *, tells_known: bool) -> None:
        """Judge and mend the documents of a page; those that change meanwhile are looked at again."""
        wrong = [found for document in page if (found := self._unknown(document, tells_known=tells_known))]
        if wrong and not self.is_served:  # before the first write; an index without faults needs no embedder
            _refuse_unserved(self.target.bound, await self.patience.call("embedder", self.embedder.models))
            self.is_served = True
        for _ in range(_LOOKS):
            if not wrong:
                return
            embedded = await self._embed([finding for found in wrong for finding in found])
            changed: list[Mend] = []
            mends = [mend(found, embedded) for found in wrong]
            for part in bulks(one for one in mends if one.lines):
                changed += await self._write(part)
            for one in mends:
                if not one.lines:
                    self._settle(one, Result.WRITTEN, "")
            wrong = await self._look_again(changed)
        for found in wrong:
            self._count(found, Outcome.BUSY)

    def _unknown(self, document: StoredDocument, *, tells_known: bool) -> tuple[Finding, ...]:
        """What is wrong with a document, without the texts that wait and are known to fail."""
        unknown = []
        for finding in findings(document, self.target.bound):
            reason = self.failed.get(_key(finding)) if finding.kind is Kind.PENDING else None
            if reason is None:
                unknown.append(finding)
            elif tells_known:
                self.report.add(finding, Outcome.FAILED, reason)
        return tuple(unknown)

    async def _embed(self, found: Sequence[Finding]) -> EmbeddedTexts:
        embedded = EmbeddedTexts()
        for space, texts in texts_by_space(finding for finding in found if finding.text).items():
            try:
                embedded.add(space, texts, await self._ask_embedder(space, texts))
            except EmbedderMisbehaved:
                await self._ask_embedder(space, (_HARMLESS,))  # raises, if it is not these texts that are to blame
                await self._isolate(space, texts, embedded)
        return embedded

    async def _isolate(self, space: Space, texts: Sequence[str], embedded: EmbeddedTexts) -> None:
        """By halves: the vectors of all texts but those for which the embedder gives none that can be used."""
        try:
            embedded.add(space, texts, await self._ask_embedder(space, texts))
        except EmbedderMisbehaved as error:
            if len(texts) == 1:
                embedded.refuse(space, texts[0], str(error))
                return
            middle = len(texts) // 2
            await self._isolate(space, texts[:middle], embedded)
            await self._isolate(space, texts[middle:], embedded)

    async def _ask_embedder(self, space: Space, texts: Sequence[str]) -> Embeddings:
        ask = partial(embed_passages, self.embedder, texts, space, timeout_s=_EMBED_TIMEOUT_S)
        return await self.patience.call("embedder", ask)

    async def _write(self, mends: Sequence[Mend]) -> list[Mend]:
        """Send the writes, again and again where the cluster takes none now; those whose document has changed."""
        left, changed = list(mends), list[Mend]()

        async def attempt() -> None:
            nonlocal left
            body = b"".join(one.lines for one in left)
            answer = await self.scan.ask("POST", f"/{quote(self.target.index, safe='')}/_bulk", body=body)
            results = [(one, *read_result(item)) for one, item in zip(left, answer["items"], strict=True)]
            left = [one for one, result, _ in results if result is Result.NOT_NOW]
            for one, result, reason in results:
                if result is Result.CONFLICT:
                    changed.append(one)
                elif result is not Result.NOT_NOW:
                    self._settle(one, result, reason)
            if left:
                why = next(reason for _, result, reason in results if result is Result.NOT_NOW)
                raise ClusterRefused("_bulk", _TOO_MANY_REQUESTS, why)

        await self.patience.call("cluster", attempt)
        return changed

    async def _look_again(self, changed: Sequence[Mend]) -> list[tuple[Finding, ...]]:
        """What is still wrong with documents that have changed; what is not any more is settled."""
        if not changed:
            return []
        documents = [one.document for one in changed]
        now = {
            (document.id, document.routing): findings(document, self.target.bound)
            for document in await self.scan.again(self.target.index, self.target.bound, documents)
        }
        for one in changed:
            still = {finding.binding.field for finding in now.get((one.document.id, one.document.routing), ())}
            self._count([finding for finding in one.findings if finding.binding.field not in still], Outcome.GONE)
        return [found for found in now.values() if found]

    def _settle(self, one: Mend, result: Result, reason: str) -> None:
        """Count what became of a write, and remember what failed."""
        for finding in one.findings:
            why = reason if result is Result.FAILED else one.refused.get(finding.binding.field)
            if result is Result.GONE:
                self.report.add(finding, Outcome.GONE)
            elif why is None:
                self.report.add(finding, Outcome.MENDED)
            else:
                self.failed[_key(finding)] = why
                self.report.add(finding, Outcome.FAILED, why)

    def _count(self, found: Sequence[Finding], outcome: Outcome) -> None:
        for finding in found:
            self.report.add(finding, outcome)


def _refuse_unserved(bound: IndexBinding, served: Sequence[ServedModel]) -> None:
    """Raise ModelNotFound or SpaceMismatch if a vector of the index could not be replaced by one of its own space."""
    spaces = {model.version.id: model.version.space for model in served}
    for binding in bound.fields.values():
        if binding.model not in spaces:
            raise ModelNotFound(binding.model, tuple(spaces))
        if spaces[binding.model] != binding.space:
            raise SpaceMismatch(binding.model, binding.space, spaces[binding.model])


def _key(finding: Finding) -> Key:
    return finding.document.index, finding.document.id, finding.binding.field, finding.hash
