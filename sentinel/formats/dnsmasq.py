"""dnsmasq's query log (`log-queries`, `=extra`, `=proto`, `=auth`), also as Pi-hole writes it. Times are local, without a year.

    Nov 23 07:24:43 dnsmasq[48]: query[A] pimeyes.com from 10.20.30.11
    Nov 23 07:24:43 dnsmasq[49]: 1 10.20.30.11/44633 config pimeyes.com is NXDOMAIN

Only with `extra` or `proto` do answers say who asked; an answer without its client tells of nobody.

Reference: https://thekelleys.org.uk/dnsmasq/docs/dnsmasq-man.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sentinel.formats.envelope import Envelope, peel
from sentinel.formats.format import LogFormat, Malformed, Stream, as_text
from sentinel.formats.pattern import Pattern
from sentinel.formats.times import read_time
from sentinel.observation import Action, Observation, ip_address

_FILE = Pattern(r"(?P<time>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) dnsmasq\[\d+\]: ", re.ASCII)
_ASKED_BY = Pattern(
    r"(?:(?:UDP|TCP) )?(?P<serial>\d{1,12}) (?P<client>[0-9A-Fa-f.:]{2,45}(?:%[\w.-]+)?)/(?P<port>\d{1,5}) ", re.ASCII
)
_QUERY = Pattern(r"(?:query|auth)\[(?P<type>[^\]\s]+)\] (?P<name>.*) from (?P<client>[^\s]+)\Z", re.ASCII)
_ANSWER = Pattern(r"(?P<how>\S.*) (?P<name>\S+) is (?P<value>\S.*)\Z", re.ASCII)
_OTHER = ("query[", "auth[", "dnssec-query[", "forwarded ", "validation ")  # begin no answer
_OWN = Pattern(
    r"(?:query|auth|dnssec-query)\[|(?:forwarded|reply|cached(?:-stale)?|config|gravity blocked) \S+ (?:to|is) ", re.ASCII
)
_REFUSES = Pattern(r"\b(?:blocked|denied|blacklisted)\b", re.ASCII)
_NOWHERE = Pattern(r"(?:0\.0\.0\.0|::|NXDOMAIN|NODATA(?:-IPv[46])?|REFUSED)\Z", re.ASCII)


def recognise(records: Sequence[bytes]) -> float:
    """Return the share of *records* that dnsmasq wrote, 0.0 to 1.0; 0.0 also when none of them tells of a query."""
    own = asks = 0
    for record in records:
        peeled = _peeled(as_text(record))
        if peeled.program in ("dnsmasq", "dnsmasq-dhcp"):
            own += 1
            body = _ASKED_BY.sub("", peeled.message, count=1)
            asks += peeled.program == "dnsmasq" and _OWN.match(body) is not None
    return own / len(records) if asks else 0.0


def parse(record: bytes, stream: Stream) -> Sequence[Observation]:
    """Read one line.

    Raises:
        Malformed: Not a line of dnsmasq's, or a query that breaks off.
    """
    peeled = _peeled(as_text(record))
    if peeled.program != "dnsmasq":
        if peeled.program is not None and peeled.program.startswith("dnsmasq-"):
            return ()  # its DHCP and TFTP servers share the file
        raise Malformed("no 'TIME dnsmasq[PID]: ...'")
    asked_by = _ASKED_BY.match(peeled.message)
    body = peeled.message[asked_by.end() :] if asked_by else peeled.message
    query = _QUERY.match(body)
    if query is not None:
        return (_asked(query, asked_by, peeled, stream),)
    if body.startswith(("query[", "auth[")):
        raise Malformed("a query that breaks off")
    answer = _ANSWER.match(body) if asked_by and not body.startswith(_OTHER) else None
    if asked_by is None or answer is None or ip_address(answer["name"]):
        return ()  # the answer to a reverse look-up starts with the address
    return (_answered(answer, asked_by, peeled, stream),)


def _peeled(text: str) -> Envelope:
    head = _FILE.match(text)
    return Envelope(text[head.end() :], head["time"], None, "dnsmasq") if head else peel(text)


def _asked(query: re.Match[str], asked_by: re.Match[str] | None, peeled: Envelope, stream: Stream) -> Observation:
    if ip_address(query["client"]) is None:
        raise Malformed(f"no address after 'from': {query['client'][:40]!r}")
    return Observation(
        time=read_time(peeled.time_text, stream.clock) if peeled.time_text else stream.clock.undated(),
        time_text=peeled.time_text,
        kind="dns_query",
        client=query["client"],
        client_port=int(asked_by["port"]) if asked_by else None,
        name=query["name"],
        query_type=query["type"].replace("type=", "TYPE"),
        flow=asked_by["serial"] if asked_by else None,
        resolver=peeled.host,
    )


def _answered(answer: re.Match[str], asked_by: re.Match[str], peeled: Envelope, stream: Stream) -> Observation:
    value = answer["value"]
    return Observation(
        time=read_time(peeled.time_text, stream.clock) if peeled.time_text else stream.clock.undated(),
        time_text=peeled.time_text,
        kind="dns_answer",
        client=asked_by["client"],
        client_port=int(asked_by["port"]),
        name=answer["name"],
        answers=(value,) if ip_address(value) else (),
        action=_action(answer["how"], value),
        flow=asked_by["serial"],
        resolver=peeled.host,
    )


def _action(how: str, value: str) -> Action | None:
    """Return "blocked" for what the resolver itself refused; an upstream's NXDOMAIN is an answer like any other."""
    return "blocked" if _REFUSES.search(how) or (how == "config" and _NOWHERE.match(value)) else None


FORMAT = LogFormat(
    name="dnsmasq",
    title="dnsmasq and Pi-hole query log",
    reference="https://thekelleys.org.uk/dnsmasq/docs/dnsmasq-man.html",
    recognise=recognise,
    signs=(b"dnsmasq",),
    parse=parse,
    yields=("dns_query", "dns_answer"),
    tested_with="dnsmasq 2.90 and 2.93",
)
