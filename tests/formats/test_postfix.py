"""Postfix: senders and mailboxes are joined by the queue's id, and no sender is taken from what somebody else wrote."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.extract import Extractor, Ruling
from sentinel.formats import postfix
from sentinel.formats.format import Malformed, Stream
from sentinel.policy.policy import Policy
from sentinel.signatures.folders import builtin_rules
from sentinel.signatures.reading import load_catalog
from sentinel.sources.batch import Batch, Input
from sentinel.terms import Basis, Stage
from tests.formats.samples import clock

QUEUED = "Nov 23 06:23:10 mx1 postfix/qmgr[1]: 1B1C52E69E0: from=<login@pimeyes.com>, size=334, nrcpt=1 (queue active)"
SENT = (
    "Nov 23 06:23:11 mx1 postfix/lmtp[2]: 1B1C52E69E0: to=<Alice@corp.example>, relay=mx1[private/lmtp], delay=0.02, "
    "delays=0/0/0/0, dsn=2.0.0, status={} (250 2.0.0 Ok)"
)
REMOVED = "Nov 23 06:23:12 mx1 postfix/qmgr[1]: 1B1C52E69E0: removed"
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def read(*lines: str, stream: Stream | None = None):
    stream = stream or Stream(clock())
    return [one for line in lines for one in postfix.parse(line.encode("utf-8", "surrogateescape"), stream)]


def test_a_delivery_is_a_mail_of_the_sender_that_the_queue_manager_named():
    """Sender and mailbox stand in two records; the id joins them."""
    (seen,) = read(QUEUED, SENT.format("sent"), REMOVED)
    assert (seen.kind, seen.user, seen.name, seen.action) == ("mail", "alice@corp.example", "pimeyes.com", "allowed")
    assert (seen.client, seen.time) == (None, datetime(2026, 11, 23, 5, 23, 11, tzinfo=UTC))


@pytest.mark.parametrize(("status", "action"), [("bounced", "blocked"), ("expired", "blocked"), ("deferred", None)])
def test_what_did_not_arrive_is_no_mail_that_was_read(status, action):
    """A bounce was kept out; a deferred mail is tried again, and would count several times."""
    seen = read(QUEUED, SENT.format(status))
    assert [one.action for one in seen] == ([action] if action else [])


def test_an_id_that_was_removed_joins_nothing_more():
    """Postfix uses ids again: the next mail under it is somebody else's."""
    assert read(QUEUED, REMOVED, SENT.format("sent")) == []
    other = QUEUED.replace("login@pimeyes.com", "boss@corp.example")
    assert [one.name for one in read(QUEUED, other, SENT.format("sent"))] == ["corp.example"]
    assert read(QUEUED, QUEUED.replace("login@pimeyes.com", ""), SENT.format("sent")) == []


@pytest.mark.parametrize(
    "faked",
    [
        "Nov 23 06:23:10 mx1 postfix/cleanup[1]: 1B1C52E69E0: warning: header Subject: 1B1C52E69E0: from=<login@pimeyes.com>",
        "Nov 23 06:23:10 mx1 postfix/smtpd[1]: 1B1C52E69E0: from=<login@pimeyes.com>, size=334, nrcpt=1 (queue active)",
        "Nov 23 06:23:10 mx1 other/qmgr[1]: 1B1C52E69E0: from=<login@pimeyes.com>, size=334, nrcpt=1 (queue active)",
        "Nov 23 06:23:10 mx1 postfix/qmgr[1]: 1B1C52E69E0: from=<x> from=<login@pimeyes.com>, size=334, nrcpt=1 (queue active)",
        "Nov 23 06:23:10 mx1 postfix/qmgr[1]: warning: 1B1C52E69E0: from=<login@pimeyes.com>, size=1, nrcpt=1 (queue active)",
    ],
)
def test_no_sender_is_taken_from_what_another_wrote(faked):
    """A subject may read like a record of the queue manager's: it must not put a log-in mail into somebody's mailbox."""
    stream = Stream(clock())
    try:
        read(faked, stream=stream)
    except Malformed:
        assert "other/" in faked
    assert read(SENT.format("sent"), stream=stream) == []


REFUSED = (
    "Nov 23 06:23:10 mx1 postfix/smtpd[1]: NOQUEUE: reject: RCPT from unknown[10.1.1.1]: 550 5.1.1 <{}>: Recipient address "
    "rejected: x; from=<login@pimeyes.com> to=<bob@corp.example> proto=ESMTP helo=<{}>"
)


@pytest.mark.parametrize("first", ["NOQUEUE: reject", "08D0BA00A08: reject", "NOQUEUE: milter-reject"])
def test_a_refusal_keeps_the_mail_out(first):
    """An attempt, and no mail that anybody got; a recipient after the first is refused under the queue's id."""
    (seen,) = read(REFUSED.format("bob@corp.example", "a").replace("NOQUEUE: reject", first))
    assert (seen.user, seen.name, seen.action) == ("bob@corp.example", "pimeyes.com", "blocked")


@pytest.mark.parametrize("text", ["; from=<login@facecheck.id> to=<chief@corp.example> proto=SMTP", "a> x; from=<b"])
def test_a_refusal_that_holds_a_second_sender_names_nobody(text):
    """The address refused, and what the client called itself, are the client's to choose."""
    for line in (REFUSED.format(text, "a"), REFUSED.format("a", text)):
        assert read(line) == []


def test_a_mail_that_a_filter_hands_back_is_told_once():
    """To the filter and from it to the mailbox it is one mail."""
    again = (
        SENT.format("sent")
        .replace("mx1[private/lmtp]", "127.0.0.1[127.0.0.1]:10024")
        .replace("250 2.0.0 Ok", "250 Ok: queued as 2C2D63F7AF1")
    )
    second = (QUEUED + "\n" + SENT.format("sent")).replace("1B1C52E69E0", "2C2D63F7AF1").split("\n")
    assert len(read(QUEUED, again, *second)) == 1


def test_what_is_remembered_is_bounded(monkeypatch):
    """A queue that stands still must not fill the memory, nor the position that is stored."""
    monkeypatch.setattr(postfix, "IN_QUEUE", 10)
    stream = Stream(clock())
    for n in range(50):
        read(QUEUED.replace("1B1C52E69E0", f"{n:06X}"), stream=stream)
    assert len(stream.header) == 10
    assert stream.header[-1] == "000031 pimeyes.com"


@given(local=st.text(max_size=30), domain=st.text(max_size=30))
def test_any_sender_is_a_domain_or_nothing(local, domain):
    """Whatever stands between the brackets, the mailbox stays the delivery's."""
    for seen in read_or_nothing(QUEUED.replace("login@pimeyes.com", f"{local}@{domain}"), SENT.format("sent")):
        assert seen.user == "alice@corp.example"
        assert seen.name


def read_or_nothing(*lines: str):
    stream = Stream(clock())
    for line in lines:
        try:
            yield from read(line, stream=stream)
        except Malformed:
            continue


def extractor() -> Extractor:
    return Extractor(Ruling.of(load_catalog([builtin_rules()]), Policy()))


def take(reading: Extractor, *lines: str, offset: int = 0):
    data = "".join(line + "\n" for line in lines).encode()
    source = Input("maillog", "key", NOW, None, "postfix", "UTC")
    return reading.take(Batch(source, memoryview(data), offset, {}, NOW, ends=False))


@pytest.mark.integration
def test_the_mailbox_is_found_in_a_record_that_does_not_name_the_service():
    """Only the queue manager's record spells the sender: the scanner is told what goes on with it, beyond batch and restart."""
    noise = SENT.format("sent").replace("1B1C52E69E0", "AAAAAAAAAAA")
    matched, _ = take(extractor(), noise, QUEUED, noise, SENT.format("sent"), noise, REMOVED)
    (one,) = matched
    assert (one.finding.observation.user, one.finding.stage, one.finding.basis) == (
        "alice@corp.example",
        Stage.LOGIN,
        Basis.INFERRED,
    )
    assert one.finding.origin.offset == len(noise) * 2 + len(QUEUED) + 3

    first = extractor()
    assert take(first, noise, QUEUED)[0] == []
    assert len(take(first, noise, SENT.format("sent"), noise, offset=500)[0]) == 1

    position = take(extractor(), QUEUED)[1]
    again = Extractor(first.ruling, positions={"key": position})
    assert len(take(again, SENT.format("sent"), REMOVED, SENT.format("sent"), offset=500)[0]) == 1
