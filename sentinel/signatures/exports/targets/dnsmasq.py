"""dnsmasq: NXDOMAIN for a name and all below it, which its hosts file cannot say.

Reference: https://thekelleys.org.uk/dnsmasq/docs/dnsmasq-man.html, --address and --host-record
"""

from __future__ import annotations

from collections.abc import Sequence

from sentinel.signatures.exports.entry import Entry, merged
from sentinel.signatures.exports.target import About, Target


def write(entries: Sequence[Entry], about: About) -> dict[str, str]:
    """Return a file for `conf-file=`."""
    names = merged(entries)
    lines = [
        *(f"address=/{name}/" for name in names.domains),
        # `address` would take all below a single host along.
        *(f"host-record={name},0.0.0.0,::" for name in names.hosts),
    ]
    return {"sentinel.conf": about.comment("#") + "".join(f"{line}\n" for line in lines)}


TARGET = Target(
    title="dnsmasq configuration",
    reference="https://thekelleys.org.uk/dnsmasq/docs/dnsmasq-man.html",
    write=write,
    leaves={
        "host_pattern": "dnsmasq has no * within a label",
        "url": "a resolver sees no path, and the host alone proves nothing",
        "mail_from": "a resolver sees no mail",
        "app": "a resolver sees no app",
    },
)
