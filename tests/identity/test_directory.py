"""Who had an address at a time: somebody is named only where the records leave no other choice."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.identity import Binding, Directory
from sentinel.identity.binding import ALWAYS, FOREVER

NINE = datetime(2026, 3, 1, 9, tzinfo=UTC)
A, B = "02:00:00:00:00:0a", "02:00:00:00:00:0b"


def hour(hours):
    return NINE + timedelta(hours=hours)


def claim(mac=None, since=0, until=2, *, user=None, device=None, address="10.0.0.5"):
    """A claim with its times in hours after nine; datetimes and None as they are."""
    times = [hour(t) if isinstance(t, (int, float)) else t for t in (since, until)]
    return Binding(address, mac, device, user, *times, "lease", "leases", "record")


def who(hours, *claims):
    return Directory(claims).who("10.0.0.5", hour(hours))


@pytest.mark.parametrize("hours", [0, 1, 1.999])
def test_the_only_lease_that_covers_the_time_is_said(hours):
    """From its beginning, inclusive, to its end, exclusive."""
    answer = who(hours, claim(A, device="pc-a"))
    assert answer.said
    assert (answer.said.mac, answer.said.device, answer.said.confidence) == (A, "pc-a", "covered")
    assert "pc-a" in answer.explanation
    assert "cannot say" not in answer.explanation


@pytest.mark.parametrize(
    ("hours", "claims", "why"),
    [
        (1, [], "no identity record names the address"),
        (2, [claim(A)], "expired at 2026-03-01 11:00:00 UTC"),
        (500, [claim(A)], "expired"),
        (-1, [claim(A)], "began only at 2026-03-01 09:00:00 UTC"),
        (3, [claim(A, 0, 2), claim(A, 4, 6)], "expired at 2026-03-01 11:00:00 UTC, and the next one began only at"),
        (1, [claim(A, 0, 2), claim(B, 0.5, 3)], "several claims"),
        (1, [claim(user="ebert"), claim(user="ruiz")], "several claims"),
        (1, [claim(A, device="pc-a"), claim(A, device="pc-b")], "several claims"),
        (1, [claim(A, 0, None)], "no record says how long"),
        (1, [claim(A, None, 2)], "does not say when the lease began"),
        (3, [claim(A, None, 2)], "expired"),
        (1, [claim(A, None, None)], "does not say when the lease began"),
        (1, [claim(A, 0, 2), claim(B, 0.5, None)], "several claims"),
        (1, [claim(A, 0, 2), claim()], "several claims"),
        (1, [claim()], "do not know who"),
    ],
)
def test_where_the_records_leave_a_doubt_nobody_is_said_and_the_reason_is(hours, claims, why):
    """A wrong name in a report is the worst mistake there is; an honest "cannot say" is an answer."""
    answer = who(hours, *claims)
    assert answer.said is None
    assert answer.explanation.startswith("cannot say: ")
    assert why in answer.explanation


def test_a_present_lease_never_relabels_the_past():
    """A snapshot taken today says who has the address today: last month's visit is not theirs."""
    answer = who(1, claim(A, 0, 2), claim(B, 700, 702))
    assert answer.said
    assert answer.said.mac == A
    assert who(650, claim(A, 0, 2), claim(B, 700, 702)).said is None


def test_a_snapshot_without_a_beginning_does_not_contest_a_lease_that_covers_the_time():
    """The lease file of dnsmasq names today's holder; the log of the day in question knows better."""
    answer = who(1, claim(A, 0, 2), claim(B, None, 900))
    assert answer.said
    assert answer.said.mac == A


def test_a_lease_of_unknown_end_is_over_when_the_address_was_given_to_another():
    """The server gave it to B since: A no longer had it."""
    answer = who(1.5, claim(A, 0, None), claim(B, 1, 2))
    assert answer.said
    assert answer.said.mac == B


def test_records_that_agree_complete_each_other():
    """The table knows the person, the lease the device; an address server may have completed the host's name."""
    answer = who(
        1, claim(user="ebert", since=ALWAYS, until=FOREVER), claim(A, device="PC-a"), claim(A, device="pc-a.corp.example.")
    )
    assert answer.said
    assert (answer.said.user, answer.said.mac) == ("ebert", A)
    assert len(answer.candidates) == 1


def test_all_who_compete_are_listed_with_their_reasons():
    """The investigator has to see between whom the records do not decide."""
    answer = who(1, claim(A, user="ebert"), claim(B, user="ruiz"))
    assert {c.user for c in answer.candidates} == {"ebert", "ruiz"}
    assert "ebert" in answer.explanation
    assert "ruiz" in answer.explanation


def test_addresses_compare_in_their_canonical_form():
    """IPv4 addresses arrive mapped into IPv6 from some sensors."""
    assert Directory([claim(A)]).who("::ffff:10.0.0.5", hour(1)).said
    assert Directory([claim(A)]).who("10.0.0.50", hour(1)).said is None
    assert Directory([claim(A)]).who("not an address", hour(1)).said is None


def throughout(start, end, *claims):
    return Directory(claims).throughout("10.0.0.5", hour(start), hour(end))


def test_a_session_that_one_lease_covers_is_its_holder_s():
    """Renewals within a session are no change of hands."""
    answer = throughout(0.5, 1.9, claim(A, 0, 1, device="PC-A"), claim(A, 1, 2, device="pc-a"))
    assert answer.said
    assert answer.said.mac == A
    assert throughout(1, 1, claim(A)).said


@pytest.mark.parametrize(
    ("between", "why"),
    [((claim(B, 1, 1.5),), "changed hands"), ((), "expired"), ((claim(A, 1, 1.5), claim(B, 1, 1.5)), "several")],
)
def test_an_address_that_went_away_and_came_back_names_nobody(between, why):
    """A had it when the session began and when it ended; the search between them was somebody else's, perhaps."""
    answer = throughout(0.5, 1.75, claim(A, 0, 1), *between, claim(A, 1.5, 2))
    assert answer.said is None
    assert why in answer.explanation


def test_what_a_device_calls_itself_cannot_steer_a_terminal():
    """Names come from the network; an explanation goes to people."""
    assert "\x1b" not in who(1, claim(A, device="pc\x1b[2J")).explanation


edges = st.none() | st.integers(0, 9)
claims = st.builds(
    claim,
    st.sampled_from([None, A, B]),
    edges,
    edges,
    user=st.sampled_from([None, "ebert", "ruiz"]),
    device=st.sampled_from([None, "pc-a", "pc-b"]),
)


@given(st.lists(claims, max_size=6), st.integers(-1, 10))
def test_whoever_is_said_has_a_claim_that_covers_the_time_and_nobody_who_differs_has(held, hours):
    """The rule itself, held against every constellation of claims."""
    answer = who(hours, *held)
    if answer.said is None:
        assert answer.explanation.startswith("cannot say")
        return
    covering = [c for c in held if c.since is not None and c.until is not None and c.since <= hour(hours) < c.until]
    assert covering
    for field in ("mac", "device"):
        assert {getattr(c, field) for c in covering} - {None} <= {getattr(answer.said, field)}
    # Who used a device may be open where the device is not; then nobody is said to have.
    assert answer.said.user is None or {c.user for c in covering} - {None} == {answer.said.user}


@given(st.lists(claims, min_size=1, max_size=6), st.integers(-1, 10), st.integers(11, 20))
def test_a_lease_that_began_after_the_time_changes_nothing(held, hours, later):
    """History reads the same today as it did the day after."""
    before, after = who(hours, *held), who(hours, *held, claim("02:00:00:00:00:0c", later, later + 1))
    assert (before.said, before.candidates) == (after.said, after.candidates)


@given(st.lists(st.integers(0, 100), min_size=2, max_size=8, unique=True).map(sorted))
def test_of_leases_that_follow_each_other_each_time_has_its_own_holder(edges):
    """Addresses are handed on all day; each visit belongs to who had the address then."""
    held = [claim(f"02:00:00:00:00:{n:02x}", *span) for n, span in enumerate(pairwise(edges))]
    for n, (start, end) in enumerate(pairwise(edges)):
        answer = who((start + end) / 2, *held)
        assert answer.said
        assert answer.said.mac == f"02:00:00:00:00:{n:02x}"


def test_a_certain_device_is_said_where_the_person_is_not():
    """Two log-ons at one desk: whose desk it was is known, who sat there is not."""
    answer = who(1, claim(A, device="pc-a"), claim(user="ebert", since=0.5, until=None), claim(user="ruiz"))
    assert (answer.said.device, answer.said.user) == ("pc-a", None)
    assert "who used it cannot be said" in answer.explanation
    assert {c.user for c in answer.candidates} == {None, "ebert", "ruiz"}


def test_near_a_change_of_hands_nobody_is_said():
    """Clocks of a lease server and a proxy differ by some seconds or minutes."""
    held = [claim(A, 0, 1), claim(B, 1, 2)]
    assert who(1 - 1 / 60, *held).said is None
    assert "within 2 minutes" in who(1 + 1 / 60, *held).explanation
    assert who(1.1, *held).said.mac == B


def test_log_ons_around_another_device_s_lease_prove_no_stay():
    """The person left and came back; in between the address was somebody else's."""
    held = [claim(user="ebert", since=0, until=9), claim(A, 0, 3), claim(B, 4, 6), claim(A, 7, 9)]
    assert who(1, *held).said.user == "ebert"
    assert (who(5, *held).said.mac, who(5, *held).said.user) == (B, None)


def test_a_person_is_known_by_the_device_wherever_it_is():
    """An inventory, or 802.1X, names the user of a hardware address; the lease says where that was."""
    owner = Binding("", A, None, "ebert", ALWAYS, FOREVER, "inventory", "devices.csv", "record")
    assert who(1, claim(A), owner).said.user == "ebert"
    assert who(1, claim(B), owner).said.user is None


@pytest.mark.parametrize(
    ("claims", "shared"),
    [
        ([claim(user=f"u{n}", since=n / 10, until=5) for n in range(3)], True),
        ([claim(user=f"u{n}", since=n / 10, until=n / 10 + 0.05) for n in range(3)], True),
        ([claim(user=f"u{n}", since=n * 4, until=n * 4 + 1) for n in range(5)], True),
        ([claim(user=f"u{n}", since=n * 4, until=n * 4 + 1) for n in range(4)], False),
        (
            [c for n in range(6) for c in (claim(f"02:00:00:00:01:0{n}", n, n + 1), claim(user=f"u{n}", since=n, until=n + 1))],
            False,
        ),
    ],
)
def test_an_address_that_many_people_share_is_recognised(claims, shared):
    """A NAT or a terminal server that nobody declared; an address that is leased to one after the other is none."""
    assert ("shared" in who(0.02, *claims).explanation) is shared


def test_declared_infrastructure_is_nobody_s():
    """A proxy's own address repeats everybody's names."""
    directory = Directory([claim(A, user="ebert")], declared={"10.0.0.5": "the proxy 'px1'"}.get)
    answer = directory.who("10.0.0.5", hour(1))
    assert answer.said is None
    assert [c.user for c in answer.candidates] == ["ebert"]
    assert "declared as the proxy 'px1'" in answer.explanation
