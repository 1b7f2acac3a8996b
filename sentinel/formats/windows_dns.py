r"""Windows DNS Server's debug log, in any locale's dates, brief or with details.

    6/5/2013 10:00:32 AM 0E70 PACKET  00000000033397A0 UDP Rcv 10.0.0.5  5b47   Q [0001   D   NOERROR] A  (7)pimeyes(3)com(0)

Only what was received and is no response is a client's question, and only a response that was sent is the answer to one: the
server's own questions to other servers, and what these answer, stand in the same log. Of a packet's details, lines of their own
below it, each is passed over. Times are the server's local time, with the date as its regional settings have it.

Reference: https://learn.microsoft.com/previous-versions/windows/it-pro/windows-server-2008-R2-and-2008/cc759581(v=ws.10)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from sentinel.formats.envelope import peel
from sentinel.formats.format import Clock, LogFormat, Malformed, Stream, as_text
from sentinel.formats.pattern import Pattern
from sentinel.observation import Observation

_SPACE = "[ \\u00a0\\u202f]"
_DATE = (
    rf"(?P<a>\d{{1,4}})(?P<apart>[/.\-]){_SPACE}?(?P<b>\d{{1,2}})[/.\-]{_SPACE}?(?P<c>\d{{1,4}})\.?(?:{_SPACE}?г\.)?"
    rf"{_SPACE}(?:(?P<before>[^\W\d]{{1,6}}){_SPACE}?)?(?P<hour>\d{{1,2}})[:.](?P<minute>\d\d)[:.](?P<second>\d\d)"
    rf"(?:{_SPACE}(?P<behind>(?![0-9A-Fa-f]{{3,8}} )[^\W\d]\.?(?:{_SPACE}?[^\W\d]\.?){{0,5}}))?"
)
_HEAD = Pattern(rf"(?P<time>{_DATE}) (?P<thread>[0-9A-Fa-f]{{3,8}}) (?P<context>[A-Z][A-Za-z]{{1,11}}) ")
_PACKET = Pattern(
    r" *[0-9A-Fa-f]{8,16} +(?P<proto>UDP|TCP) +(?P<way>Snd|Rcv) +(?P<address>[0-9A-Fa-f.:]{2,45}(?:%[\w.-]{1,20})?) +"
    r"(?P<xid>[0-9A-Fa-f]{4}) +(?P<r>R +)?(?P<op>[A-Z?]) \[(?P<flags>[0-9A-Fa-f]{4}) +(?:[ATDR]{1,4}(?: [ATDR]{1,4})* +)?"
    r"(?P<rcode>[A-Z0-9]+)\] (?P<type>\S+) +(?P<name>\S.*)",
    re.ASCII | re.DOTALL,
)
_BESIDE = Pattern(
    r"(?:[ \t]|(?:UDP|TCP) (?:question|response) info at |DNS Server log file |Log file wrap |Message logging key|\Z)", re.ASCII
)
_LENGTH = Pattern(r"\((\d{1,2})\)", re.ASCII)
_RESPONSE = 0x0080
"""The bit QR in the flags, which are printed with their two bytes in the wrong order. `R` is not always printed."""

_AM = frozenset(["am", "a", "πμ", "午前", "上午", "오전", "ص", "sa", "de", "dop", "fm", "vm", "पूर्वाह्न", "ก่อนเที่ยง"])
_PM = frozenset(["pm", "p", "μμ", "午後", "下午", "오후", "م", "ch", "du", "odp", "em", "nm", "अपराह्न", "หลังเที่ยง"])
_BUDDHIST = 543


def recognise(records: Sequence[bytes]) -> float:
    """Return the share of *records* that the server wrote, 0.0 to 1.0; 0.0 also when none of them tells of a packet."""
    own = packets = 0
    for record in records:
        text = as_text(record)
        found = _split(text)
        packets += found is not None and _PACKET.match(found[1]) is not None
        own += found is not None or _BESIDE.match(text) is not None
    return own / len(records) if packets else 0.0


def parse(record: bytes, stream: Stream) -> Sequence[Observation]:
    """Read one line.

    Raises:
        Malformed: Not a line of the server's, a packet that breaks off, or a date that does not exist.
    """
    text = as_text(record)
    found = _split(text)
    if found is None:
        if _BESIDE.match(text):
            return ()
        raise Malformed("no date, time, thread and context")
    head, rest, host = found
    if head["context"] != "PACKET":
        return ()
    packet = _PACKET.match(rest)
    if packet is None:
        raise Malformed("a packet that breaks off")
    answers = packet["r"] is not None or int(packet["flags"], 16) & _RESPONSE != 0
    if packet["op"] != "Q" or answers != (packet["way"] == "Snd"):
        return ()
    refused = answers and packet["rcode"] == "REFUSED"
    return (
        Observation(
            time=_time(head, stream.clock),
            time_text=head["time"],
            kind="dns_answer" if answers else "dns_query",
            client=packet["address"],
            name=_name(packet["name"]),
            query_type=packet["type"],
            action="blocked" if refused else None,
            flow=packet["xid"].lower(),
            resolver=host,
        ),
    )


def _split(text: str) -> tuple[re.Match[str], str, str | None] | None:
    head, host = _HEAD.match(text), None
    if head is None and not text[:1].isspace():
        peeled = peel(text)
        text, host = peeled.message, peeled.host
        head = _HEAD.match(text)
    return (head, text[head.end() :], host) if head else None


def _time(head: re.Match[str], clock: Clock) -> datetime:
    half = _half(head["before"] or head["behind"])
    hour = int(head["hour"])
    if half is not None:
        if not 1 <= hour <= 12:
            raise Malformed(f"no time: {head['time']!r}")
        hour = hour % 12 + (12 if half == "pm" else 0)
    year, month, day = _day(head, clock, half is not None)
    try:
        naive = datetime(year, month, day, hour, int(head["minute"]), int(head["second"]))  # noqa: DTZ001
    except ValueError as error:
        raise Malformed(f"no time: {head['time']!r}") from error
    return clock.local(naive)


def _half(written: str | None) -> str | None:
    """Return which half of the day a word means, None without a word."""
    if written is None:
        return None
    word = re.sub(rf"[.]|{_SPACE}", "", written).lower()
    if word in _AM:
        return "am"
    if word in _PM:
        return "pm"
    raise Malformed(f"neither morning nor afternoon: {written!r}")


def _day(head: re.Match[str], clock: Clock, halves: bool) -> tuple[int, int, int]:
    """Return year, month and day. A dot stands behind the day; slashes and hyphens are written in either order."""
    first, second, third = int(head["a"]), int(head["b"]), int(head["c"])
    if len(head["a"]) == 4:
        return _year(first), second, third
    year = _year(third if len(head["c"]) == 4 else 2000 + third)
    if head["apart"] == ".":
        return year, second, first
    return year, *clock.month_and_day(first, second, halves and head["apart"] == "/")


def _year(written: int) -> int:
    """Return the year of our calendar; Thailand counts 543 more."""
    return written - _BUDDHIST if 2500 < written < 2700 else written


def _name(written: str) -> str | None:
    """Return the name with dots: each label has as many bytes as the number before it says, whatever these are."""
    if not written.startswith("("):
        return written.strip().strip(".") or None
    data, labels, at = written.encode("utf-8", "surrogateescape"), [], 0
    while True:
        found = _LENGTH.match(data[at : at + 4].decode("ascii", "replace"))
        if found is None:
            raise Malformed(f"a name that does not come apart: {written[:60]!r}")
        length, at = int(found[1]), at + found.end()
        if length == 0:
            break
        label = data[at : at + length]
        if length > 63 or len(label) < length:
            raise Malformed(f"a name that does not come apart: {written[:60]!r}")
        at += length
        # A dot inside a label is no label boundary (RFC 1035, 5.1).
        labels.append(label.decode("utf-8", "surrogateescape").replace("\\", "\\092").replace(".", "\\046"))
    if data[at:].strip():
        raise Malformed(f"more behind the end of a name: {written[:60]!r}")
    return ".".join(labels) or None


FORMAT = LogFormat(
    name="windows-dns",
    title="Windows DNS Server debug log",
    reference="https://learn.microsoft.com/previous-versions/windows/it-pro/windows-server-2008-R2-and-2008/cc759581(v=ws.10)",
    spelling="labels",
    recognise=recognise,
    signs=(b"Snd", b"Rcv"),
    parse=parse,
    yields=("dns_query", "dns_answer"),
)
