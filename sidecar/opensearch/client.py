"""The cluster over the wire: `ports.Cluster` with opensearch-py.

The connection class of opensearch-py is used without its transport, which would retry, hides the status of a success
and turns the answer to HEAD into a boolean. Its exceptions are translated here and nowhere else.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from opensearchpy import AIOHttpConnection
from opensearchpy.exceptions import ConnectionError as NoConnection
from opensearchpy.exceptions import ConnectionTimeout

from sidecar import jsontext
from sidecar.config import ClusterSettings
from sidecar.errors import ClusterUnreachable
from sidecar.jsontext import Json
from sidecar.ports import Reply
from sidecar.telemetry import logger

_EVERY_STATUS: Final = range(100, 600)
_MAX_CONNECTIONS: Final = 100
_TIMEOUT_S: Final = 30.0
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class OpenSearchCluster:
    """`ports.Cluster` at one address. Close it, or use it as an async context manager."""

    def __init__(
        self, url: str, *, user: str = "", password: str = "", tls_ca: str = "", timeout_s: float = _TIMEOUT_S
    ) -> None:
        """`tls_ca` names a PEM file with the authorities of the cluster's certificate; "": those of opensearch-py."""
        parts = urlsplit(url)
        self.url = url
        self._timeout_s = timeout_s
        self._connection = _Connection(
            host=parts.hostname or "",
            port=parts.port or _DEFAULT_PORTS[parts.scheme],
            url_prefix=parts.path.rstrip("/"),
            use_ssl=parts.scheme == "https",
            http_auth=(user, password) if user else None,
            ca_certs=tls_ca or None,
            maxsize=_MAX_CONNECTIONS,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._connection.close()

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: "Json | bytes" = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request, never twice. The caller's headers win over ours. `bytes` are sent unchanged, as NDJSON.

        An error status is a reply. Raises ClusterUnreachable if there is no answer.
        """
        try:
            status, answered, text = await self._connection.perform_request(
                method,
                path,
                params=params,
                body=body if body is None or isinstance(body, bytes) else jsontext.dumps(body),
                headers=_merge_headers(body, headers),
                timeout=self._timeout_s,
                ignore=_EVERY_STATUS,
            )
        except ConnectionTimeout as error:
            raise ClusterUnreachable(self.url, f"nothing came within {self._timeout_s:g} s") from error
        except NoConnection as error:
            raise ClusterUnreachable(self.url, str(error.info)) from error
        return Reply(status, parse_body(text, answered.get("content-type", "")))


def parse_body(text: str, content_type: str) -> Json:
    """The body of an answer: parsed if it is JSON, None if it is empty, else as text (`_cat`, a proxy's error page)."""
    if not text:
        return None
    if "json" in content_type:
        try:
            return jsontext.loads(text.encode("utf-8", "surrogatepass"))
        except ValueError:
            return text
    return text


def _merge_headers(body: "Json | bytes", given: Mapping[str, str] | None) -> dict[str, str]:
    """Our content type, then the caller's headers: in lower case, as opensearch-py writes those that they replace."""
    headers = {"content-type": "application/x-ndjson" if isinstance(body, bytes) else "application/json"}
    headers.update({name.lower(): value for name, value in (given or {}).items()})
    return headers


class _Connection(AIOHttpConnection):
    """A quiet connection: our exception reports an error, once. The server's warnings are logged."""

    def log_request_fail(self, *_args: Any, **_kwargs: Any) -> None:
        """Log nothing, where opensearch-py would log a traceback."""

    def _raise_warnings(self, warning_headers: Any) -> None:
        for header in warning_headers:
            logger(__name__).info("the cluster warns", action="cluster_warning", warning=header)


def connect(access: ClusterSettings, url: str = "", *, timeout_s: float = _TIMEOUT_S) -> OpenSearchCluster:
    """A client of the cluster in the settings, or of another address with the same user."""
    return OpenSearchCluster(
        url or access.url,
        user=access.user,
        password=access.password.get_secret_value(),
        tls_ca=access.tls_ca,
        timeout_s=timeout_s,
    )
