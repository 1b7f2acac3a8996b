"""Postfix's log: which mailboxes got, or were kept from, the mail of a sender.

    Nov 23 06:23:10 mx1 postfix/qmgr[26665]: 1B1C52E69E0: from=<login@service.example>, size=334, nrcpt=1 (queue active)
    Nov 23 06:23:10 mx1 postfix/lmtp[26806]: 1B1C52E69E0: to=<alice@corp.example>, relay=none, …, status=sent (local)
    Nov 23 06:23:10 mx1 postfix/smtpd[26800]: NOQUEUE: reject: RCPT from …; from=<a@b> to=<c@d> proto=ESMTP helo=<e>

The sender stands in the queue manager's record, and each recipient in one of its own behind it: the queue's id joins them, and
is kept until the queue manager says `removed`. What other programs of Postfix write may hold text of whoever sent the mail
("warning: header Subject: … from=<…>"), so that no sender is taken from there.

Reference: https://www.postfix.org/postconf.5.html#enable_long_queue_ids, https://www.postfix.org/OVERVIEW.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sentinel.formats.envelope import Envelope, peel
from sentinel.formats.format import LogFormat, Malformed, Stream, as_text
from sentinel.formats.mailed import domain_of, mailbox
from sentinel.formats.pattern import Pattern
from sentinel.formats.times import read_time
from sentinel.observation import Action, Observation

IN_QUEUE = 5_000
"""Mails whose sender is remembered at the most; the longest known is forgotten first."""

# An address is quoted where it holds odd signs; a blank or a bracket outside of quotes is none of an address's.
_ADDRESS = r'((?:"(?:[^"\\]|\\.)*+"|[^<>"\s])*+)'
_PROGRAM = Pattern(r"postfix[\w.-]*/(?:[\w.-]+/)*(?P<name>[a-z-]+)\Z", re.ASCII)
_QUEUED = Pattern(rf"(?P<id>[0-9A-Za-z]{{6,32}}): from=<{_ADDRESS}>, size=\d+, nrcpt=\d+ \(queue active\)\Z", re.ASCII)
_REMOVED = Pattern(r"(?P<id>[0-9A-Za-z]{6,32}): removed\Z", re.ASCII)
_DELIVERY = Pattern(
    rf"(?P<id>[0-9A-Za-z]{{6,32}}): to=<{_ADDRESS}>, (?:orig_to=<{_ADDRESS}>, )?relay=(?P<relay>[^,]*), (?:conn_use=\d+, )?"
    r"delay=[^,]*, (?:delays=[^,]*, )?dsn=[\d.]+, status=(?P<status>[a-z]+)(?: \((?P<said>.*))?",
    re.ASCII | re.DOTALL,
)
_REJECTED = Pattern(rf"; from=<{_ADDRESS}> to=<{_ADDRESS}> proto=\w+(?: sasl_\w+=\S+)*(?: helo=<[^<>]*>)?\Z", re.ASCII)
_REFUSAL = Pattern(r"(?:NOQUEUE|[0-9A-Za-z]{6,32}): (?:milter-)?reject: RCPT from ", re.ASCII)
_LOCAL_AGAIN = Pattern(r"(?:127\.\d+\.\d+\.\d+|localhost|\[?::1\]?)\[", re.ASCII)
_OURS = Pattern(r"(?:\A|[ >])postfix[\w.-]*/[\w./-]{1,40}(?:\[\d+\]: | \d+ \S+ )", re.ASCII)
_MANAGERS = frozenset({"qmgr", "nqmgr"})
_DOORS = frozenset({"smtpd", "postscreen"})
_KEPT_OUT = frozenset({"bounced", "expired"})


def recognise(records: Sequence[bytes]) -> float:
    """Return the share of *records* that a program of Postfix wrote, 0.0 to 1.0."""
    return sum(_OURS.search(as_text(record)) is not None and _read(record) is not None for record in records) / max(
        1, len(records)
    )


def parse(record: bytes, stream: Stream) -> Sequence[Observation]:
    """Return the mail that a record tells of: a delivery, or a refusal. Who sent it is the client's word; the mailbox is ours.

    Raises:
        Malformed: No record of Postfix, or one without a time.
    """
    read = _read(record)
    if read is None:
        raise Malformed("no 'postfix/program[pid]: '")
    program, envelope = read
    if program in _MANAGERS:
        _remember(envelope.message, stream)
        return ()
    if program in _DOORS and _REFUSAL.match(envelope.message):
        return _refused(envelope, stream)
    return _delivered(envelope, stream)


def follow(header: Sequence[str]) -> Sequence[bytes]:
    """Return what the records hold that go on with a mail whose sender is known."""
    return [f" {one.partition(' ')[0]}: ".encode() for one in header]


def _read(record: bytes) -> tuple[str, Envelope] | None:
    envelope = peel(as_text(record))
    found = _PROGRAM.match(envelope.program or "")
    return (found["name"], envelope) if found else None


def _remember(message: str, stream: Stream) -> None:
    queued = _QUEUED.match(message)
    found = queued or _REMOVED.match(message)
    if found is None:
        return
    others = [one for one in stream.header if not one.startswith(found["id"] + " ")]
    sender = domain_of(queued[2]) if queued else None
    stream.header = (*others[-IN_QUEUE + 1 :], *([f"{found['id']} {sender}"] if sender else []))


def _delivered(envelope: Envelope, stream: Stream) -> Sequence[Observation]:
    found = _DELIVERY.match(envelope.message)
    if found is None:
        return ()
    sender = next((one.partition(" ")[2] for one in stream.header if one.startswith(found["id"] + " ")), None)
    if sender is None or found["status"] not in ("sent", *_KEPT_OUT):  # a deferred one is tried again
        return ()
    if "queued as" in (found["said"] or "") and _LOCAL_AGAIN.match(found["relay"]):
        return ()  # to a filter on this machine, which hands it in again under an id of its own
    return _mail(envelope, stream, sender, found[2], "blocked" if found["status"] in _KEPT_OUT else "allowed", found["id"])


def _refused(envelope: Envelope, stream: Stream) -> Sequence[Observation]:
    # What is refused may be any text of the client's, this pattern's own too.
    found = _REJECTED.search(envelope.message) if envelope.message.count("; from=<") == 1 else None
    sender = domain_of(found[1]) if found else None
    return _mail(envelope, stream, sender, found[2], "blocked", None) if found and sender else ()


def _mail(
    envelope: Envelope, stream: Stream, sender: str, address: str, action: Action, flow: str | None
) -> Sequence[Observation]:
    box = mailbox(address)
    if box is None:
        return ()
    if envelope.time_text is None:
        raise Malformed("no time")
    return (
        Observation(
            time=read_time(envelope.time_text, stream.clock),
            time_text=envelope.time_text,
            kind="mail",
            user=box,
            name=sender,
            action=action,
            flow=flow,
            resolver=envelope.host,
        ),
    )


FORMAT = LogFormat(
    name="postfix",
    title="Postfix mail log: queue manager, deliveries and refusals",
    reference="https://www.postfix.org/OVERVIEW.html",
    recognise=recognise,
    parse=parse,
    signs=(b"postfix",),
    yields=("mail",),
    tested_with="Postfix 3.7.11",
    follow=follow,
)
