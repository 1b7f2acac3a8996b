"""PAN-OS logs in syslog, CSV: TRAFFIC, and THREAT with the subtype url. Later versions only append columns.

    Nov 23 05:38:59 PA1 1,2026/11/23 05:38:58,0123,THREAT,url,1,2026/11/23 05:38:58,10.0.0.5,192.0.2.9,...,"pimeyes.com/",...

Start and end of a session are two records that `flow` joins; only the end counts bytes. Times are the firewall's local ones, in
PAN-OS 10 and later also with their zone near the end. Threats of other subtypes repeat the access that they were found in, and
may name its two sides the other way round: they tell of none.

Reference: https://docs.paloaltonetworks.com/pan-os/11-1/pan-os-admin/monitoring/use-syslog-for-monitoring/syslog-field-descriptions
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sentinel.formats.format import Clock, LogFormat, Malformed, Stream, as_text
from sentinel.formats.pattern import Pattern
from sentinel.formats.proxied import target
from sentinel.observation import Action, Kind, Observation

_TYPES = (
    "TRAFFIC|THREAT|URL|DATA|WILDFIRE|SYSTEM|CONFIG|USERID|HIPMATCH|HIP-MATCH|GLOBALPROTECT|DECRYPTION|TUNNEL|AUTHENTICATION"
    "|CORRELATION|SCTP|GTP|IPTAG|AUDIT"
)
_ROW = Pattern(
    rf"(?:\A|(?P<host>[^\s,<>]{{1,255}}) |>)(?:\d,)?(?P<row>\d{{4}}/\d\d/\d\d \d\d:\d\d:\d\d,[^,\s]{{0,40}},(?:{_TYPES}),.*)", 0
)
_FRONT = 600
"""Characters in which the first column has to stand: relays put their headers before it."""
_TIME = Pattern(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\Z")
_PRECISE = Pattern(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}[+-]\d\d:\d\d\Z")
_SCHEME = Pattern(r"[a-z]{2,10}://")
_DIGITS = Pattern(r"\d{1,18}\Z")
_DIRECTIONS = frozenset({"client-to-server", "server-to-client", "0", "1"})

_GENERATED, _SOURCE, _DESTINATION, _USER, _APP = 5, 6, 7, 11, 13
_SESSION, _SOURCE_PORT, _DESTINATION_PORT, _ACTION = 21, 23, 24, 29
_SENT, _RECEIVED, _START, _ELAPSED = 31, 32, 34, 35
_URL, _DIRECTION, _AGENT, _METHOD = 30, 34, 45, 62

_SECRET: dict[str, Kind] = {"ssl": "tls_client_hello", "quic": "quic_client_hello", "quic-base": "quic_client_hello"}
"""Applications whose URL is no more than the name in the hello: what was asked for is not seen."""
_ALLOWED = frozenset({"allow", "alert", "continue", "override"})
_BLOCKED = ("block", "deny", "drop", "reset", "sinkhole")


def recognise(records: Sequence[bytes]) -> float:
    """Return the share of *records* that a PAN-OS firewall wrote, 0.0 to 1.0."""
    return sum(_ROW.search(as_text(record)[:_FRONT]) is not None for record in records) / max(1, len(records))


def parse(record: bytes, stream: Stream) -> Sequence[Observation]:
    """Read one record. The time of a session is its start; of a URL, when it was asked for.

    Raises:
        Malformed: Not a firewall's record, one with too few columns, or a time that does not exist.
    """
    text = as_text(record)
    front = _ROW.search(text[:_FRONT])
    if front is None:
        raise Malformed("no 'TIME,SERIAL,TYPE,SUBTYPE'")
    row = _columns(text[front.start("row") :])
    kind, subtype = row[2], row[3]
    if kind == "TRAFFIC":
        return _traffic(row, stream.clock, front["host"])
    if kind in ("THREAT", "URL") and subtype == "url":
        return _web(row, stream.clock, front["host"])
    return ()


def _columns(text: str) -> list[str]:
    try:
        row = next(csv.reader([text]))
    except (csv.Error, StopIteration) as error:
        raise Malformed(f"no CSV: {error}") from error
    if len(row) < 4:
        raise Malformed("a record that breaks off")
    return row


def _common(row: list[str], host: str | None) -> dict[str, Any]:
    user = row[_USER]
    return {
        "client": row[_SOURCE],
        "client_port": _number(row, _SOURCE_PORT),
        "server": row[_DESTINATION],
        "server_port": _number(row, _DESTINATION_PORT),
        "user": user or None,
        "flow": row[_SESSION] or None,
        "action": _action(row[_ACTION]),
        "resolver": host,
    }


def _traffic(row: list[str], clock: Clock, host: str | None) -> Sequence[Observation]:
    if len(row) <= _ELAPSED:
        raise Malformed(f"{len(row)} columns of TRAFFIC: a record that breaks off")
    ends = row[3] == "end"
    begun = row[_START] if ends and _TIME.match(row[_START]) else row[_GENERATED]
    elapsed = _number(row, _ELAPSED)
    return (
        Observation(
            kind="flow",
            time=_time(begun, row, clock),
            time_text=begun,
            bytes_up=_number(row, _SENT) if ends else None,
            bytes_down=_number(row, _RECEIVED) if ends else None,
            duration=float(elapsed) if ends and elapsed is not None else None,
            **_common(row, host),
        ),
    )


def _web(row: list[str], clock: Clock, host: str | None) -> Sequence[Observation]:
    url, row = _url(row)
    asked = target("", url if _SCHEME.match(url) else f"http://{url}")  # it is written without a scheme
    if asked is None:
        return ()
    app, method = row[_APP], _at(row, _METHOD).upper()
    secret = _SECRET.get(app)
    told: dict[str, Any] = {"name": asked.name}
    if secret is None:
        told |= {"url": url, "path": asked.path, "query": asked.query, "user_agent": _at(row, _AGENT) or None}
        told["method"] = method if method.isalpha() and method != "UNKNOWN" else None
    kind: Kind = secret or ("proxy_connect" if method == "CONNECT" else "http_request")
    time = _time(row[_GENERATED], row, clock)
    return (Observation(kind=kind, time=time, time_text=row[_GENERATED], **told, **_common(row, host)),)


def _url(row: list[str]) -> tuple[str, list[str]]:
    """Return the URL and the row. Versions before 5.0 did not quote it, so that its commas part it."""
    for behind in range(_DIRECTION, min(len(row), _DIRECTION + 200)):
        if row[behind] in _DIRECTIONS:
            extra = behind - _DIRECTION
            return ",".join(row[_URL : _URL + extra + 1]), row[: _URL + 1] + row[_URL + 1 + extra :]
    raise Malformed(f"{len(row)} columns of THREAT without a direction: a record that breaks off")


def _time(written: str, row: list[str], clock: Clock) -> datetime:
    """Return a local time of the row in UTC, by the zone that a later column tells where there is one."""
    if not _TIME.match(written):
        raise Malformed(f"no time: {written[:40]!r}")
    try:
        naive = datetime.fromisoformat(written.replace("/", "-"))
        precise = next((value for value in row[_ELAPSED:] if _PRECISE.match(value)), None)
        zone = datetime.fromisoformat(precise).tzinfo if precise else None
        return naive.replace(tzinfo=zone).astimezone(UTC) if zone else clock.local(naive)
    except (ValueError, OverflowError) as error:
        raise Malformed(f"no time: {written[:40]!r}") from error


def _action(written: str) -> Action | None:
    """Return what was decided; a page of warning that was clicked away ("continue") let the access through."""
    if written in _ALLOWED:
        return "allowed"
    return "blocked" if written.startswith(_BLOCKED) else None


def _at(row: list[str], index: int) -> str:
    return row[index] if index < len(row) else ""


def _number(row: list[str], index: int) -> int | None:
    return int(row[index]) if _DIGITS.match(row[index]) else None


FORMAT = LogFormat(
    name="panos",
    title="PAN-OS TRAFFIC and THREAT url, CSV",
    reference=(
        "https://docs.paloaltonetworks.com/pan-os/11-1/pan-os-admin/monitoring/use-syslog-for-monitoring/syslog-field-descriptions"
    ),
    recognise=recognise,
    signs=tuple(f",{one},".encode() for one in _TYPES.split("|")),
    parse=parse,
    yields=("http_request", "tls_client_hello", "quic_client_hello", "proxy_connect", "flow"),
)
