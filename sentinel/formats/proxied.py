"""What the access logs of several web proxies share: what was asked for, by whom, when it began, what was decided."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import unquote

from sentinel.formats.pattern import Pattern
from sentinel.observation import Action, host_of, ip_address

_URL = Pattern(r"[A-Za-z][A-Za-z0-9+.-]*://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?", re.ASCII)
_PORT = Pattern(r":(\d{1,5})\Z", re.ASCII)
_NO_SITE = ("cache_object:", "error:")


class Target(NamedTuple):
    """The site that was asked for. A tunnel has no path."""

    name: str
    port: int | None
    path: str | None
    query: str | None


def target(method: str, url: str) -> Target | None:
    """Return what was asked for, None when it is no site: a broken request, the cache manager, a path without a host."""
    if method == "CONNECT" and "/" not in url:
        name, port = host_of(url), _PORT.search(url)
        return Target(name, int(port[1]) if port else None, None, None) if name else None
    found = _URL.match(url)
    if found is None or url.startswith(_NO_SITE):
        return None
    name = host_of(found["authority"])
    if name is None:
        return None
    port = _PORT.search(found["authority"])
    scheme = url.partition(":")[0].lower()
    default = 443 if scheme == "https" else 80 if scheme == "http" else None
    at = int(port[1]) if port else default
    return Target(name, at, None, None) if method == "CONNECT" else Target(name, at, found["path"] or "/", found["query"])


def started(ended: datetime, took_ms: int | None) -> tuple[datetime, float | None]:
    """Return start and seconds; without a start of its own a transaction is given one in 1970, or after its end."""
    if took_ms is None or not 0 <= took_ms < ended.timestamp() * 1000:
        return ended, None
    return ended - timedelta(milliseconds=took_ms), took_ms / 1000


def squid_user(written: str | None) -> str | None:
    """Undo what Squid does to names: bytes beyond ASCII as %xx, the backslash behind a domain doubled."""
    if written is None or written == "-":
        return None
    return unquote(written).replace("\\\\", "\\") if "%" in written or "\\" in written else written


def squid_server(how: str, address: str) -> str | None:
    """Return the address that was connected to, unless it is another cache's."""
    return None if "PARENT" in how or "SIBLING" in how else ip_address(address)


def squid_action(result: str, status: int) -> Action | None:
    """Return what Squid did, by its result code and the HTTP status."""
    if status == 407:
        return "challenged"
    if "DENIED" in result:
        return "blocked"
    # NONE with an error: Squid answered by itself, and by no rule of policy.
    return "failed" if result.startswith("NONE") and not 200 <= status < 400 else "allowed"


def tunnel_action(status: int | None) -> Action | None:
    """Return what a proxy did that was asked for a tunnel: its status is the proxy's own, whatever it is."""
    if status is None:
        return None
    if 200 <= status < 300:
        return "allowed"
    return {407: "challenged", 403: "blocked"}.get(status, "failed")  # type: ignore[return-value]
