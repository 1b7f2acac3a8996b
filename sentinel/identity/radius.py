"""RADIUS accounting as FreeRADIUS keeps it: `detail` files and linelog.

    Mon Nov 23 06:26:43 2026
        User-Name = "alice"
        Acct-Status-Type = Start
        Acct-Session-Id = "5f3a-0001"
        Framed-IP-Address = 10.77.0.50
        Timestamp = 1795411603

    2026-11-23 06:26:43 acct Start user=alice ip=10.77.0.50 mac=02-AA-BB-00-00-01 sess=5f3a-0001
    Nov 23 06:26:43 aaa1 radiusd: Connect: [alice] (did 00-11:wifi cli 02-AA-BB-00-00-01 port 12 ip 10.77.0.50)

The name is what the device was told. With 802.1X that is EAP's outer identity, which anybody may choose: such a name
is *claimed*. Only where the device itself takes the password (dial-up, VPN: `NAS-Port-Type` Virtual and alike) it was checked.

References: RFC 2866, https://freeradius.org/documentation/freeradius-server/3.2.9/modules/detail.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, tzinfo

from sentinel.formats.clock import StreamClock
from sentinel.formats.format import Malformed, utc_from_epoch
from sentinel.formats.times import read_time
from sentinel.identity.binding import RECORD_KEPT, Binding, hardware
from sentinel.identity.sessionlog import Word, fold
from sentinel.identity.stamped import stamped
from sentinel.observation import ip_address

HEAD = re.compile(r"^[A-Z][a-z]{2} ([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) (\d{4})\s*$", re.MULTILINE)
PAIR = re.compile(r"\t([A-Za-z][\w:-]*) = (.*)")
STATUS = "Acct-Status-Type"
CHECKED = frozenset({"Virtual", "Async", "Sync", "ISDN", "ISDN-Sync", "xDSL", "ADSL-CAP", "ADSL-DMT", "IDSL", "Cable"})
"""Kinds of ports whose device asks for the password itself, so that there is no outer identity."""

ANONYMOUS = re.compile(r"(?:anonymous[^@]*)?(?:@.*)?\Z", re.IGNORECASE)
ESCAPED = re.compile(rb"\\([0-7]{3})|\\(.)", re.DOTALL)
_CONTROLS = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}

# The user stands first: what follows the last "ip=" is the server's own.
KEYED = re.compile(
    r"(?P<what>Start|Stop|Interim-Update|Alive) .*?\buser=(?P<user>.*) ip=(?P<ip>\S+)"
    r"(?: mac=(?P<mac>\S*))?(?: sess=(?P<session>\S*))?\s*\Z"
)
TOLD = re.compile(
    r"(?P<what>Connect|Disconnect): \[(?P<user>.*)\] \(did .* cli (?P<mac>\S*) port \S* ip (?P<ip>\S+)\)"
    r"(?: (?P<secs>\d{1,9}) seconds)?"
)


def is_detail(text: str) -> bool:
    """Return whether *text* is a detail file of accounting."""
    head = HEAD.search(text)
    return head is not None and f"\t{STATUS} = " in text


def detail(name: str, text: str, zone: tzinfo) -> list[Binding]:
    """Return the claims of a detail file; of its times `Timestamp`, in UTC, is believed first, then the head's in *zone*."""
    clock = StreamClock(zone, None)
    words = (word for head, fields in _blocks(text) if (word := _word(head, fields, clock)))
    return fold(words, name, "RADIUS accounting")


def _blocks(text: str) -> Iterator[tuple[re.Match[str], dict[str, str]]]:
    """Yield the head and the attributes of each record; of attributes that are repeated the first."""
    heads = list(HEAD.finditer(text))
    for head, after in zip(heads, [*heads[1:], None], strict=True):
        fields: dict[str, str] = {}
        for line in text[head.end() : after.start() if after else None].split("\n"):
            pair = PAIR.match(line.rstrip("\r"))
            if pair:
                fields.setdefault(pair[1], _value(pair[2]))
        yield head, fields


def _value(text: str) -> str:
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    raw = text[1:-1].encode("utf-8", "surrogateescape")
    plain = ESCAPED.sub(lambda m: bytes([int(m[1], 8) & 0xFF]) if m[1] else _CONTROLS.get(m[2], m[2]), raw)
    return plain.decode("utf-8", "surrogateescape")


def _word(head: re.Match[str], fields: Mapping[str, str], clock: StreamClock) -> Word | None:
    status = fields.get(STATUS)
    time = _time(head, fields, clock)
    server = fields.get("NAS-IP-Address") or fields.get("NAS-IPv6-Address") or fields.get("NAS-Identifier")
    if time is None or status is None:
        return None
    if status == "Accounting-Off":
        return Word(kind="all-end", time=time, server=server)
    address = ip_address(fields.get("Framed-IP-Address"))
    if address is None or status not in ("Start", "Interim-Update", "Alive", "Stop"):
        return None
    lasted = _whole(fields.get("Acct-Session-Time"))
    user, claimed = names(fields.get("User-Name"), checked=fields.get("NAS-Port-Type") in CHECKED)
    return Word(
        kind="ends" if status == "Stop" else "holds",
        time=time,
        address=address,
        user=user,
        claimed=claimed,
        mac=hardware(fields.get("Calling-Station-Id")),
        session=f"{server}|{fields['Acct-Session-Id']}" if "Acct-Session-Id" in fields else None,
        server=server,
        since=time - timedelta(seconds=lasted) if lasted else None,
        record=" ".join(f"{key} = {value}" for key, value in fields.items())[:RECORD_KEPT],
    )


def names(written: str | None, *, checked: bool) -> tuple[str | None, str | None]:
    """Return user and claimed user of a `User-Name`; an anonymous outer identity names nobody."""
    if not written or ANONYMOUS.match(written):
        return None, None
    return (written, None) if checked else (None, written)


def _time(head: re.Match[str], fields: Mapping[str, str], clock: StreamClock) -> datetime | None:
    stamp = _whole(fields.get("Timestamp"))
    try:
        written = f"{head[1][:7]}{head[2]} {head[1][7:]}"
        time = utc_from_epoch(stamp) if stamp is not None else read_time(written, clock)
        return time - timedelta(seconds=_whole(fields.get("Acct-Delay-Time")) or 0)
    except (Malformed, OverflowError):
        return None


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 12 else None


def is_log(text: str) -> bool:
    """Return whether *text* has lines of accounting that a linelog wrote."""
    return re.search(r"\b(?:Start|Stop|Interim-Update) .*\buser=.* ip=\d|Connect: \[.*\] \(did .* ip ", text) is not None


def log(name: str, text: str, zone: tzinfo, modified: datetime | None) -> list[Binding]:
    """Return what a linelog proves. It says nothing of the kind of port: all names are claimed.

    Raises:
        NotIdentity: Times carry no year, and *modified* is None.
    """
    return fold(_told(text, zone, modified), name, "RADIUS accounting")


def _told(text: str, zone: tzinfo, modified: datetime | None) -> Iterator[Word]:
    for sign, pattern in (("user=", KEYED), ("onnect: [", TOLD)):
        for line in stamped(_with_hosts(text), sign, zone, modified):
            said = pattern.search(line.message)
            address = ip_address(said["ip"]) if said else None
            if said is None or address is None:
                continue
            secs = _whole(said.groupdict().get("secs"))
            _user, claimed = names(said["user"], checked=False)
            yield Word(
                kind="ends" if said["what"] in ("Stop", "Disconnect") else "holds",
                time=line.time,
                address=address,
                claimed=claimed,
                mac=hardware(said["mac"]),
                session=said.groupdict().get("session"),
                since=line.time - timedelta(seconds=secs) if secs else None,
                record=line.record,
            )


def _with_hosts(text: str) -> str:
    """Give lines that begin with a time alone, as a linelog to a file does, the rest of a syslog header."""
    return re.sub(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?=acct )", r"\1 radius linelog: ", text, flags=re.MULTILINE)
