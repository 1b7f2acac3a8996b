"""ISC dhcpd: its lease file, a journal, and its log.

    lease 10.77.0.50 { starts 1 2026/11/23 05:17:08; ends 1 2026/11/23 05:27:08; binding state active; … }
    Nov 23 06:17:08 dhcp1 dhcpd[18315]: DHCPACK on 10.77.0.50 to 02:aa:bb:00:00:01 (PC-ALICE) via veth0

Times of the lease file are in UTC. A log line says for how long only where Infoblox adds `lease-duration`.

Reference: dhcpd.leases(5), https://kb.isc.org/docs/isc-dhcp-44-manual-pages-dhcpdleases
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo

from sentinel.formats.format import Malformed, utc_from_epoch
from sentinel.identity.binding import FOREVER, RECORD_KEPT, Binding, hardware, superseded
from sentinel.identity.leaselog import Event, fold
from sentinel.identity.stamped import Stamped, stamped
from sentinel.observation import ip_address

OPENS = re.compile(r"lease (?P<address>[\d.]{7,15}) \{\s*\Z", re.ASCII)
TIME = re.compile(r"(?:\d (\d{4})/(\d\d)/(\d\d) (\d\d):(\d\d):(\d\d)|epoch (\d{1,11}));", re.ASCII)
OCTAL = re.compile(rb"\\([0-7]{3})|\\(.)", re.DOTALL)
MAC = r"(?P<mac>[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5,19})"

LEASE_FILE = re.compile(
    r"^(?:lease [\d.]{7,15} \{|authoring-byte-order |# The format of this file is .*dhcpd\.leases)", re.MULTILINE | re.ASCII
)

PROGRAM = "dhcpd"
# The client chooses the text in parentheses, parentheses and all: the server's own words begin after the last one.
ACK = re.compile(
    rf"DHCPACK on (?P<address>[\d.]+) to {MAC}(?: \((?P<device>.*)\))? via \S+"
    r"(?: relay \S+)?(?: lease-duration (?P<length>\d{1,10}))?[^()]*\Z",
    re.ASCII,
)
END = re.compile(rf"DHCP(?:RELEASE of|DECLINE of|EXPIRE on) (?P<address>[\d.]+) (?:from|to) {MAC}(?!.*\(not found\))", re.ASCII)
ASKS = re.compile(rf"DHCP(?:DISCOVER from|OFFER on [\d.]+ to) {MAC}", re.ASCII)
UNSUITABLE = "Hostname Unsuitable for Printing"


def is_leases(text: str) -> bool:
    """Return whether *text* is a dhcpd lease file, which may as yet hold no lease."""
    return LEASE_FILE.search(text) is not None


def leases(name: str, text: str) -> list[Binding]:
    """Return the leases of the journal, each with the interval that it states."""
    return superseded([claim for address, fields in _blocks(text) if (claim := _claim(name, address, fields))])


def is_log(text: str) -> bool:
    """Return whether *text* has lines of dhcpd."""
    return re.search(r"\bdhcpd(?:\[\d+\])?: DHCP", text) is not None


def log(name: str, text: str, zone: tzinfo, modified: datetime | None) -> list[Binding]:
    """Return what the log proves; times without a zone are in *zone*, those without a year lie before *modified*.

    Raises:
        NotIdentity: Times carry no year, and *modified* is None.
    """
    events = (event for line in stamped(text, PROGRAM, zone, modified, program=PROGRAM) if (event := _event(line)))
    return fold(events, name)


def _event(line: Stamped) -> Event | None:
    text, time = line.message, line.time
    if asks := ASKS.match(text):
        mac = hardware(asks["mac"])
        return Event("asks", time, mac) if mac else None
    said = ACK.match(text) or END.match(text)
    address, mac = (ip_address(said["address"]), hardware(said["mac"])) if said else (None, None)
    if said is None or address is None or mac is None:
        return None
    if said.re is END:
        return Event("end", time, mac, address)
    device = None if said["device"] == UNSUITABLE else said["device"]
    length = timedelta(seconds=int(said["length"])) if said["length"] else None
    return Event("ack", time, mac, address, device, length, line.record[:RECORD_KEPT])


def _blocks(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each whole `lease` block's address and statements; one that breaks off is left out, those after it are not."""
    address: str | None = None
    fields: dict[str, str] = {}
    for line in text.split("\n"):
        opens = OPENS.match(line)
        if opens:
            address, fields = ip_address(opens["address"]), {"lease": line.strip()}
        elif line.startswith("}"):
            if address:
                yield address, fields
            address = None
        elif address:
            statement = line.strip()
            for key in ("starts", "ends", "binding state", "hardware ethernet", "client-hostname"):
                if statement.startswith(key + " "):
                    fields[key] = statement[len(key) + 1 :]


def _claim(name: str, address: str, fields: dict[str, str]) -> Binding | None:
    state = fields.get("binding state", "").rstrip(";")
    mac = hardware(fields.get("hardware ethernet", "").rstrip(";"))
    unknown = state == "abandoned"  # somebody answered to the address without a lease
    if mac is None and not unknown:
        return None
    device = None if unknown or "client-hostname" not in fields else _string(fields["client-hostname"])
    since, until = _time(fields.get("starts", "")), _time(fields.get("ends", ""))
    if since == FOREVER:
        since = None
    record = " ".join(f"{key} {value}" for key, value in fields.items() if key != "lease")
    basis = f"lease in the state {state or 'unknown'}"
    return Binding(
        address, None if unknown else mac, device, None, since, until, basis, name, f"{fields['lease']} {record}"[:RECORD_KEPT]
    )


def _time(text: str) -> datetime | None:
    """Return a time of the lease file in UTC, `FOREVER` for "never", None for what is no time."""
    if text.startswith("never"):
        return FOREVER
    found = TIME.match(text)
    if found is None:
        return None
    try:
        if found[7]:
            return utc_from_epoch(int(found[7]))
        return datetime(*(int(part) for part in found.groups()[:6]), tzinfo=UTC)  # type: ignore[arg-type,misc]
    except (ValueError, Malformed):
        return None


def _string(text: str) -> str | None:
    """Return a quoted string of the lease file; bytes beyond ASCII are written in octal, and are UTF-8 on most clients."""
    body = text.rstrip(";").strip().strip('"').encode("utf-8", "surrogateescape")
    plain = OCTAL.sub(lambda m: bytes([int(m[1], 8) & 0xFF]) if m[1] else m[2], body)
    return plain.decode("utf-8", "surrogateescape") or None
