"""Infoblox NIOS: its answers are told as such, beside the queries that BIND's own records tell."""

from __future__ import annotations

import pytest

from sentinel.formats import bind_query
from sentinel.formats.format import Stream
from tests.formats.samples import clock

ANSWER = (
    "<150>Nov 23 06:13:41 nios01 named[1]: {before}23-Nov-2026 06:13:41.012 client 10.0.0.5#40112:{view} UDP: query: "
    "App.ClearView.ai IN A response: {code} +A{records}"
)


def read(before="", view="", code="NOERROR", records=""):
    line = ANSWER.format(before=before, view=view, code=code, records=records)
    (seen,) = bind_query.parse(line.encode(), Stream(clock()))
    return seen


@pytest.mark.parametrize("before", ["", "infoblox-responses: "])
@pytest.mark.parametrize("view", ["", " view 3:"])
def test_an_answer_is_the_clients(before, view):
    """Whatever the member writes around it."""
    seen = read(before, view, records=" app.clearview.ai. 60 IN CNAME edge.example.net.; edge.example.net. 20 IN A 192.0.2.1;")
    assert (seen.kind, seen.client, seen.client_port, seen.name) == ("dns_answer", "10.0.0.5", 40112, "app.clearview.ai")
    assert (seen.names, seen.answers, seen.query_type) == (("edge.example.net",), ("edge.example.net.", "192.0.2.1"), "A")


def test_names_in_other_records_are_data():
    """A text record may hold any name; nobody asked for it."""
    seen = read(records=' app.clearview.ai. 60 IN TXT "pimeyes.com"; app.clearview.ai. 60 IN MX 10 mx.pimeyes.com.;')
    assert (seen.names, seen.answers) == ((), ())


def test_a_refusal_is_an_attempt():
    """The resolver kept the name from the client."""
    assert read(code="REFUSED").action == "blocked"
    assert read(code="NXDOMAIN").action is None
