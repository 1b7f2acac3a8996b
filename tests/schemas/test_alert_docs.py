"""docs/alerts.md says what the code does, and no more."""

from sentinel.schemas import SCHEMAS
from sentinel.schemas.text import TYPES
from tests.tools.make_alert_docs import DOCUMENT, TITLE, document, examples


def test_the_page_is_what_the_code_makes():
    """To renew it: python tests/tools/make_alert_docs.py"""
    assert DOCUMENT.read_text() == document()


def test_every_schema_and_every_kind_has_its_example():
    """A new one comes with its part of the page."""
    assert set(TITLE) == set(SCHEMAS)
    assert [one.kind for one in examples()] == list(TYPES)


def test_examples_for_people_name_no_host_that_a_program_would_look_up():
    """The page is read in browsers, which look ahead; only fields for machines hold plain names."""
    assert not any("clearview.ai" in one.text for one in examples())
