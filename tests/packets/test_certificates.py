"""Server certificates: the names of one site, or none."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel.packets import certificates
from sentinel.packets.wire import Undecodable
from tests.packets.made_packets import certificate, flight

DER = certificate(["pimeyes.com"])


@pytest.mark.parametrize("size", [1, 7, 300, 16384])
def test_the_certificate_is_found_over_any_number_of_records(size):
    """Chains are longer than a record, and some servers cut them small; up to its end there is none."""
    stream = flight(DER, size=size)
    assert certificates.leaf(stream) == DER
    found = [certificates.leaf(stream[:length]) for length in range(0, len(stream), 3)]
    assert set(found) == {None, DER}


@pytest.mark.parametrize(
    "stream",
    [
        flight(DER, version=b"\x03\x04"),
        flight(DER)[:49] + b"\x14\x03\x03\0\x01\x01",
        b"\x16\x03\x03\0\x08\x01\0\0\x04abcd",
        b"\x15\x03\x03\0\x02\x02\x28",
        b"\x16\x03\x03\0\x34" + flight(DER)[5:49] + b"\x0b\0\0\x03\0\0\0" + b"\0",
    ],
    ids=["tls 1.3", "resumed", "a client", "an alert", "an empty list"],
)
def test_where_no_certificate_will_come_waiting_ends(stream):
    """What waits costs memory."""
    with pytest.raises(Undecodable):
        certificates.leaf(stream)


def test_names_are_the_alternative_names_else_the_common_name():
    """RFC 9525: the common name counts for nothing beside alternative names; of a wildcard, what it stands below."""
    assert certificates.names(certificate(["*.PimEyes.com", "pimeyes.com", "a.pimeyes.com"], "old.example")) == (
        "pimeyes.com",
        "a.pimeyes.com",
    )
    assert certificates.names(certificate([], "pimeyes.com")) == ("pimeyes.com",)
    assert certificates.names(certificate([], "Local Router 5.1")) == ()


def test_a_serial_number_that_may_not_be_changes_no_name():
    """The library warns of a negative one, of which the names know nothing."""
    first = DER.index(b"\xa0\x03\x02\x01\x02\x02") + 7  # of the serial number, behind the version
    negative = DER[:first] + bytes([DER[first] | 0x80]) + DER[first + 1 :]
    assert certificates.names(negative) == ("pimeyes.com",)


@pytest.mark.parametrize(
    ("names", "one"),
    [
        (("pimeyes.com",), True),
        (("pimeyes.com", "www.pimeyes.com", "a.b.pimeyes.com"), True),
        (("pimeyes.com", "another-customer.example"), False),
        (("a.co.uk", "b.co.uk"), False),
        (("a.github.io", "b.github.io"), False),
        (tuple(f"n{n}.pimeyes.com" for n in range(certificates.MOST_NAMES + 1)), False),
    ],
)
def test_a_certificate_that_sites_share_tells_nothing(names, one):
    """A content network's certificate would accuse whoever visited its other customers."""
    assert certificates.of_one_site(names) is one


@given(st.binary(max_size=300), st.integers(0, 500))
@settings(deadline=None)
def test_any_bytes_give_a_certificate_or_the_declared_error(data, at):
    """Records, messages and DER are the sender's to choose."""
    stream = flight(DER)
    for read in (certificates.leaf, certificates.names):
        for begin in (b"", stream[:at], DER[:at]):
            try:
                read(begin + data)
            except Undecodable:
                continue


@pytest.mark.integration
@given(st.lists(st.tuples(st.integers(0, len(DER) - 1), st.integers(0, 255)), min_size=1, max_size=6))
@settings(deadline=None, max_examples=300)
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_a_damaged_certificate_gives_names_or_the_declared_error(changes):
    """Near to the real thing is where parsers stumble."""
    damaged = bytearray(DER)
    for at, value in changes:
        damaged[at] = value
    with contextlib.suppress(Undecodable):
        certificates.of_one_site(certificates.names(bytes(damaged)))
