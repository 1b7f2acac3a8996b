"""A response policy zone: BIND, Unbound, PowerDNS Recursor and Knot answer NXDOMAIN for the names in it.

Owners are relative, so that the zone can be given any name. A name and all below it take two records.
Reference: https://datatracker.ietf.org/doc/draft-vixie-dnsop-dns-rpz/ and BIND's manual, "Response Policy Zone (RPZ) Rewriting"
"""

from __future__ import annotations

from collections.abc import Sequence

from sentinel.signatures.exports.entry import Entry, merged
from sentinel.signatures.exports.target import About, Target

LONGEST = 190
"""Characters of a name: with the zone's own behind it, and "*." before it, an owner has at most 253. One that is longer
makes the whole zone fail to load."""


def write(entries: Sequence[Entry], about: About) -> dict[str, str]:
    """Return the zone; its serial is the export's time in Unix seconds, so that a later export replaces an earlier one."""
    names = merged(entries)
    serial = int(about.made.timestamp())
    lines = [
        "$TTL 300",
        f"@ SOA localhost. root.localhost. {serial} 3600 600 604800 300",
        "@ NS localhost.",
        *(line for name in names.domains for line in (f"{name} CNAME .", f"*.{name} CNAME .")),
        *(f"{name} CNAME ." for name in names.hosts),
    ]
    return {"sentinel.rpz": about.comment(";") + "\n".join(lines) + "\n"}


def _refuses(entry: Entry) -> str | None:
    return f"longer than {LONGEST} characters" if len(entry.name) > LONGEST else None


TARGET = Target(
    title="response policy zone for BIND, Unbound, PowerDNS Recursor, Knot",
    reference="https://bind9.readthedocs.io/en/latest/reference.html#response-policy-zone-rpz-rewriting",
    write=write,
    leaves={
        "host_pattern": "a zone has no * within a label",
        "url": "a resolver sees no path, and the host alone proves nothing",
        "mail_from": "a resolver sees no mail",
        "app": "a resolver sees no app",
    },
    refuses=_refuses,
)
