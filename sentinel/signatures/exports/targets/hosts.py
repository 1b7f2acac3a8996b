"""A hosts file: the names that are known, each at an address that leads nowhere, for IPv4 and for IPv6.

Without the line for IPv6, dnsmasq and others would ask the Internet for that address and hand it out.
Reference: hosts(5)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sentinel.signatures.exports.entry import Entry, below
from sentinel.signatures.exports.target import About, Target


def write(entries: Sequence[Entry], about: About) -> dict[str, str]:
    """Return the file, its names sorted."""
    names = sorted({name for entry in entries for name in _known(entry)})
    return {"sentinel.hosts": about.comment("#") + "".join(f"0.0.0.0 {name}\n:: {name}\n" for name in names)}


def _known(entry: Entry) -> Iterator[str]:
    yield entry.name
    if entry.kind == "domain":
        yield f"www.{entry.name}"
        for one in entry.service.indicators:
            host = one.host or one.domain or (one.url.host if one.url else None)
            if host and below(host, {entry.name}):
                yield host


TARGET = Target(
    title="hosts file",
    reference="https://man7.org/linux/man-pages/man5/hosts.5.html",
    write=write,
    leaves={
        "host_pattern": "a hosts file has no patterns",
        "url": "a hosts file knows no path, and the host alone proves nothing",
        "mail_from": "a hosts file is not asked for mail senders",
        "app": "a hosts file knows no app",
    },
    caveats=(
        "A hosts file cannot name all below a name: only the name itself, its www. and the hosts that are known are listed.",
    ),
)
