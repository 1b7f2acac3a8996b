"""The plain lines before TLS: what clients of mail and file servers say until they ask for encryption.

References: SMTP RFC 3207, IMAP and POP3 RFC 2595, FTP RFC 4217. Such a stream is followed so that a ClientHello in it is found
however its segments come; nothing that these lines say is kept.
"""

from __future__ import annotations

import re

LONGEST = 512
_LINE = re.compile(
    rb"(?:(?:EHLO|HELO|LHLO|NOOP|RSET|STARTTLS|CAPA|STLS|FEAT|AUTH (?:TLS|SSL))|[!-~]{1,32} (?:STARTTLS|CAPABILITY|NOOP|ID))"
    rb"(?:[ \t][^\r\n]*)?\r?\n",
    re.IGNORECASE,
)
_PRINTABLE = re.compile(rb"[\t\x20-\x7e]*\r?\Z")


def line(stream: bytes | bytearray) -> int | None:
    """Return the length of the first line when it may come before TLS, 0 when it is none; None while its end has not come."""
    start = bytes(stream[:LONGEST])
    if b"\n" not in start:
        return None if len(start) < LONGEST and _PRINTABLE.match(start) else 0
    found = _LINE.match(start)
    return found.end() if found else 0
