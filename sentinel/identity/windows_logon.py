"""Windows log-ons at other machines: security events 4624 (log-on) and 4768 (Kerberos ticket), mostly of domain controllers.

They come as EVTX, as XML (Event Forwarding, Splunk), and as JSON (NXLog, Winlogbeat, what `evtx_dump` and others make of EVTX).
An event says who was at an address at one moment, and nothing of how long: two of one person within `WITHIN`, nobody else's
between them, are taken for one stay; a ticket is good for that long. Accounts of machines name the device.

References: https://learn.microsoft.com/windows/security/threat-protection/auditing/event-4624 and event-4768
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from io import BytesIO
from ipaddress import ip_address as parsed
from typing import Any
from xml.etree import ElementTree as ET

from sentinel.formats.event_chunks import Event, events
from sentinel.identity.binding import Binding, NotIdentity
from sentinel.identity.sessionlog import Word, fold
from sentinel.observation import ip_address

WITHIN = timedelta(hours=10)
LOGON, TICKET = "4624", "4768"

NOBODY = frozenset({"", "-", "anonymous logon", "system", "local service", "network service", "iusr"})
NOT_PEOPLE = re.compile(r"(?:dwm|umfd)-\d+\Z", re.IGNORECASE)
EVENT = re.compile(r"<Event[ >].*?</Event>", re.DOTALL)
_NAMESPACE = re.compile(r"\{[^}]*\}")
_ISO = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(\.\d{1,6})?\d*(Z|[+-]\d\d:?\d\d)?\Z", re.ASCII)

Named = Mapping[str, str]
"""What counts of an event by name: `EventID`, `Computer`, `time`, and the names of its data."""


def is_log(text: str) -> bool:
    """Return whether *text* has such events."""
    xml = "<EventID" in text and "TargetUserName" in text and EVENT.search(text) is not None
    return xml or re.search(r"\"(?:EventID|event_id|code)\"\s*:\s*(?:\{[^}]*)?\"?(?:4624|4768)\b", text) is not None


def log(name: str, text: str, zone: tzinfo) -> list[Binding]:
    """Return what events in XML or JSON prove; times without a zone are in *zone*."""
    events = (_xml(found[0]) for found in EVENT.finditer(text)) if "<EventID" in text else map(_json, text.split("\n"))
    return _folded(events, name, zone)


def evtx(name: str, data: bytes) -> list[Binding]:
    """Return what the events of an EVTX file prove, as far as they come apart.

    Raises:
        NotIdentity: None do.
    """
    found = list(events(BytesIO(data)))
    if found and not any(isinstance(one, Event) for one in found):
        raise NotIdentity("a Windows event log without an event that can be read")
    return _folded((_json(one.json) for one in found if isinstance(one, Event)), name, UTC)


def _folded(events: Iterable[Named | None], name: str, zone: tzinfo) -> list[Binding]:
    words = [word for event in events if event and (word := _word(event, zone))]
    people = [word for word in words if word.device is None]
    machines = [word for word in words if word.device is not None]
    return fold(people, name, "log-on", WITHIN) + fold(machines, name, "log-on of the machine", WITHIN)


def _word(event: Named, zone: tzinfo) -> Word | None:
    kind, address, time = event.get("EventID"), _address(event.get("IpAddress")), _time(event.get("time"), zone)
    if kind not in (LOGON, TICKET) or address is None or time is None:
        return None
    if kind == TICKET and event.get("Status", "0x0") not in ("0x0", "0"):
        return None
    account = event.get("TargetUserName", "").partition("@")[0]
    domain = event.get("TargetDomainName", "")
    record = f"{kind} {time.isoformat()} {domain}\\{account} at {address}, told by {event.get('Computer', '?')}"
    if account.casefold() in NOBODY or NOT_PEOPLE.match(account):
        return None
    if account.endswith("$"):
        return Word(kind="holds", time=time, address=address, device=account[:-1], record=record)
    return Word(kind="holds", time=time, address=address, user=account, record=record)


def _address(text: str | None) -> str | None:
    """Return an address that says where somebody was; a loopback or link-local one does not."""
    address = ip_address(text)
    if address is None:
        return None
    said = parsed(address)
    return None if said.is_loopback or said.is_link_local or said.is_unspecified else address


def _time(text: str | None, zone: tzinfo) -> datetime | None:
    found = _ISO.match(text or "")
    if found is None:
        return None
    try:
        time = datetime.fromisoformat("".join(part or "" for part in found.groups()))
        return (time if time.tzinfo else time.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _xml(text: str) -> Named | None:
    if "<!" in text:  # no event declares entities; whoever does wants them expanded
        return None
    try:
        root = ET.fromstring(text)  # noqa: S314 - without declarations there is nothing to expand
    except ET.ParseError:
        return None
    found: dict[str, str] = {}
    for element in root.iter():
        tag = _NAMESPACE.sub("", element.tag)
        if tag == "Data" and element.get("Name"):
            found.setdefault(str(element.get("Name")), (element.text or "").strip())
        elif tag in ("EventID", "Computer"):
            found.setdefault(tag, (element.text or "").strip())
        elif tag == "TimeCreated":
            found.setdefault("time", element.get("SystemTime", ""))
    return found


def _json(text: str) -> Named | None:
    try:
        event = json.loads(text) if text.strip() else None
    except (ValueError, RecursionError):
        return None
    return _flat(event) if isinstance(event, dict) else None


def _flat(event: Mapping[str, Any]) -> Named:
    """Return the event's names, wherever its writer put them."""
    inner = _inner(event, "Event")
    system, data = _inner(inner, "System"), _inner(inner, "EventData")
    beat = _inner(event, "winlog")
    found: dict[str, str] = {}
    for part in (data, _inner(beat, "event_data"), event):
        for key, value in part.items():
            if isinstance(value, str | int):
                found.setdefault(key, str(value))
    number = system.get("EventID", beat.get("event_id", event.get("EventID")))
    found["EventID"] = str(number.get("#text") if isinstance(number, dict) else number)
    found["Computer"] = str(system.get("Computer") or beat.get("computer_name") or event.get("Hostname") or "?")
    created = _inner(_inner(system, "TimeCreated"), "#attributes").get("SystemTime")
    found["time"] = str(created or event.get("@timestamp") or event.get("EventTime") or "")
    return found


def _inner(event: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = event.get(key)
    return value if isinstance(value, dict) else {}
