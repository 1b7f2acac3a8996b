"""Elastic Security: a detection rule for each service, over ECS fields, in the lines that Kibana's import reads.

The queries are Lucene's, which, unlike KQL, has regular expressions. Names are compared as they are stored: in lower case.
Reference: https://www.elastic.co/docs/solutions/security/detect-and-alert/manage-detection-rules
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from sentinel.signatures.exports.entry import Entry
from sentinel.signatures.exports.ids import stable_uuid
from sentinel.signatures.exports.request import escaped, host_regex, whole_path
from sentinel.signatures.exports.target import About, Target
from sentinel.signatures.service import Url

FIELDS = ("dns.question.name", "tls.client.server_name", "url.domain", "destination.domain")
INDICES = ["logs-*", "filebeat-*", "packetbeat-*"]
RISK = {"info": 10, "low": 21, "medium": 47, "high": 73, "critical": 99}
"""Elastic's own numbers for its four severities."""


def write(entries: Sequence[Entry], about: About) -> dict[str, str]:
    """Return one JSON object a line. The rules are off until somebody turns them on."""
    services = [list(some) for _id, some in groupby(entries, key=lambda entry: entry.service.id)]
    return {"sentinel.ndjson": "".join(json.dumps(_rule(some, about)) + "\n" for some in services)}


def _rule(entries: Sequence[Entry], about: About) -> dict[str, Any]:
    service = entries[0].service
    return {
        "rule_id": str(stable_uuid("elastic", service.id)),
        "name": f"Face search: {service.name}",
        "description": f"{service.name}, a service of the category {service.category}.",
        "note": "\n\n".join(about.lines),
        "type": "query",
        "language": "lucene",
        "query": " OR ".join(_queries(entries)),
        "index": INDICES,
        "severity": "low" if service.severity == "info" else service.severity,
        "risk_score": RISK[service.severity],
        "references": [one for one in service.references if one.startswith("https://")],
        "tags": ["Sentinel", service.category],
        "author": ["Sentinel"],
        "license": "Apache-2.0",
        "from": "now-6m",
        "interval": "5m",
        "enabled": False,
        "version": 1,
    }


def _queries(entries: Sequence[Entry]) -> Iterator[str]:
    names = [term for entry in entries if entry.kind in ("domain", "host", "host_pattern") for term in _terms(entry)]
    if names:
        yield from (f"{field}:({' OR '.join(names)})" for field in FIELDS)
    senders = [entry.name for entry in entries if entry.kind == "mail_from"]
    if senders:
        yield f"email.from.address:({' OR '.join(f'*@{name} OR *@*.{name}' for name in senders)})"
    for entry in entries:
        if entry.kind == "url":
            yield f"({' AND '.join(_request(entry.url))})"


def _terms(entry: Entry) -> Iterator[str]:
    if entry.kind == "host_pattern":
        yield _regex(host_regex(entry.name))
    else:
        yield f'"{entry.name}"'
        if entry.kind == "domain":
            yield f"*.{entry.name}"


def _request(url: Url) -> Iterator[str]:
    if url.host:
        yield f'url.domain:"{url.host}"'
    elif url.host_pattern != "*":
        yield f"url.domain:{_regex(host_regex(url.host_pattern or ''))}"
    if url.methods:
        yield f"http.request.method:({' OR '.join(sorted(url.methods))})"
    yield f"url.path:{_regex(whole_path(url) or '')}"
    for one in url.query:
        value = "[^&]+" if one.endswith("=") else ""
        yield f"url.query:{_regex(f'(.*&)?{escaped(one)}{value}(&.*)?')}"


def _regex(regex: str) -> str:
    """Return a regular expression as it stands in a query: `"#@&<>~` and the slash mean something in Lucene's syntax."""
    return "/" + re.sub(r'(?<!\\)(["#@&<>~/])', r"\\\1", regex) + "/"


def _refuses(entry: Entry) -> str | None:
    if entry.kind == "url" and whole_path(entry.url) is None:
        return "the expression of its path cannot be said in Lucene's"
    return None


TARGET = Target(
    title="Elastic Security detection rules",
    reference="https://www.elastic.co/docs/solutions/security/detect-and-alert/manage-detection-rules",
    write=write,
    leaves={"app": "no traffic shows an app's id"},
    refuses=_refuses,
)
