"""A state machine of writes through a bridge on a real node; after each step the index holds what a model says."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, ClassVar, TypeVar

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from sidecar.bridge.app import serving
from sidecar.config import BridgeSettings
from sidecar.model import Binding, ModelVersion, Provenance
from sidecar.opensearch.client import OpenSearchCluster
from sidecar.provenance import provenance_hash, source_text
from sidecar.templates.apply import apply
from sidecar.templates.compiler import compile_template
from tests.support.embedders import HashEmbedder
from tests.support.http import Http, http, ndjson
from tests.support.writing import DELETE, NOTHING, PUT, Expected, Held, Model, Operation, Source, Worth

T = TypeVar("T")

_STEP_TIMEOUT_S = 120
_SOURCES = ("title", "info.abstract", "sections.text")
_MAPPING = {
    "properties": {
        "title": {"type": "text"},
        "info": {"properties": {"abstract": {"type": "text"}, "lang": {"type": "keyword"}}},
        "sections": {"type": "nested", "properties": {"text": {"type": "text"}, "page": {"type": "integer"}}},
        "year": {"type": "integer"},
    }
}

# Few values, so that a text is often the same again; "Cats\npurr" is what two sources make together.
_WORDS = st.sampled_from(["Cats", "purr", "Zoë 🦉", "Cats\npurr", "", None])
_SECTION = st.fixed_dictionaries({}, optional={"text": _WORDS, "page": st.integers(1, 2)})
_PARTS_BESIDE: dict[str, st.SearchStrategy[Any]] = {
    "info": st.one_of(
        st.fixed_dictionaries({}, optional={"abstract": _WORDS, "lang": st.sampled_from(["en", "de"])}), st.none()
    ),
    "info.abstract": _WORDS,
    "sections": st.one_of(st.lists(_SECTION, max_size=2), _SECTION),
    "year": st.integers(1, 2),
}
_TITLES = st.one_of(_WORDS, st.sampled_from([["Owls", "hoot"], ["Cats"], [], 7]))
_DOCUMENTS = st.fixed_dictionaries({}, optional={"title": _TITLES, **_PARTS_BESIDE})
_OWN_VECTORS = st.tuples(  # documents that have a text; and the component that is not zero
    st.fixed_dictionaries({"title": st.sampled_from(["Cats", "Bees"])}, optional=_PARTS_BESIDE), st.integers(0, 1)
)
_IDS = st.sampled_from("123")
_WAYS = st.sampled_from(["single", "bulk", "bulk", "later", "later"])  # later: in one bulk with what follows


@dataclass(frozen=True)
class Bound:
    """What the machine writes to. `wait` runs a coroutine on the loop of the bridge, for a machine has none."""

    bridge: Http
    direct: Http
    index: str
    binding: Binding
    hashes: HashEmbedder
    wait: Callable[[Awaitable[T]], T]


class Writes(RuleBasedStateMachine):
    """Every shape of write, alone or in a bulk with others. Each run has ids of its own: an index each takes too long."""

    at: ClassVar[Bound]
    runs: ClassVar[Any]

    def __init__(self) -> None:
        super().__init__()
        self._prefix = f"{next(self.runs)}-"
        self._model = Model(self.at.binding)
        self._later: list[Operation] = []

    @rule(identifier=_IDS, document=_DOCUMENTS, way=_WAYS)
    def index(self, identifier: str, document: Source, way: str) -> None:
        self._do("index", identifier, document, way)

    @rule(identifier=_IDS, document=_DOCUMENTS, way=_WAYS)
    def create(self, identifier: str, document: Source, way: str) -> None:
        self._do("create", identifier, document, way)

    @rule(identifier=_IDS, way=_WAYS)
    def delete(self, identifier: str, way: str) -> None:
        self._do("delete", identifier, None, way)

    @rule(identifier=_IDS, document=_DOCUMENTS, way=_WAYS, options=st.sampled_from([{}, {}, {"detect_noop": False}]))
    def update(self, identifier: str, document: Source, way: str, options: Source) -> None:
        self._do("update", identifier, {"doc": document, **options}, way)

    @rule(identifier=_IDS, field=st.sampled_from(["title", "info", "sections"]), way=_WAYS)
    def take_a_text_out(self, identifier: str, field: str, way: str) -> None:
        self._do("update", identifier, {"doc": {field: None}}, way)

    @rule(identifier=_IDS, way=_WAYS)
    def update_with_what_is_there(self, identifier: str, way: str) -> None:
        held = self._model.held.get(self._prefix + identifier)
        self._do("update", identifier, {"doc": {} if held is None else held.source}, way)

    @rule(identifier=_IDS, document=_DOCUMENTS, way=_WAYS)
    def doc_as_upsert(self, identifier: str, document: Source, way: str) -> None:
        self._do("update", identifier, {"doc": document, "doc_as_upsert": True}, way)

    @rule(identifier=_IDS, document=_DOCUMENTS, upsert=_DOCUMENTS, way=_WAYS)
    def upsert(self, identifier: str, document: Source, upsert: Source, way: str) -> None:
        self._do("update", identifier, {"doc": document, "upsert": upsert}, way)

    @rule(
        identifier=_IDS,
        source=st.sampled_from([PUT, PUT, PUT, NOTHING, DELETE]),
        document=_DOCUMENTS,
        upsert=st.one_of(st.none(), _DOCUMENTS),
        way=_WAYS,
    )
    def script(self, identifier: str, source: str, document: Source, upsert: Source | None, way: str) -> None:
        created = {} if upsert is None else {"upsert": upsert}
        self._do("update", identifier, {"script": {"source": source, "params": document}, **created}, way)

    @rule(identifier=_IDS, document=_DOCUMENTS, upsert=_DOCUMENTS, way=_WAYS)
    def scripted_upsert(self, identifier: str, document: Source, upsert: Source, way: str) -> None:
        script = {"source": PUT, "params": document}
        self._do("update", identifier, {"script": script, "upsert": upsert, "scripted_upsert": True}, way)

    @rule(identifier=_IDS, own=_OWN_VECTORS, action=st.sampled_from(["index", "update", "upsert"]), way=_WAYS)
    def own_vector(self, identifier: str, own: tuple[Source, int], action: str, way: str) -> None:
        binding, (document, position) = self.at.binding, own
        whole = document | {binding.field: [float(n == position) for n in range(binding.dimension)]}
        if action == "index":
            self._do("index", identifier, whole, way)
        else:
            self._do("update", identifier, {"doc": whole, "doc_as_upsert": action == "upsert"}, way)

    def teardown(self) -> None:
        if self._later:
            self._send_later()

    def _do(self, action: str, identifier: str, body: Source | None, way: str) -> None:
        operation = Operation(action, self._prefix + identifier, body)
        if way == "later":
            self._later.append(operation)
        elif way == "bulk":
            self._later.append(operation)
            self._send_later()
        else:
            if self._later:
                self._send_later()
            self._check([operation], [self.at.wait(self._send(operation))])

    def _send_later(self) -> None:
        operations, self._later = self._later, []
        self._check(operations, self.at.wait(self._send_all(operations)))

    def _check(self, operations: list[Operation], answers: list[Source]) -> None:
        for operation, answer in zip(operations, answers, strict=True):
            expected = self._model.play(operation)
            assert Expected(answer["status"], answer.get("result")) == expected, (operation, answer)
            if "_version" in answer:
                assert answer["_version"] == self._model.versions[operation.id], (operation, answer)
        self.at.wait(self._check_what_is_stored())

    async def _send(self, operation: Operation) -> Source:
        name = operation.action.replace("index", "doc").replace("delete", "doc")
        method = "DELETE" if operation.action == "delete" else "POST"
        answer = await self.at.bridge(method, f"/{self.at.index}/_{name}/{operation.id}", operation.body)
        return {**answer.json, "status": answer.status}

    async def _send_all(self, operations: list[Operation]) -> list[Source]:
        lines = [
            line
            for operation in operations
            for line in ({operation.action: {"_id": operation.id}}, operation.body)
            if line is not None
        ]
        answer = await self.at.bridge("POST", f"/{self.at.index}/_bulk", ndjson(*lines))
        assert answer.status == 200, answer.body
        return [outcome for item in answer.json["items"] for outcome in item.values()]

    async def _check_what_is_stored(self) -> None:
        wanted = {"docs": [{"_id": f"{self._prefix}{identifier}", "_source": True} for identifier in "123"]}
        answer = await self.at.direct("POST", f"/{self.at.index}/_mget", wanted)
        found = {document["_id"]: document for document in answer.json["docs"] if document["found"]}
        assert {key: self._held(document["_source"]) for key, document in found.items()} == self._model.held
        for key, document in found.items():
            assert document["_version"] == self._model.versions[key]

    def _held(self, source: Source) -> Held:
        """What is stored, as the model says it. Fails if a vector is not what its provenance says."""
        binding = self.at.binding
        text = source_text(source, binding)
        vector, meta = source.pop(binding.field, None), source.pop(binding.meta_field, None)
        if not text:
            assert vector is None
            assert meta is None
            return Held(source, Worth.NONE)
        worth = Worth(Provenance.state_in(meta) or "")
        if worth is Worth.PENDING:
            assert vector is None
            return Held(source, worth)
        assert meta["hash"] == provenance_hash(text, binding), text
        if worth is Worth.CLIENT:
            return Held(source, worth, tuple(vector))
        assert np.allclose(vector, self.at.hashes.vector(text), atol=1e-6), text
        return Held(source, worth)


async def run_machine(node_url: str, version: ModelVersion, name: str, *, runs: int, steps: int) -> None:
    """So many runs of so many writes, always the same, in an index of their own behind a bridge of their own."""
    hashes = HashEmbedder(version)
    template = compile_template(name, version, _MAPPING, index_patterns=(f"{name}-*",), source=_SOURCES)
    bridge_settings = BridgeSettings(listen="127.0.0.1:0", admin_listen="127.0.0.1:0", upstream=node_url)
    async with (
        OpenSearchCluster(node_url) as cluster,
        serving(bridge_settings, hashes) as at,
        http(f"http://{at.address}", node_url) as (bridge, direct),
    ):
        await apply(cluster, template)
        index = f"{name}-machine"
        assert (await direct("PUT", f"/{index}")).status == 200
        loop = asyncio.get_running_loop()

        def wait(work: Awaitable[T]) -> T:
            return asyncio.run_coroutine_threadsafe(work, loop).result(_STEP_TIMEOUT_S)

        bound = Bound(bridge, direct, index, template.binding.fields["embedding"], hashes, wait)
        machine = type("Machine", (Writes,), {"at": bound, "runs": count()})
        try:
            await asyncio.to_thread(run_state_machine_as_test, machine, settings=_settings(runs, steps))
        finally:
            await direct("DELETE", f"/{index}")


def _settings(runs: int, steps: int) -> settings:
    return settings(
        max_examples=runs,
        stateful_step_count=steps,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
