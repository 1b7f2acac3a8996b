"""Exchange's tracking log and Microsoft 365's message trace: who got a mail, and that no subject says so."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.extract import Extractor, Ruling
from sentinel.formats import tracked_mail
from sentinel.formats.format import Malformed, Stream
from sentinel.policy.policy import Policy
from sentinel.signatures.folders import builtin_rules
from sentinel.signatures.reading import load_catalog
from sentinel.sources.batch import Batch, Input
from sentinel.terms import Basis, Stage
from tests.formats.samples import DATA, clock, records

TRACKING = [line for line in records(DATA / "exchange_tracking" / "after-reference.log") if line]
TRACE = [line for line in records(DATA / "m365_trace_csv" / "after-reference.csv") if line]
HEADER, DELIVERED = TRACKING[4].rstrip(b"\r"), TRACKING[7].rstrip(b"\r")


def tracked(line: bytes, header: bytes = HEADER):
    return tracked_mail.parse_tracking(line, Stream(clock(), tracked_mail.read_header(header, ())))


def test_each_mailbox_that_got_the_mail_is_told():
    """A mail to two people is a mail to each of them; the servers' addresses accuse nobody."""
    seen = tracked(DELIVERED)
    assert [(one.kind, one.user, one.name, one.client) for one in seen] == [
        ("mail", "alice@corp.example", "clearview.ai", None),
        ("mail", "bob@corp.example", "clearview.ai", None),
    ]
    assert seen[0].names == ("mail.clearview.ai",)
    assert seen[0].time == datetime(2026, 11, 23, 4, 34, 2, 123000, UTC)


def test_of_the_many_records_of_a_mail_one_counts():
    """Arrival, agents and copies are the same mail; one that gave up kept it out."""
    events = {line: len(tracked(line.rstrip(b"\r"))) for line in TRACKING[5:]}
    assert list(events.values()) == [0, 0, 2, 1, 0]
    (failed,) = tracked(TRACKING[8].rstrip(b"\r"))
    assert failed.action == "blocked"


def test_the_columns_are_the_headers():
    """Versions have other columns in another order, and a file may change them on the way."""
    header = b"#Fields: event-id,date-time,sender-address,recipient-address"
    (seen,) = tracked(b"DELIVER,2026-11-23T04:34:02.123Z,login@pimeyes.com,bob@corp.example", header)
    assert (seen.user, seen.name) == ("bob@corp.example", "pimeyes.com")


def test_without_a_header_the_number_of_columns_tells_the_version():
    """A collector that sends record by record has none to send."""
    assert len(tracked_mail.parse_tracking(DELIVERED, Stream(clock()))) == 2
    with pytest.raises(Malformed, match="no header"):
        tracked_mail.parse_tracking(b"2026-11-23T04:34:02.123Z,a,b", Stream(clock()))


@pytest.mark.parametrize("subject", [b'x"",login@pimeyes.com,chief@corp.example', b"a,login@pimeyes.com", b'""', b'a"'])
def test_a_subject_moves_no_column(subject):
    """What is not quoted as it should be is refused and counted, and nobody gets another's mail."""
    line = DELIVERED.replace(b'"Your code, from=<x@y> ""1234"""', subject)
    try:
        boxes = {one.user for one in tracked(line)}
    except Malformed:
        boxes = None
    assert boxes in (None, {"alice@corp.example", "bob@corp.example"})


def test_a_trace_tells_of_each_recipient_what_became_of_it():
    """One got it, for the other it failed: only the first can have read it."""
    stream = Stream(clock(), tracked_mail.read_header(TRACE[0], ()))
    first = tracked_mail.parse_trace(TRACE[1], stream)
    assert [(one.user, one.action) for one in first] == [("alice@corp.example", "allowed"), ("bob@corp.example", "blocked")]
    (spam,) = tracked_mail.parse_trace(TRACE[2], stream)
    assert (spam.user, spam.name, spam.action) == ("carol@corp.example", "pimeyes.com", "blocked")


@given(data=st.data())
def test_any_cells_are_mails_or_malformed(data):
    """Subjects, names and addresses are written by strangers."""
    cells = data.draw(st.lists(st.text(max_size=12), min_size=0, max_size=32))
    for parse, header in ((tracked_mail.parse_tracking, HEADER), (tracked_mail.parse_trace, TRACE[0])):
        try:
            parse(",".join(cells).encode("utf-8", "surrogateescape"), Stream(clock(), tracked_mail.read_header(header, ())))
        except Malformed:
            continue


def test_each_mailbox_is_a_finding_with_a_stage_of_its_own():
    """An invitation to two people must not count for one of them only; that they used it is inferred."""
    ruling = Ruling.of(load_catalog([builtin_rules()]), Policy())
    now = datetime(2026, 11, 24, tzinfo=UTC)
    source = Input("MSGTRK.LOG", "key", now, None, "exchange-tracking", "UTC")
    matched, _ = Extractor(ruling).take(Batch(source, memoryview(b"\n".join(TRACKING)), 0, {}, now, ends=True))
    found = {one.finding.id: one.finding for one in matched}
    assert {(one.observation.user, one.stage, one.basis, one.reached) for one in found.values()} == {
        ("alice@corp.example", Stage.LOGIN, Basis.INFERRED, True),
        ("bob@corp.example", Stage.LOGIN, Basis.INFERRED, True),
        ("carol@corp.example", Stage.LOOKUP, Basis.OBSERVED, False),
    }
