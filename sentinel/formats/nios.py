"""Infoblox NIOS, whose DNS service is BIND with a record of its own for each answer (logging category "responses").

    24-Sep-2020 09:46:27.329 client 10.0.0.5#61568: UDP: query: a.example IN A response: NOERROR + a.example. 60 IN A 192.0.2.1;

Reference: https://docs.infoblox.com/space/nios90/280761190/Using+a+Syslog+Server
"""

from __future__ import annotations

import re
from typing import Any

from sentinel.formats.names import written_name
from sentinel.formats.pattern import Pattern
from sentinel.observation import ip_address

_ANSWER = Pattern(
    r"(?: view [^:]{1,255}:)? (?:UDP|TCP): query: (?P<name>\S{1,1024}) [A-Z]{2,6}\d{0,5} (?P<type>[A-Z][A-Z0-9-]*) "
    r"response: (?P<code>[A-Z0-9]{2,12}) [+A-Z-]{1,12}(?: (?P<records>.*))?\Z",
    re.ASCII,
)
_RECORD = Pattern(r"\S{1,1024} \d{1,10} [A-Z]{2,6} (?P<type>[A-Z][A-Z0-9-]*) (?P<data>\S{1,1024})(?: .*)?\Z", re.ASCII)
_MOST = 64
"""Records of an answer that are looked at."""


def answered(behind_client: str) -> dict[str, Any] | None:
    """Return name, type and answers of an answer's record, from what stands behind the client; None for any other record.

    Only addresses and aliases are told: names in other records are data, and nobody asked for them.
    """
    line = _ANSWER.match(behind_client)
    if line is None:
        return None
    found = [_RECORD.match(one.strip()) for one in (line["records"] or "").split(";")[:_MOST]]
    aliases = [written_name(one["data"]) for one in found if one and one["type"] == "CNAME"]
    addresses = [address for one in found if one and one["type"] in ("A", "AAAA") and (address := ip_address(one["data"]))]
    return {
        "kind": "dns_answer",
        "name": written_name(line["name"]),
        "names": tuple(aliases),
        "query_type": line["type"],
        "answers": (*aliases, *addresses),
        "action": "blocked" if line["code"] == "REFUSED" else None,
    }
