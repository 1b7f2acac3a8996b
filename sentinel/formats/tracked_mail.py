"""Mail in the tracking logs of Exchange, and in the message traces of Microsoft 365 that a portal hands out as CSV.

    #Fields: date-time,client-ip,client-hostname,…,source,event-id,…,recipient-address,…,message-subject,sender-address,…
    2026-11-23T04:34:02.123Z,,,,MBX1,…,STOREDRIVER,DELIVER,…,alice@corp.example,…,Your code,login@service.example,…

    origin_timestamp_utc,sender_address,recipient_status,message_subject,…
    2026-11-23T04:34:02.123Z,login@service.example,"alice@corp.example##Receive, Deliver",Your code,…

One mail makes several records with Exchange, from its arrival on: the one that puts it into a mailbox counts, and the one that
gives up. The columns are the header's; a record with another number of cells is refused, since a subject may hold anything.

Reference: https://learn.microsoft.com/en-us/exchange/mail-flow/transport-logs/message-tracking,
https://learn.microsoft.com/en-us/exchange/monitoring/trace-an-email-message/message-trace-modern-eac
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from sentinel.formats.format import LogFormat, Malformed, Stream, as_text, cleaned
from sentinel.formats.mailed import domain_of, mailbox
from sentinel.formats.pattern import Pattern
from sentinel.observation import Action, Observation

_TRACKED = frozenset({"date-time", "event-id", "recipient-address", "sender-address"})
_TRACED = frozenset({"sender_address", "recipient_status"})
_SCHEMAS = {
    len(names): names
    for names in (
        tuple(
            (
                "date-time client-ip client-hostname server-ip server-hostname source-context connector-id source event-id "
                f"internal-message-id message-id {ids}recipient-address recipient-status total-bytes recipient-count "
                "related-recipient-address reference message-subject sender-address return-path message-info directionality "
                f"tenant-id original-client-ip original-server-ip custom-data{more}"
            ).split()
        )
        for ids, more in (("", ""), ("network-message-id ", " transport-traffic-type log-id schema-version"))
    )
}
"""The columns of Exchange 2013, and of 2016 and later, by their number: a collector may send on no header."""
_TRACE_TIMES = ("origin_timestamp_utc", "origin_timestamp")
_TRACE_STARTS = tuple(f"{quote}{name}".encode() for name in _TRACE_TIMES for quote in ("", '"'))
_RECORD = Pattern(
    rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z,[^,]*,[^,]*,[^,]*,[^,]*,(?:\"(?:[^\"]|\"\")*+\"|[^,]*),(?:\"(?:[^\"]|\"\")*+\"|[^,]*),"
    rb"(?:ADMIN|AGENT|APPROVAL|BOOTLOADER|DNS|DSN|GATEWAY|INTERNALHEALTHCHECK|MAILBOXRULE|MEETINGMESSAGEPROCESSOR|ORAR|PICKUP|POISONMESSAGE"
    rb"|PUBLICFOLDER|QUEUE|REDUNDANCY|RESOLVER|ROUTING|SAFETYNET|SMTP|STOREDRIVER),[A-Z0-9]{2,30},"
)
_LINES = (b"#Software: Microsoft Exchange Server", b"#Log-type: Message Tracking Log", b"#Fields: date-time,client-ip,")
_COMMENTS = (b"#Software:", b"#Version:", b"#Log-type:", b"#Date:")
_TIME = Pattern(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,7})?(?:Z|[+-]\d\d:?\d\d)?\Z")
_MOST = 1_000
"""Recipients of one mail that are told apart."""

_KEPT_OUT = frozenset({"fail", "filteredasspam", "quarantined", "quarantine", "drop", "reject"})
_ARRIVED = frozenset({"deliver", "send", "delivered"})


def recognise_tracking(records: Sequence[bytes]) -> float:
    """Return the share of *records* that are Exchange's message tracking, 0.0 to 1.0."""
    ours = sum(record.startswith((*_LINES, *_COMMENTS)) or _RECORD.match(record) is not None for record in records)
    if not any(_RECORD.match(record) or record.startswith(_LINES) for record in records):
        return 0.0
    return ours / max(1, len(records))


def parse_tracking(record: bytes, stream: Stream) -> Sequence[Observation]:
    """Return the mail that a record tells of, one for each mailbox. Times are in UTC.

    Raises:
        Malformed: Another number of cells than its columns, which the header names, or else their number.
    """
    if record.startswith(b"#"):
        return ()
    row = _row(record, stream.header or _SCHEMAS.get(len(_cells(as_text(record))), ()))
    event = row.get("event-id", "")
    if event not in ("DELIVER", "FAIL"):
        return ()
    action: Action = "allowed" if event == "DELIVER" else "blocked"
    boxes = ((box, action) for box in row.get("recipient-address", "").split(";")[:_MOST])
    senders = (row.get("sender-address"), row.get("return-path"))
    flow = row.get("network-message-id") or row.get("message-id")
    return tuple(_mails(row.get("date-time", ""), boxes, senders, flow))


def recognise_trace(records: Sequence[bytes]) -> float:
    """Return the share of *records* that belong to a message trace, 0.0 to 1.0: those with its header before them."""
    columns = next((_columns(record) for record in records if record.startswith(_TRACE_STARTS)), ())
    if not _TRACED.issubset(columns):
        return 0.0
    return sum(record.startswith(_TRACE_STARTS) or _fits(record, columns) for record in records) / max(1, len(records))


def parse_trace(record: bytes, stream: Stream) -> Sequence[Observation]:
    """Return the mail that a record tells of, one for each recipient, by what became of it for that one.

    Raises:
        Malformed: No header before it names the columns, or it has another number of cells.
    """
    if record.startswith(_TRACE_STARTS):
        return ()
    row = _row(record, stream.header)
    time = next((row[name] for name in _TRACE_TIMES if row.get(name)), "")
    flow = row.get("network_message_id") or row.get("message_id")
    return tuple(_mails(time, _statuses(row.get("recipient_status", "")), (row.get("sender_address"),), flow))


def read_header(record: bytes, header: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns that a header names; a comment changes nothing."""
    return _columns(record) or header


def _statuses(text: str) -> Iterator[tuple[str, Action | None]]:
    """Yield `address##status, status` of each recipient, which semicolons part."""
    for one in text.split(";")[:_MOST]:
        box, _, said = one.partition("##")
        words = {word.strip().lower() for word in said.split(",")}
        if words & _ARRIVED:
            yield box, "allowed"
        elif words & _KEPT_OUT:
            yield box, "blocked"


def _mails(
    time: str, boxes: Iterator[tuple[str, Action | None]], senders: Sequence[str | None], flow: str | None
) -> Iterator[Observation]:
    if not _TIME.match(time):
        raise Malformed(f"no time: {time[:40]!r}")
    try:
        when = datetime.fromisoformat(time if time[-1] == "Z" or time[-6] in "+-" or time[-5] in "+-" else time + "Z")
    except ValueError as error:
        raise Malformed(f"no time: {time[:40]!r}") from error
    names = [name for name in map(domain_of, senders) if name]
    if not names:
        return
    for address, action in boxes:
        if box := mailbox(address):
            yield Observation(
                time=when,
                time_text=time,
                kind="mail",
                user=box,
                name=names[0],
                names=tuple(names[1:]),
                action=action,
                flow=flow,
            )


def _row(record: bytes, header: Sequence[str]) -> Mapping[str, str]:
    if not header:
        raise Malformed("no header before it that names the columns")
    cells = _cells(as_text(record))
    if len(cells) != len(header):
        raise Malformed(f"{len(cells)} cells where the header names {len(header)}")
    return dict(zip(header, cells, strict=True))


def _fits(record: bytes, columns: Sequence[str]) -> bool:
    try:
        return len(_cells(as_text(record))) == len(columns)
    except Malformed:
        return False


def _columns(record: bytes) -> tuple[str, ...]:
    try:
        names = tuple(cell.strip() for cell in _cells(as_text(cleaned(record).removeprefix(b"#Fields: "))))
    except Malformed:
        return ()
    return names if _TRACKED.issubset(names) or _TRACED.issubset(names) else ()


def _cells(text: str) -> list[str]:
    try:
        return next(csv.reader((text,), strict=True), [])
    except csv.Error as error:
        raise Malformed(f"no CSV: {error}") from error


FORMATS = (
    LogFormat(
        name="exchange-tracking",
        title="Microsoft Exchange message tracking (MSGTRK*.LOG)",
        reference="https://learn.microsoft.com/en-us/exchange/mail-flow/transport-logs/message-tracking",
        recognise=recognise_tracking,
        parse=parse_tracking,
        signs=(*_LINES, b"Z,"),
        yields=("mail",),
        header_starts=(b"#Fields:",),
        read_header=read_header,
    ),
    LogFormat(
        name="m365-trace-csv",
        title="Microsoft 365 message trace, downloaded as CSV",
        reference="https://learn.microsoft.com/en-us/exchange/monitoring/trace-an-email-message/message-trace-modern-eac",
        recognise=recognise_trace,
        parse=parse_trace,
        signs=(b"recipient_status",),
        yields=("mail",),
        header_starts=_TRACE_STARTS,
        read_header=read_header,
    ),
)
