"""What all schemas share: nothing that steers a terminal or a parser, and no name that a chat program looks up."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.schemas.text import clean, cut, one_sentence, stamp
from tests.schemas.alerts import HOSTILE, START, alert, session


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain ü", "plain ü"),
        ("a\nb", r"a\x0ab"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\udcff", r"\xff"),
        ("\u2028\u202e", r"\u2028\u202e"),
        ("\U000e0001", r"\U000e0001"),
    ],
)
def test_what_is_not_printable_is_written_out(text, expected):
    """A byte that was no UTF-8 comes back as that byte, so that an investigator can find it in the log."""
    assert clean(text) == expected


@given(HOSTILE)
def test_clean_text_is_one_printable_line(text):
    """Whatever came off the wire; cleaning it twice changes nothing more."""
    assert clean(text).isprintable()
    assert clean(clean(text)) == clean(text)


@given(HOSTILE.map(clean), st.integers(3, 50))
def test_a_cut_text_has_at_most_so_many_bytes(text, most):
    """Limits are in bytes; half a character would make the whole document invalid."""
    short = cut(text, most)
    assert len(short.encode()) <= most
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]))


def test_no_host_name_in_a_sentence_is_one_that_a_chat_program_looks_up():
    """The preview of "FaceCheck.ID" would be the look-up that is reported, made by the analyst."""
    of = session(service_name="FaceCheck.ID", names=("www.facecheck.id",))
    said = one_sentence(alert(of, text="bob saw FaceCheck.ID (WWW.facecheck.id, www.facecheck[.]id)\n"))
    assert said == r"bob saw FaceCheck[.]ID (WWW.facecheck[.]id, www.facecheck[.]id)\x0a"


def test_an_alert_without_a_session_has_a_sentence_too():
    """A silent source has nothing but its text."""
    assert one_sentence(replace(alert(), session=None, text="squid fell silent")) == "squid fell silent"


def test_times_have_milliseconds_and_a_z():
    """Some receivers take no more than three digits, and no offset."""
    assert stamp(START) == "2026-11-23T05:00:00.123Z"
