"""Windows events as XML: elements by name, and no text that becomes another element."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.formats import FORMATS
from sentinel.formats.format import Malformed, Stream
from sentinel.formats.mapping.shapes import xml_rows
from tests.formats.samples import DATA, clock, records

EVENT = (
    "<Event xmlns='x'><System><EventID>22</EventID><TimeCreated SystemTime=\"2026\"/></System><EventData>{}</EventData></Event>"
)


def read(data: str):
    (row,) = xml_rows(EVENT.format(data).encode("utf-8", "surrogateescape"))
    return row.values


def test_elements_attributes_and_named_data_are_fields():
    """Either kind of quotes stands around an attribute."""
    values = read("<Data Name='QueryName'>a.example</Data><Data Name=\"User\">CORP\\jdoe</Data><Data>bare</Data>")
    assert values["EventID"] == "22"
    assert values["TimeCreated.SystemTime"] == "2026"
    assert (values["QueryName"], values["User"], values["Data"]) == ("a.example", "CORP\\jdoe", "bare")


def test_what_was_escaped_is_a_text():
    """A command line may hold what looks like an element: it is none."""
    values = read(
        "<Data Name='User'>jdoe</Data><Data Name='CommandLine'>&lt;Data Name='User'&gt;chief&lt;/Data&gt; &amp;amp;</Data>"
    )
    assert values["User"] == "jdoe"
    assert values["CommandLine"] == "<Data Name='User'>chief</Data> &amp;"


def test_a_user_that_is_given_twice_is_none():
    """Whoever could add an element could add a user."""
    line = next(line for line in records(DATA / "sysmon_xml" / "after-reference.xml") if b"App.ClearView" in line)
    (seen,) = FORMATS["sysmon-xml"].parse(
        line.replace(b"</EventData>", b"<Data Name='User'>chief</Data></EventData>"), Stream(clock())
    )
    assert (seen.user, seen.claimed_user, seen.name) == (None, None, "app.clearview.ai")


@pytest.mark.parametrize("record", [b"", b"<Event>", b"<Event></System>", b"x" * 600 + b"<Event></Event>", b"</Event><Event>"])
def test_a_piece_of_an_event_is_malformed(record):
    """An event over several lines is counted as what it is: not read."""
    with pytest.raises(Malformed):
        xml_rows(record)


@given(text=st.text(max_size=60))
def test_any_text_is_a_row_or_malformed(text):
    """And no text of `Data` changes the number of the event."""
    for record in (text, EVENT.format(text), f"<Event {text}></Event>"):
        try:
            xml_rows(record.encode("utf-8", "surrogateescape"))
        except Malformed:
            continue
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert read(f"<Data Name='X'>{escaped}</Data>")["EventID"] == "22"
