"""What is read out of other people's indicators: what can be taken over, and what cannot, with the reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sentinel.observation import ip_address
from sentinel.signatures.lint import VERY_COMMON


@dataclass(frozen=True, slots=True)
class Described:
    """A service that the indicators themselves name; one whose export this is."""

    id: str
    name: str
    category: str
    severity: str
    confidence: str = "reported"
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """An indicator as a service file says it, and where it stood."""

    where: str
    indicator: Mapping[str, Any]
    service: Described | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """What is not taken over, where it stood, and why."""

    where: str
    why: str


PARAMETER = r"[A-Za-z0-9_.-]+=[A-Za-z0-9_.-]*"


def of_url(where: str, text: str, note: str | None = None, service: Described | None = None) -> Taken | Refused:
    """Return the request that a URL names: its host, its whole path and each parameter of its query."""
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        host = parts.hostname
    except ValueError as error:
        return Refused(where, f"no URL: {error}")
    if not host or parts.scheme not in ("", "http", "https"):
        return Refused(where, "no URL of a web site")
    if ip_address(host):
        return Refused(where, "an address instead of a name: whose it is changes")
    url: dict[str, Any] = {"host": host, "path": parts.path or "/"}
    if parts.query:
        given = parts.query.split("&")
        if not all(re.fullmatch(PARAMETER, one) for one in given):
            return Refused(where, "its query is more than parameters of letters and digits")
        url["query"] = given
    if host.removeprefix("www.") in VERY_COMMON:
        url["shared"] = True
    return Taken(where, noted({"url": url, "stage": "visit"}, note), service)


def noted(indicator: dict[str, Any], note: str | None) -> dict[str, Any]:
    """Return an indicator with a note, shortened to a line."""
    text = " ".join((note or "").split())
    return {**indicator, "note": text[:200]} if text else indicator
