"""What logs of several mail systems share: the mailbox and the domain of an address as they write it."""

from __future__ import annotations

from sentinel.observation import host_of

LONGEST = 320
"""Characters of a mail address: 64, the sign, 255 (RFC 5321, 4.5.3.1)."""


def mailbox(written: str | None) -> str | None:
    """Return the address inside `<user@example.org>` or `Name <user@example.org>` in lower case, None when there is none.

    Which letters are large says nothing of which mailbox it is, at least not with any system in use.
    """
    if written is None:
        return None
    inside = written.rpartition("<")[2].partition(">")[0] if "<" in written else written
    address = inside.strip().strip("\"'").removeprefix("SMTP:").removeprefix("smtp:")
    local, at, domain = address.rpartition("@")
    if not local or not at or not domain or len(address) > LONGEST or any(letter.isspace() for letter in domain):
        return None
    return address.lower()


def domain_of(written: str | None) -> str | None:
    """Return the domain of an address as `host_name` gives it, None when there is none, as in the `<>` of a bounce."""
    address = mailbox(written)
    domain = address.rpartition("@")[2] if address else None
    return host_of(domain) if domain and not domain.startswith("[") else None
