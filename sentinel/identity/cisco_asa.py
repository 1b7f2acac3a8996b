r"""Cisco ASA: AnyConnect sessions and the firewall's own user identity.

    %ASA-4-722051: Group <G> User <jdoe> IP <198.51.100.7> IPv4 Address <10.9.0.5> IPv6 address <::> assigned to session
    %ASA-4-113019: Group = G, Username = jdoe, IP = 198.51.100.7, Session disconnected. …, Duration: 0h:10m:00s, …
    %ASA-5-746012: user-identity: Add IP-User mapping 10.9.0.5 - CORP\jdoe Succeeded - VPN user

The end names the address outside the tunnel; it is joined to the beginning by that and the user.

Reference: https://www.cisco.com/c/en/us/td/docs/security/asa/syslog/asa-syslog.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, tzinfo

from sentinel.identity.binding import Binding
from sentinel.identity.sessionlog import Word, fold
from sentinel.identity.stamped import Stamped, stamped
from sentinel.observation import ip_address

# Relays drop the brackets, or escape them.
_OPEN, _CLOSE = r"(?:<|&lt;)?", r"(?:>|&gt;)?"
ASSIGNED = re.compile(
    rf"-722051: Group {_OPEN}.*{_CLOSE} User {_OPEN}(?P<user>.+?){_CLOSE} IP {_OPEN}(?P<outer>[0-9A-Fa-f.:]+){_CLOSE} "
    rf"IPv4 Address {_OPEN}(?P<v4>[\d.]+){_CLOSE} IPv6 address {_OPEN}(?P<v6>[0-9A-Fa-f.:]*)"
)
ENDED = re.compile(r"-113019: Group = .*?, Username = (?P<user>.+), IP = (?P<outer>[0-9A-Fa-f.:]+), Session disconnected")
MAPPED = re.compile(
    r"-7460(?P<what>12|13): user-identity: (?:Add|Delete) IP-User mapping (?P<ip>\S+) - (?P<user>.+?) Succeeded"
)


def is_log(text: str) -> bool:
    """Return whether *text* has such messages."""
    return re.search(r"%(?:ASA|FTD)-\d-(?:722051|746012|746013):", text) is not None


def log(name: str, text: str, zone: tzinfo, modified: datetime | None) -> list[Binding]:
    """Return what the log proves; times without a zone are in *zone*, those without a year lie before *modified*.

    Raises:
        NotIdentity: Times carry no year, and *modified* is None.
    """
    lines = [line for sign in ("%ASA-", "%FTD-") for line in stamped(text, sign, zone, modified)]
    sessions = list(_sessions(lines))
    mappings = [word for line in lines if (word := _mapping(line))]
    return fold(sessions, name, "AnyConnect") + fold(mappings, name, "ASA user identity")


def _sessions(lines: list[Stamped]) -> Iterator[Word]:
    held: dict[tuple[str, str | None], list[str]] = {}  # user and outer address -> addresses inside
    for line in lines:
        if begun := ASSIGNED.search(line.record):
            outer = ip_address(begun["outer"])
            inside = [one for one in map(ip_address, (begun["v4"], begun["v6"])) if one and one not in ("0.0.0.0", "::")]  # noqa: S104
            held[begun["user"].casefold(), outer] = inside
            for address in inside:
                yield Word(kind="holds", time=line.time, address=address, user=begun["user"], session=outer, record=line.record)
        elif ended := ENDED.search(line.record):
            outer = ip_address(ended["outer"])
            for address in held.pop((ended["user"].casefold(), outer), []):
                yield Word(kind="ends", time=line.time, address=address, user=ended["user"], session=outer, record=line.record)


def _mapping(line: Stamped) -> Word | None:
    said = MAPPED.search(line.record)
    address = ip_address(said["ip"]) if said else None
    if said is None or address is None:
        return None
    ends = said["what"] == "13"
    return Word(kind="ends" if ends else "holds", time=line.time, address=address, user=said["user"], record=line.record)
