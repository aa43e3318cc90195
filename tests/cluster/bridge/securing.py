"""A cluster with the security plugin, its users, and a bridge in front of it."""

import base64
import json
import os
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sidecar.bridge.app import serving
from sidecar.config import BridgeSettings
from sidecar.jsontext import Json
from sidecar.models.catalogue import shipped_versions
from sidecar.opensearch.assembly import PLUGINS, SECURITY
from sidecar.opensearch.client import OpenSearchCluster
from sidecar.opensearch.instance import Security
from sidecar.rpc.client import EmbedderClient
from sidecar.templates.apply import apply
from sidecar.templates.compiler import compile_template
from tests.conftest import RUN_DIRECTORY
from tests.support.between import bridge_settings
from tests.support.certificates import Authority
from tests.support.http import Answer, Http, http, ndjson
from tests.support.nodes import node_of_its_own
from tests.support.waiting import run_to_its_end

SECURED = pytest.mark.xdist_group("secured node")

INDEX = "papers"  # one shard: a search of it takes the companion along
SPREAD = "papers-spread"  # two shards
DOCUMENTS = {
    "1": {"title": "Felines purr", "abstract": "A kitten makes this sound when it is content", "team": "open"},
    "2": {"title": "Dogs bark", "abstract": "A hound makes noise at strangers", "team": "secret"},
    "3": {"title": "Interest rates", "abstract": "The central bank raised them", "team": "open"},
    "4": {"title": "Cat allergies", "abstract": "Sneezing near pets, a noise", "team": "secret"},
}
OPEN = {"1", "3"}
BASE = {"properties": {**{name: {"type": "text"} for name in ("title", "abstract")}, "team": {"type": "keyword"}}}
QUERY = {"match": {"title": "dogs and kitty noises"}}
NEURAL = {"neural": {"embedding": {"query_text": "kitty noises", "k": 10}}}
AGGREGATIONS = {"teams": {"terms": {"field": "team"}}}

# What a client of the bridge needs to be searched for by meaning, beside `read`: to see how an index is bound.
READ = ["read", "indices:admin/get"]
SEVERAL = ["cluster_composite_ops_ro"]  # _msearch
WRITE = ["indices:data/write/*", "indices:admin/mapping/put"]


def role(actions: list[str], *, cluster: list[str] = SEVERAL, patterns: tuple[str, ...] = ("papers*",), **limits: Any) -> dict:  # fmt: skip
    permissions = {"index_patterns": list(patterns), "allowed_actions": actions, **limits}
    return {"cluster_permissions": cluster, "index_permissions": [permissions]}


# Each of them is a user with the role of that name.
ROLES = {
    "reader": role(READ),
    "of-a-team": role(READ, dls=json.dumps({"term": {"team": "open"}})),
    "of-a-drawn-team": role(READ, patterns=("drawn-*",), dls=json.dumps({"terms": {"team": ["red", "green"]}})),
    "without-abstract": role(READ, fls=["~abstract"]),
    "without-vector": role(READ, fls=["~embedding"]),
    "with-masked-abstract": role(READ, masked_fields=["abstract"]),
    "with-masked-abstract-without-vector": role(READ, masked_fields=["abstract"], fls=["~embedding"]),
    "without-msearch": role(READ, cluster=[]),
    "without-companion": role(READ, patterns=(INDEX, SPREAD)),
    "without-metadata": role(["read"]),
    "writer": role([*WRITE, "indices:admin/get"], cluster=["cluster_composite_ops"]),
    "writer-of-a-team": role(
        [*READ, *WRITE], cluster=["cluster_composite_ops"], dls=json.dumps({"term": {"team": "open"}})
    ),
    "writer-without-bulk": role([*READ, *WRITE], cluster=[]),
    "indexer": role([*READ, "indices:data/write/index", "indices:data/write/bulk*"], cluster=["cluster_composite_ops"]),
    "writer-of-an-alias": role([*READ, *WRITE], cluster=["cluster_composite_ops"], patterns=("papers-alias*",)),
    "writer-without-metadata": role(WRITE, cluster=["cluster_composite_ops"]),
    "stranger": role(READ, patterns=("elsewhere",)),
}
PASSWORD = f"Aa-{uuid.uuid4().hex}"


@dataclass(frozen=True, slots=True)
class Impersonation(Security):
    """A secured node on which the user `boss` may act for others."""

    @property
    def settings(self) -> Mapping[str, Json]:
        may = {"plugins.security.authcz.rest_impersonation_user.boss": ["of-a-team"]}
        return {**super(Impersonation, self).settings, **may}


@dataclass(frozen=True, slots=True)
class Secured:
    """A cluster whose users are those of ROLES."""

    url: str
    authority: Path

    def client(self) -> OpenSearchCluster:
        """The administrator's."""
        return OpenSearchCluster(self.url, user="admin", password="admin", tls_ca=str(self.authority))


@pytest.fixture(scope="session")
def secured(system: dict[str, str]) -> Iterator[Secured]:
    """A secured node, with two bound indices that are only read."""
    folder = Path(os.environ[RUN_DIRECTORY], "secured")
    folder.mkdir()
    authority = Authority.make(folder, "authority")
    certificate, key = authority.sign(folder, "node")
    security = Impersonation(authority.file, certificate, key)
    with node_of_its_own(PLUGINS | {SECURITY}, security) as url:
        made = Secured(url, authority.file)
        run_to_its_end(fill(made, system["embedder"]))
        yield made


async def fill(secured: Secured, embedder: str) -> None:
    async with (
        secured.client() as cluster,
        EmbedderClient(embedder) as client,
        serving(settings(secured), client) as at,
        http(f"http://{at.address}") as (bridge,),
    ):
        users = {name: {"password": PASSWORD, "opendistro_security_roles": [name]} for name in ROLES}
        users["boss"] = {"password": PASSWORD, "opendistro_security_roles": ["reader", "writer"]}
        for kind, entries in (("roles", ROLES), ("internalusers", users)):
            patch = [{"op": "add", "path": f"/{name}", "value": value} for name, value in entries.items()]
            reply = await cluster.call("PATCH", f"/_plugins/_security/api/{kind}", body=patch)
            assert reply.ok, reply.body
        # The plugin's demonstration gives every user rights of its own.
        assert (await cluster.call("DELETE", "/_plugins/_security/api/rolesmapping/own_index")).ok
        version = shipped_versions()["all-minilm-l6-v2@1"]
        await apply(
            cluster,
            compile_template("papers", version, BASE, index_patterns=("papers*",), source=("title", "abstract")),
        )
        for index, shards in ((INDEX, 1), (SPREAD, 2)):
            body = {"settings": {"number_of_shards": shards}}
            assert (await cluster.call("PUT", f"/{index}", body=body)).ok
            lines = [line for i, source in DOCUMENTS.items() for line in ({"index": {"_id": i}}, source)]
            written = await bridge("POST", f"/{index}/_bulk?refresh=true", ndjson(*lines), **as_user("admin", "admin"))
            assert written.json["errors"] is False
            assert written.ingested[1] == 0


def settings(secured: Secured, **options: object) -> BridgeSettings:
    return bridge_settings(secured.url, upstream_tls_ca=str(secured.authority), **options)


def as_user(name: str, password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


@dataclass(frozen=True, slots=True)
class Way:
    """One bridge in front of the secured node, asked by any user; and the node itself."""

    bridge: Http
    direct: OpenSearchCluster

    async def search(self, user: str, body: object, path: str = f"/{INDEX}/_search") -> Answer:
        return await self.bridge("POST", path, body, **as_user(user))

    async def alone(self, user: str, body: object, path: str = f"/{INDEX}/_search") -> tuple[int, Any]:
        """The cluster's own answer."""
        reply = await self.direct.call("POST", path, body=body, headers=as_user(user))
        return reply.status, reply.body


@pytest.fixture
async def way(secured: Secured, system: dict[str, str]) -> AsyncIterator[Way]:
    async with (
        OpenSearchCluster(secured.url, tls_ca=str(secured.authority)) as direct,
        EmbedderClient(system["embedder"]) as embedder,
        serving(settings(secured), embedder) as at,
        http(f"http://{at.address}") as (bridge,),
    ):
        yield Way(bridge, direct)


def note(answer: Answer) -> str:
    return answer.headers["X-Sidecar-Search"]


def ids(answer: dict) -> set[str]:
    return {hit["_id"] for hit in answer["hits"]["hits"]}
