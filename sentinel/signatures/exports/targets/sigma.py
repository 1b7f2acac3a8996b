"""Sigma rules, three a service: DNS queries, proxy logs, and connections of hosts (Sysmon's event 3).

Reference: https://sigmahq.io/sigma-specification/specification/sigma-rules-specification.html (2.1.0)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import yaml

from sentinel.signatures.exports.entry import Entry
from sentinel.signatures.exports.ids import random_looking_uuid
from sentinel.signatures.exports.request import path_regex
from sentinel.signatures.exports.target import About, Target
from sentinel.signatures.service import Url

SOURCES = {
    "dns": ("query", "A name was looked up; whether it was visited, the rule cannot tell."),
    "proxy": ("cs-host", "A request or tunnel went through the proxy."),
    "network_connection": ("DestinationHostname", "A process connected to the host."),
}
"""Categories of log sources, each with its field for the host name and what a hit says."""

LEVELS = {"info": "informational"}
STATUS = {"confirmed": "stable", "reported": "test", "inferred": "experimental"}


def write(entries: Sequence[Entry], about: About) -> dict[str, str]:
    """Return one file of several documents."""
    documents = []
    for _id, some in groupby(entries, key=lambda entry: entry.service.id):
        found = list(some)
        documents += [rule for category in SOURCES if (rule := _rule(found, category))]
    text = yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True, explicit_start=True, width=120)
    return {"sentinel.sigma.yml": about.comment("#") + text}


def _rule(entries: Sequence[Entry], category: str) -> dict[str, Any] | None:
    service = entries[0].service
    field, says = SOURCES[category]
    detection: dict[str, Any] = {}
    terms = list(_names(entries, field, detection))
    if category == "proxy":
        urls = (entry.url for entry in entries if entry.kind == "url")
        terms += [_request(url, number, detection) for number, url in enumerate(urls, 1)]
    if not terms:
        return None
    return {
        "title": f"Face Search By {service.name} ({category})",
        "id": str(random_looking_uuid("sigma", service.id, category)),
        "status": STATUS[service.described.get("confidence", "confirmed")],
        "description": f"{service.name}, a service of the category {service.category}. {says}",
        "references": list(service.references),
        "author": "Sentinel",
        "logsource": {"category": category},
        "detection": {**detection, "condition": " or ".join(terms)},
        "falsepositives": ["Links that a browser resolves without being followed", "A sanctioned use of the service"],
        "level": LEVELS.get(service.severity, service.severity),
    }


def _names(entries: Sequence[Entry], field: str, detection: dict[str, Any]) -> Iterator[str]:
    """Yield the terms of the condition that are about names; what they name goes into *detection*."""
    domains = [entry.name for entry in entries if entry.kind == "domain"]
    exact = sorted({entry.name for entry in entries if entry.kind in ("domain", "host")})
    patterns = [entry.name for entry in entries if entry.kind == "host_pattern"]
    if exact:
        detection["name"] = {field: exact}
        yield "name"
    if domains:
        detection["below"] = {f"{field}|endswith": [f".{name}" for name in domains]}
        yield "below"
    if patterns:
        detection["pattern"], detection["deeper"] = {field: patterns}, {field: list(map(_deeper, patterns))}
        yield "(pattern and not deeper)"


def _deeper(pattern: str) -> str:
    """Return what a pattern takes along in Sigma, whose star crosses dots, and does not mean."""
    return pattern.replace("*", "*.*")


def _request(url: Url, number: int, detection: dict[str, Any]) -> str:
    """Return the term for a request; its parts go into *detection*. Wildcards do what expressions do in few backends only."""
    name = f"request_{number}"
    parts: dict[str, Any] = {"cs-host": url.host or url.host_pattern}
    term = [name]
    if url.host_pattern == "*":
        del parts["cs-host"]
    elif url.host_pattern:
        detection[f"deeper_{number}"] = {"cs-host": _deeper(url.host_pattern)}
        term.append(f"not deeper_{number}")
    if url.methods:
        parts["cs-method"] = sorted(url.methods)
    for nth, one in enumerate(url.query, 1):
        given = f"query_{number}_{nth}"
        if one.endswith("="):
            detection[given] = {"c-uri-query": [f"{one}*", f"*&{one}*"]}
            detection[f"{given}_empty"] = {"c-uri-query": [one, f"{one}&*", f"*&{one}", f"*&{one}&*"]}
            term += [given, f"not {given}_empty"]
        else:
            detection[given] = {"c-uri-query": [one, f"{one}&*", f"*&{one}", f"*&{one}&*"]}
            term.append(given)
    if url.path is None:
        detection[name] = {**parts, "c-uri-stem|re": path_regex(url, end="$")}
    elif url.shared:
        below = {**parts, "c-uri-stem|startswith": _literal(f"{url.path}/")}
        detection[name] = [{**parts, "c-uri-stem": _literal(url.path)}, below]
    else:
        detection[name] = {**parts, "c-uri-stem": _literal(url.path)}
    return f"({' and '.join(term)})"


def _literal(text: str) -> str:
    """Return *text* with what Sigma takes for wildcards escaped."""
    return text.replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?")


def _refuses(entry: Entry) -> str | None:
    if entry.kind == "url" and path_regex(entry.url, end="$") is None:
        return "the expression of its path cannot be said in every backend"
    return None


TARGET = Target(
    title="Sigma rules",
    reference="https://sigmahq.io/sigma-specification/specification/sigma-rules-specification.html",
    write=write,
    leaves={"mail_from": "Sigma names no log source for mail", "app": "no traffic shows an app's id"},
    refuses=_refuses,
)
