"""Unbound's log: queries, replies and decisions, in each of its time formats."""

from __future__ import annotations

import pytest

from sentinel.formats import unbound
from sentinel.formats.format import Malformed, Stream
from tests.formats.samples import clock


def read(line: str):
    """Return the observations of a line."""
    return unbound.parse(line.encode(), Stream(clock()))


@pytest.mark.parametrize(
    ("before", "text"),
    [
        ("[1795410884] unbound[13693:1] info: ", "1795410884"),
        ("[1795410884] unbound[13693:1] query: ", "1795410884"),
        ("Nov 23 06:14:44 unbound[13693:1f] info: ", "Nov 23 06:14:44"),
        ("2026-11-23T06:14:44.000+01:00 unbound[47:0] info: ", "2026-11-23T06:14:44.000+01:00"),
        ("2026-11-23T06:14:44+01:00 gw1 unbound: [13696:0] info: ", "2026-11-23T06:14:44+01:00"),
        ("<30>Nov 23 06:14:44 gw1 unbound[13696]: [13696:1f] info: ", "Nov 23 06:14:44"),
    ],
)
def test_a_query_at_each_kind_of_time(before, text):
    """Epoch, ASCII (local, without a year), ISO, and what syslog puts before."""
    (seen,) = read(before + "10.20.30.11 PimEyes.com. A IN")
    assert (seen.kind, seen.client, seen.name, seen.query_type) == ("dns_query", "10.20.30.11", "pimeyes.com", "A")
    assert (seen.time.isoformat(), seen.time_text) == ("2026-11-23T05:14:44+00:00", text)


@pytest.mark.parametrize(
    ("said", "server", "action"),
    [
        ("NOERROR 0.000724 0 60", None, None),
        ("NXDOMAIN 0.000000 1 60", None, None),
        ("REFUSED 0.000000 0 60", None, "blocked"),
        ("NOERROR 0.000465 0 60 on udp 10.20.30.55 53", "10.20.30.55", None),
    ],
)
def test_a_reply_is_the_answer_to_a_query_and_no_second_one(said, server, action):
    """Query and reply differ only in the number of words: counted alike, each look-up would be two."""
    (seen,) = read(f"[1795410884] unbound[13693:1] info: 2001:db8::11 pimeyes.com. AAAA IN {said}")
    assert (seen.kind, seen.client, seen.name, seen.server, seen.action) == (
        "dns_answer",
        "2001:db8::11",
        "pimeyes.com",
        server,
        action,
    )


@pytest.mark.parametrize(
    ("said", "action"),
    [
        ("pimeyes.com. always_nxdomain", "blocked"),
        ("static", "blocked"),
        ("pimeyes.com. transparent", "allowed"),
        ("pimeyes.com. inform", "allowed"),
        ("pimeyes.com. some_new_action", None),
        ("rpz: applied [corp policy] pimeyes.com. rpz-nxdomain", "blocked"),
        ("rpz: applied pimeyes.com. rpz-drop", "blocked"),
        ("rpz: applied [corp-policy] pimeyes.com. rpz-passthru", "allowed"),
    ],
)
def test_what_was_decided_of_a_query(said, action):
    """Local zones and RPZ: an action that is not known is not guessed."""
    (seen,) = read(f"[1795410884] unbound[13693:1] info: {said} 10.20.30.15@42739 app.pimeyes.com. A IN")
    assert (seen.kind, seen.client, seen.client_port, seen.name, seen.action) == (
        "dns_answer", "10.20.30.15", 42739, "app.pimeyes.com", action,
    )  # fmt: skip


@pytest.mark.parametrize(
    "said",
    [
        "info: start of service (unbound 1.17.1).",
        "info: generate keytag query _ta-4f66. NULL IN",
        "info: average recursion processing time 0.0075 sec",
        "info:    0.000256    0.000512 9",
        "reply: 10.20.30.11 - - - FORMERR - - -",
        "error: SERVFAIL <pimeyes.com. A IN>: all servers failed",
        "notice: init module 0: respip",
    ],
)
def test_other_messages_tell_of_no_access(said):
    """Four words are not yet a query: the first has to be an address."""
    assert read(f"[1795410884] unbound[13693:1] {said}") == ()


@pytest.mark.parametrize(
    "line", ["", "10.20.30.11 pimeyes.com. A IN", "Nov 23 06:14:44 gw1 named[1]: [1:0] info: 10.20.30.11 pimeyes.com. A IN"]
)
def test_another_shape_is_malformed(line):
    """Without Unbound's own mark before it, such a line may be anybody's."""
    with pytest.raises(Malformed):
        read(line)
