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
from sentinel.signatures.exports.request import host_regex, path_regex, query_regexes
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
    selections = dict(_selections(entries, field, requests=category == "proxy"))
    if not selections:
        return None
    return {
        "title": f"Face Search By {service.name} ({category})",
        "id": str(random_looking_uuid("sigma", service.id, category)),
        "status": STATUS[service.described.get("confidence", "confirmed")],
        "description": f"{service.name}, a service of the category {service.category}. {says}",
        "references": list(service.references),
        "author": "Sentinel",
        "logsource": {"category": category},
        "detection": {**selections, "condition": "1 of selection_*"},
        "falsepositives": ["Links that a browser resolves without being followed", "A sanctioned use of the service"],
        "level": LEVELS.get(service.severity, service.severity),
    }


def _selections(
    entries: Sequence[Entry], field: str, *, requests: bool
) -> Iterator[tuple[str, dict[str, Any] | list[dict[str, Any]]]]:
    domains = [entry.name for entry in entries if entry.kind == "domain"]
    exact = sorted({entry.name for entry in entries if entry.kind in ("domain", "host")})
    patterns = [entry.name for entry in entries if entry.kind == "host_pattern"]
    if exact:
        yield "selection_name", {field: exact}
    if domains:
        yield "selection_below", {f"{field}|endswith": [f".{name}" for name in domains]}
    if patterns:
        yield "selection_pattern", {f"{field}|re": [f"^{host_regex(name)}$" for name in patterns]}
    if requests:
        urls = [entry.url for entry in entries if entry.kind == "url"]
        for number, url in enumerate(urls, 1):
            yield f"selection_request_{number}", _request(url)


def _request(url: Url) -> dict[str, Any] | list[dict[str, Any]]:
    found: dict[str, Any] = {}
    if url.host:
        found["cs-host"] = url.host
    elif url.host_pattern != "*":
        found["cs-host|re"] = f"^{host_regex(url.host_pattern or '')}$"
    if url.methods:
        found["cs-method"] = sorted(url.methods)
    if url.query:
        found["c-uri-query|re|all"] = [f"(^|&){regex.removeprefix('[?&]')}" for regex in query_regexes(url)]
    if url.path is None:
        return {**found, "c-uri-stem|re": path_regex(url, end="$")}
    itself = {**found, "c-uri-stem": _literal(url.path)}
    return [itself, {**found, "c-uri-stem|startswith": _literal(f"{url.path}/")}] if url.shared else itself


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
