"""Windows DNS's debug log: who asked, in whichever locale, under which name."""

from __future__ import annotations

from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.formats import windows_dns
from sentinel.formats.clock import StreamClock
from sentinel.formats.format import Malformed, Stream
from sentinel.formats.reader import Reader
from tests.formats.samples import WRITTEN

REST = "0E70 PACKET  00000000033397A0 UDP {way} 10.0.0.5    5b47 {r} Q [{flags}   D   NOERROR] A      {name}"


def read(line: str | bytes, timing: StreamClock | None = None):
    """Return the observations of a line; local time is UTC."""
    record = line.encode() if isinstance(line, str) else line
    return windows_dns.parse(record, Stream(timing or StreamClock(UTC, WRITTEN)))


def packet(date="6/15/2023 10:00:32 AM", way="Rcv", r=" ", flags="0001", name="(7)PimEyes(3)com(0)"):
    """Return a packet's line."""
    return f"{date} {REST.format(way=way, r=r, flags=flags, name=name)}"


@pytest.mark.parametrize(
    ("way", "r", "flags", "kind"),
    [
        ("Rcv", " ", "0001", "dns_query"),
        ("Rcv", " ", "1001", "dns_query"),
        ("Snd", "R", "8081", "dns_answer"),
        ("Snd", " ", "8081", "dns_answer"),
        ("Snd", " ", "0001", None),
        ("Rcv", "R", "8081", None),
        ("Rcv", "R", "0080", None),
        ("Rcv", " ", "2084", None),
    ],
)
def test_only_questions_that_came_and_answers_that_went_are_a_clients(way, r, flags, kind):
    """The server's own questions name another server: it must not be accused. Where R is missing the flags tell."""
    seen = read(packet(way=way, r=r, flags=flags))
    assert [(one.kind, one.client, one.name, one.query_type) for one in seen] == (
        [(kind, "10.0.0.5", "pimeyes.com", "A")] if kind else []
    )


@pytest.mark.parametrize(
    ("date", "time"),
    [
        ("6/15/2023 10:00:32 AM", "2023-06-15T10:00:32"),
        ("6/15/2023 12:43:31 AM", "2023-06-15T00:43:31"),
        ("6/15/2023 12:43:31 PM", "2023-06-15T12:43:31"),
        ("6/15/2023 1:13:10\u202fPM", "2023-06-15T13:13:10"),
        ("15/06/2023 21:46:04", "2023-06-15T21:46:04"),
        ("15/06/2023 9:46:04 p. m.", "2023-06-15T21:46:04"),
        ("15.06.2023 10:00:32", "2023-06-15T10:00:32"),
        ("15. 6. 2023 9:00:32", "2023-06-15T09:00:32"),
        ("15.6.2023 г. 9:00:32", "2023-06-15T09:00:32"),
        ("15/06/2023 10.00.32", "2023-06-15T10:00:32"),
        ("15-6-2023 10:00:32", "2023-06-15T10:00:32"),
        ("2023/06/15 11:48:27", "2023-06-15T11:48:27"),
        ("2023/06/15 09:00:00 PM", "2023-06-15T21:00:00"),
        ("2023-06-15 11:48:27", "2023-06-15T11:48:27"),
        ("2023. 06. 15. 11:48:27", "2023-06-15T11:48:27"),
        ("2023/6/15 午後 3:04:05", "2023-06-15T15:04:05"),
        ("2023-06-15 오전 3:04:05", "2023-06-15T03:04:05"),
        ("15/6/2566 10:00:32", "2023-06-15T10:00:32"),
        ("06/15/23 10:00:32 AM", "2023-06-15T10:00:32"),
    ],
)
def test_the_dates_of_each_locale(date, time):
    """The server's regional settings decide: a date misread puts an access on another day."""
    (seen,) = read(packet(date))
    assert (seen.time.isoformat(), seen.time_text) == (time + "+00:00", date)


def test_the_order_of_day_and_month_is_learned_from_the_file():
    """5/6 is in May or in June: one date with a part above twelve tells for all, wherever in the file it stands."""
    reading = Reader(windows_dns.FORMAT, StreamClock(UTC, WRITTEN))
    reading.learn([packet("05/06/2023 10:00:32").encode(), packet("13/06/2023 10:00:32").encode()])
    (seen,) = reading.parse(packet("05/06/2023 10:00:32").encode())
    assert seen.time.isoformat() == "2023-06-05T10:00:32+00:00"
    assert not any("stands first" in said for said in reading.assumptions())
    again = Reader(windows_dns.FORMAT, StreamClock(UTC, WRITTEN))
    again.restore(reading.state())
    (seen,) = again.parse(packet("05/06/2023 10:00:32 AM").encode())
    assert seen.time.month == 6


@pytest.mark.parametrize(
    ("date", "month", "said"), [("5/6/2023 10:00:32 AM", 5, "month first"), ("05/06/2023 10:00:32", 6, "day first")]
)
def test_where_no_date_shows_the_order_the_likely_one_is_taken_and_told(date, month, said):
    """Halves of the day go with the month first, as in America; whoever reads the report has to know."""
    timing = StreamClock(UTC, WRITTEN)
    (seen,) = read(packet(date), timing)
    assert seen.time.month == month
    assert any(said in sentence for sentence in timing.assumptions())


@pytest.mark.parametrize(
    ("name", "dotted"),
    [
        ("(0)", None),
        (".Ns1.example.com.", "ns1.example.com"),
        ("(3)a.b(3)com(0)", "a\\046b.com"),
        ("(6)a(3)bc(3)com(0)", "a(3)bc.com"),
        ("(7)b\u00fccher(3)com(0)", "b\u00fccher.com"),
        ("(4)x yz(3)com(0) ", "x yz.com"),
    ],
)
def test_a_label_has_as_many_bytes_as_its_number_says(name, dotted):
    """Labels may hold dots, brackets, blanks and other bytes; a dot inside one is no boundary."""
    (seen,) = read(packet(name=name))
    assert seen.name == dotted


@given(
    st.lists(
        st.binary(min_size=1, max_size=20).map(lambda label: label.replace(b"\r", b"r").replace(b"\n", b"n")),
        min_size=1,
        max_size=6,
    )
)
def test_any_labels_come_apart_as_they_were_put_together(labels):
    """Whatever bytes a client asks for, the number of labels and their lengths hold."""
    written = b"".join(b"(%d)%s" % (len(label), label) for label in labels) + b"(0)"
    (seen,) = read(packet(name="@").encode().replace(b"@", written))
    assert seen.name is None or seen.name.count(".") <= len(labels)


@pytest.mark.parametrize(
    "line",
    [
        "UDP question info at 00000000033397A0",
        '    Name      "(7)pimeyes(3)com(0)"',
        "Message logging key (for packets - other items use a subset of these):",
        "6/15/2023 10:00:32 AM 0E70 EVENT   The DNS server has started.",
        packet().replace(" Q [", " U ["),
    ],
)
def test_details_legend_events_and_updates_tell_of_no_look_up(line):
    """Details repeat the name of the packet above them: told again it would be another look-up."""
    assert read(line) == ()


@pytest.mark.parametrize(
    "line",
    [
        "pimeyes.com",
        packet().partition(" Q [")[0],
        packet(date="6/31/2023 10:00:32 AM"),
        packet(date="6/15/2023 13:00:32 PM"),
        packet(date="6/15/2023 1:00:32 xx"),
        packet(name="(9)pimeyes(3)com(0)"),
        packet(name="(7)pimeyes(3)com"),
        packet(name="(7)pimeyes(3)com(0)x"),
        packet(name="(64)" + "a" * 64 + "(0)"),
    ],
)
def test_another_shape_is_malformed(line):
    """Nothing is guessed from half a line, nor from a word that may mean morning or afternoon."""
    with pytest.raises(Malformed):
        read(line)
