"""The one HTTP client of all sinks: time-outs, proxy, trust, client certificates, and where it does not go.

Redirects are never followed: address and credentials are for one receiver. Link-local addresses and those where clouds hand out
credentials (169.254.169.254 and its like) are refused, also when a name leads there, unless the settings allow them. The
connection itself is checked as well, since a name may lead elsewhere a moment later. Nothing is taken from the environment: a
proxy or a .netrc that the settings do not name must not see the address.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import httpx2
from pydantic import Field, model_validator

from sentinel.schemas.text import VERSION, clean
from sentinel.sinks.kind import SinkSettings
from sentinel.sinks.outcome import Delivered, Document, Outcome, Rejected, Retry, one_by_one
from sentinel.sinks.secret import UnreadableSecretError, forget_printed, has_secret, secret_of

CONNECT_SECS = 5.0
TOTAL_SECS = 20.0

LONGEST_WAIT = 3600.0
"""Seconds of a `Retry-After` that are obeyed: a receiver's wrong clock must not silence it for days."""

SAID = 200
"""Bytes of an answer that are worth keeping."""

READ = 64 * 1024
"""Bytes of an answer that are read, where nothing else is asked for."""

METADATA = frozenset(
    map(
        ipaddress.ip_address,
        # Amazon over IPv6, Alibaba, Azure's host, Oracle, Google over IPv6; all others are at the link-local 169.254.169.254.
        ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd20:ce::254"),
    )
)
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class WebSettings(SinkSettings):
    """What all sinks that speak HTTP can be told."""

    OPTIONAL_SECRETS: ClassVar[tuple[str, ...]] = ("proxy",)

    ca_file: Path | None = Field(None, description="Certificates (PEM) to trust; left out, the machine's.")
    cert_file: Path | None = Field(None, description="Our own certificate (PEM), for receivers that ask for one.")
    key_file: Path | None = Field(None, description="The key of cert_file (PEM); left out, it is in cert_file.")
    proxy: str | None = Field(None, description="An http:// or https:// proxy; left out, none. With a password: proxy_file.")
    proxy_file: Path | None = Field(None, description="A file that holds the proxy's address.")
    proxy_env: str | None = Field(None, description="An environment variable that holds it, in place of proxy_file.")
    proxy_command: tuple[str, ...] | None = Field(None, min_length=1, description="A command that prints it.")
    allow_link_local: bool = Field(
        False, description="Whether link-local addresses, and those where clouds hand out credentials, may be sent to."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("'key_file' is given without 'cert_file'")
        if self.proxy is not None and has_secret(self, "proxy"):
            raise ValueError("'proxy' is given twice")
        return self


S = TypeVar("S", bound=WebSettings)


class UnreachedError(Exception):
    """No answer came. The message says why, without the address's path and without what was sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver answered. `said` is fit for logs: status and a line of the body, without what is secret."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    said: str

    @property
    def taken(self) -> bool:
        """Whether the status is one of success."""
        return 200 <= self.status < 300


class Web:
    """A client for one sink, whose connection is kept. Certificates are read anew after every failure."""

    def __init__(self, settings: WebSettings) -> None:
        """Connect to nothing yet."""
        self._settings = settings
        self._http: httpx2.Client | None = None

    def close(self) -> None:
        """Let go of the connection."""
        if self._http is not None:
            self._http.close()
        self._http = None

    def post(self, address: str, content: bytes, headers: Mapping[str, str], **more: Any) -> Answer:
        """Post *content*; see `request`."""
        return self.request("POST", address, content, headers, **more)

    def request(
        self,
        method: str,
        address: str,
        content: bytes,
        headers: Mapping[str, str],
        *,
        read: int = READ,
        hide: Sequence[str] = (),
    ) -> Answer:
        """Ask once, and return the answer with at most *read* bytes of its body.

        Args:
            method: Of the request.
            address: An http:// or https:// URL. Its path and query are taken as secret, and are in no message.
            content: The body.
            headers: Beside those that every request has.
            read: How many bytes of an answer are wanted; no more are read.
            hide: What else must not be in a message.

        Raises:
            UnreachedError: No answer came.
        """
        url = _url(address)
        hidden = [*hide, str(url), url.raw_path.decode(errors="replace"), url.path, url.query.decode(errors="replace")]
        try:
            if not self._settings.allow_link_local:
                _refuse([url.host])
            self._http = self._http or self._client()
            return _asked(self._http, self._settings, method, url, content, headers, read, hidden)
        except _RefusedAddressError as error:
            self.close()
            raise UnreachedError(f"{url.host}: {error}") from None
        except UnreadableSecretError as error:
            raise UnreachedError(str(error)) from None
        except httpx2.TransportError as error:
            self.close()
            raise UnreachedError(f"{url.host}: {type(error).__name__} {redacted(str(error), hidden)}".rstrip()) from None
        except (
            httpx2.HTTPError,
            httpx2.StreamError,
            httpx2.InvalidURL,
            UnicodeError,
        ) as error:  # such messages quote the address
            self.close()
            raise UnreachedError(f"{url.host}: {type(error).__name__}") from None
        except OSError as error:  # ssl.SSLError is one: a certificate's file that cannot be used
            self.close()
            raise UnreachedError(f"{self._settings.cert_file or self._settings.ca_file}: {error.strerror or error}") from None

    def _client(self) -> httpx2.Client:
        settings = self._settings
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.cert_file is not None:
            # Without a password function OpenSSL would ask the terminal for one.
            context.load_cert_chain(settings.cert_file, settings.key_file, password=lambda: b"")
        return httpx2.Client(
            timeout=httpx2.Timeout(TOTAL_SECS, connect=CONNECT_SECS),
            verify=context,
            proxy=self._proxy(),
            follow_redirects=False,
            trust_env=False,
            headers={"user-agent": f"Sentinel/{VERSION}", "accept-encoding": "identity"},
        )

    def _proxy(self) -> str | None:
        given = secret_of(self._settings, "proxy") if has_secret(self._settings, "proxy") else self._settings.proxy
        if given is not None and not given.startswith(("http://", "https://")):
            raise UnreadableSecretError("the proxy's address is no http:// or https:// URL")
        return given


class Poster(Generic[S]):
    """A sink that posts documents one after the other; after one that has to wait, the others are not tried."""

    def __init__(self, settings: S) -> None:
        """Connect to nothing yet."""
        self._settings = settings
        self._web = Web(settings)

    def send(self, documents: Sequence[Document]) -> list[Outcome]:
        """Post *documents*."""
        return one_by_one(documents, self._deliver)

    def close(self) -> None:
        """Let go of the connection."""
        self._web.close()

    def _deliver(self, document: Document) -> Outcome:
        try:
            return self._posted(document)
        except (UnreachedError, UnreadableSecretError) as error:
            return Retry(str(error))

    def _posted(self, document: Document) -> Outcome:
        """Post one document.

        Raises:
            UnreachedError: No answer came.
            UnreadableSecretError: The address or a key cannot be read.
        """
        raise NotImplementedError


def _asked(
    http: httpx2.Client,
    settings: WebSettings,
    method: str,
    url: httpx2.URL,
    content: bytes,
    headers: Mapping[str, str],
    read: int,
    hidden: Sequence[str],
) -> Answer:
    deadline = time.monotonic() + TOTAL_SECS
    extensions = {} if settings.allow_link_local else {"trace": _watched}
    with http.stream(method, url, content=content, headers=dict(headers), extensions=extensions) as answer:
        body = b""
        for part in answer.iter_raw():
            body += part[:read]
            if len(body) >= read or time.monotonic() > deadline:
                break
        text = body[: SAID * 4].decode(errors="replace")
        said = f"HTTP {answer.status_code}" + (f": {redacted(text, hidden)}" if text.strip() else "")
        return Answer(answer.status_code, answer.headers, body[:read], said)


class _RefusedAddressError(Exception):
    """The receiver's address is one where alerts have no business."""


def _watched(event: str, info: Mapping[str, Any]) -> None:
    """Look at a connection before it is made, and at whom it was made to before anything is sent."""
    if event == "connection.connect_tcp.started":
        with contextlib.suppress(OSError):  # then the connection itself fails, and says so
            _refuse([str(found[4][0]) for found in socket.getaddrinfo(info["host"], info["port"], type=socket.SOCK_STREAM)])
    elif event == "connection.connect_tcp.complete":
        stream = info["return_value"]
        try:
            _refuse([str(stream.get_extra_info("server_addr")[0])])
        except _RefusedAddressError:
            stream.close()
            raise


def _refuse(addresses: Sequence[str]) -> None:
    for address in addresses:
        if off_limits(address):
            raise _RefusedAddressError(f"{address} is link-local or hands out a cloud's credentials; see allow_link_local")


def off_limits(address: str) -> bool:
    """Return whether an IP address, in whichever form it is written, is link-local or a cloud's metadata service."""
    try:
        ip = ipaddress.ip_address(address.strip("[]").partition("%")[0])
    except ValueError:  # a name, or a form such as "0xa9fea9fe" that is looked at as it is resolved
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in NAT64 else None)
        ip = inner or ip
    return ip.is_link_local or ip in METADATA


def redacted(text: str, hidden: Sequence[str]) -> str:
    """Return what a receiver or the library said, one printable line without what is secret in it."""
    for secret in hidden:
        text = text.replace(secret, "…") if len(secret) > 1 else text
    return clean(text)[:SAID]


def retry_after(header: str | None, now: datetime) -> float:
    """Return the seconds that a `Retry-After` asks for, which is seconds or a date, at most an hour; 0 when it asks nothing."""
    text = (header or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return min(float(text), LONGEST_WAIT)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return 0
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return min(max((date - now).total_seconds(), 0), LONGEST_WAIT)


def judged(answer: Answer, rejected: frozenset[int] = frozenset()) -> Outcome:
    """Return what an answer means for its document: statuses of *rejected* are its own fault, all else time or people mend.

    A redirect, a refused credential or a wrong path is the same for every alert: none is given up for it.
    """
    if answer.taken:
        return Delivered(answer.said)
    if 300 <= answer.status < 400:
        return Retry(f"HTTP {answer.status}: a redirect, which is not followed: give the address that it leads to")
    if answer.status in (401, 403):
        forget_printed()
    if answer.status in rejected:
        return Rejected(answer.said)
    return Retry(answer.said, after_secs=retry_after(answer.headers.get("retry-after"), datetime.now(UTC)))


def in_parts(
    documents: Sequence[Document], most_bytes: int, deliver: Callable[[Sequence[Document]], list[Outcome]]
) -> list[Outcome]:
    """Deliver *documents* in requests of at most *most_bytes*. After a request of which nothing arrived, no other is made."""
    outcomes: list[Outcome] = []
    for part in _parts(documents, most_bytes):
        if outcomes and isinstance(outcomes[-1], Retry):
            outcomes += [replace(outcomes[-1], tried=False)] * len(part)
        else:
            outcomes += deliver(part)
    return outcomes


def _parts(documents: Sequence[Document], most_bytes: int) -> Iterator[list[Document]]:
    part: list[Document] = []
    size = 0
    for document in documents:
        if part and size + len(document.body) > most_bytes:
            yield part
            part, size = [], 0
        part.append(document)
        size += len(document.body)
    if part:
        yield part


def halved(documents: Sequence[Document], deliver: Callable[[Sequence[Document]], list[Outcome]]) -> list[Outcome]:
    """Deliver *documents*, two at least, in two halves: so that one that is refused does not take its neighbours along."""
    middle = len(documents) // 2
    first = deliver(documents[:middle])
    if isinstance(first[-1], Retry):
        return first + [replace(first[-1], tried=False)] * (len(documents) - middle)
    return first + deliver(documents[middle:])


def _url(text: str) -> httpx2.URL:
    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, ValueError, UnicodeError):
        url = None
    if url is None or url.scheme not in ("http", "https") or not url.host:
        raise UnreachedError("the receiver's address is no http:// or https:// URL") from None
    return url
