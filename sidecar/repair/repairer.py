"""The repair of one page of documents: judge, embed, write, look again.

It is to be read from top to bottom.
"""

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias
from urllib.parse import quote

from sidecar.embedded_texts import EmbeddedTexts, texts_by_space
from sidecar.errors import ClusterRefused, EmbedderMisbehaved, ModelNotFound, SpaceMismatch
from sidecar.model import IndexBinding
from sidecar.ports import Embedder, Embeddings, ServedModel, Space, embed_passages
from sidecar.repair.documents import FieldFault, Kind, StoredDocument, faults
from sidecar.repair.patience import Patience
from sidecar.repair.report import IndexReport, Outcome
from sidecar.repair.scan import Scan
from sidecar.repair.targets import Target
from sidecar.repair.write_repairs import Write, WriteResult, bulks, plan_write, read_result

TextKey: TypeAlias = tuple[str, str, str, str]  # index, document, field, hash of the text
FailedTexts: TypeAlias = MutableMapping[TextKey, str]  # why there is no vector of it

_LOOKS: Final = 3  # at a document that changes whenever we write to it. Then it is left to its writer.
_EMBED_TIMEOUT_S: Final = 300.0
_TOO_MANY_REQUESTS: Final = 429
_HARMLESS: Final = "text"


@dataclass(slots=True)
class Repairer:
    """One pass over one index."""

    scan: Scan
    embedder: Embedder
    patience: Patience
    target: Target
    report: IndexReport
    failed: FailedTexts
    is_served: bool = False  # whether the embedder has been seen to have what the index is bound to

    async def repair(self, page: Sequence[StoredDocument], *, counts_known: bool) -> None:
        """Judge and repair the documents of a page. Those that change meanwhile are looked at again."""
        wrong = [found for document in page if (found := self._unknown(document, counts_known=counts_known))]
        if wrong and not self.is_served:  # before the first write; an index without faults needs no embedder
            _refuse_unserved(self.target.bound, await self.patience.call("embedder", self.embedder.models))
            self.is_served = True
        for _ in range(_LOOKS):
            if not wrong:
                return
            embedded = await self._embed([fault for found in wrong for fault in found])
            changed: list[Write] = []
            writes = [plan_write(found, embedded) for found in wrong]
            for part in bulks(one for one in writes if one.lines):
                changed += await self._write(part)
            for one in writes:
                if not one.lines:
                    self._settle(one, WriteResult.WRITTEN, "")
            wrong = await self._look_again(changed)
        for found in wrong:
            self._count(found, Outcome.BUSY)

    def _unknown(self, document: StoredDocument, *, counts_known: bool) -> tuple[FieldFault, ...]:
        """The faults of a document, without the pending texts that are known to fail."""
        unknown = []
        for fault in faults(document, self.target.bound):
            reason = self.failed.get(_key(fault)) if fault.kind is Kind.PENDING else None
            if reason is None:
                unknown.append(fault)
            elif counts_known:
                self.report.add(fault, Outcome.FAILED, reason)
        return tuple(unknown)

    async def _embed(self, found: Sequence[FieldFault]) -> EmbeddedTexts:
        embedded = EmbeddedTexts()
        for space, texts in texts_by_space(fault for fault in found if fault.text).items():
            try:
                embedded.add(space, texts, await self._ask_embedder(space, texts))
            except EmbedderMisbehaved:
                await self._ask_embedder(space, (_HARMLESS,))  # raises if the fault is not in these texts
                await self._isolate(space, texts, embedded)
        return embedded

    async def _isolate(self, space: Space, texts: Sequence[str], embedded: EmbeddedTexts) -> None:
        """Find the texts to which the embedder gives no usable answer, by halves, and embed the others."""
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

    async def _write(self, writes: Sequence[Write]) -> list[Write]:
        """Send the writes, again where the cluster takes none now. The answer is those whose document has changed."""
        left, changed = list(writes), list[Write]()

        async def attempt() -> None:
            nonlocal left
            body = b"".join(one.lines for one in left)
            answer = await self.scan.ask("POST", f"/{quote(self.target.index, safe='')}/_bulk", body=body)
            results = [(one, *read_result(item)) for one, item in zip(left, answer["items"], strict=True)]
            left = [one for one, result, _ in results if result is WriteResult.NOT_NOW]
            for one, result, reason in results:
                if result is WriteResult.CONFLICT:
                    changed.append(one)
                elif result is not WriteResult.NOT_NOW:
                    self._settle(one, result, reason)
            if left:
                why = next(reason for _, result, reason in results if result is WriteResult.NOT_NOW)
                raise ClusterRefused("_bulk", _TOO_MANY_REQUESTS, why)

        await self.patience.call("cluster", attempt)
        return changed

    async def _look_again(self, changed: Sequence[Write]) -> list[tuple[FieldFault, ...]]:
        """The faults that documents still have after a change. Those that are gone are counted."""
        if not changed:
            return []
        documents = [one.document for one in changed]
        now = {
            (document.id, document.routing): faults(document, self.target.bound)
            for document in await self.scan.again(self.target.index, self.target.bound, documents)
        }
        for one in changed:
            still = {fault.binding.field for fault in now.get((one.document.id, one.document.routing), ())}
            self._count([fault for fault in one.faults if fault.binding.field not in still], Outcome.GONE)
        return [found for found in now.values() if found]

    def _settle(self, one: Write, result: WriteResult, reason: str) -> None:
        """Count the outcome of a write, and remember the texts that failed."""
        for fault in one.faults:
            why = reason if result is WriteResult.FAILED else one.refused.get(fault.binding.field)
            if result is WriteResult.GONE:
                self.report.add(fault, Outcome.GONE)
            elif why is None:
                self.report.add(fault, Outcome.REPAIRED)
            else:
                self.failed[_key(fault)] = why
                self.report.add(fault, Outcome.FAILED, why)

    def _count(self, found: Sequence[FieldFault], outcome: Outcome) -> None:
        for fault in found:
            self.report.add(fault, outcome)


def _refuse_unserved(bound: IndexBinding, served: Sequence[ServedModel]) -> None:
    """Raise ModelNotFound or SpaceMismatch if a vector of the index could not be replaced by one of its own space."""
    spaces = {model.version.id: model.version.space for model in served}
    for binding in bound.fields.values():
        if binding.model not in spaces:
            raise ModelNotFound(binding.model, tuple(spaces))
        if spaces[binding.model] != binding.space:
            raise SpaceMismatch(binding.model, binding.space, spaces[binding.model])


def _key(fault: FieldFault) -> TextKey:
    return fault.document.index, fault.document.id, fault.binding.field, fault.hash
