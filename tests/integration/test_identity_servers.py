"""Who had an address, from the files of real servers: ISC dhcpd, Kea, FreeRADIUS and OpenVPN."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from sentinel.identity import Directory, bindings
from tests.integration import identity_servers as servers
from tests.integration.lab import ZONE, program, wait_until
from tests.oracle.wire import INTERFACE, wire


def directory(*paths: Path) -> Directory:
    """Return who had which address according to files of the lab's zone."""
    now = datetime.now(UTC)
    return Directory([one for path in paths for one in bindings(path.name, path.read_bytes(), ZoneInfo(ZONE), now)])


def mac(on) -> str:
    """Return the desk's hardware address."""
    (link,) = json.loads(on.desk.run(program("ip"), "-json", "link", "show", "dev", INTERFACE))
    return str(link["address"])


def holder(who: Directory, at: datetime):
    """Return the address of the pool that somebody is said to have had, and who that is."""
    last = [f"10.77.0.{number}" for number in range(100, 121)]
    said = [(address, answer.said) for address in last if (answer := who.who(address, at)).said]
    assert len(said) == 1, said
    return said[0]


def test_a_lease_of_isc_dhcpd_names_the_device(tmp_path):
    """The lease file says from when until when, and what the device called itself."""
    with wire(tmp_path / "wire") as on, servers.dhcpd(on, tmp_path / "dhcpd") as leases:
        servers.ask_for_an_address(on.desk, tmp_path / "client", "pc-alice")
        wait_until(lambda: "pc-alice" in leases.read_text(), "the lease is written down")
        at = datetime.now(UTC) + timedelta(seconds=1)
        address, said = holder(directory(leases), at)
        assert (said.device, said.mac) == ("pc-alice", mac(on))
        assert directory(leases).who(address, at - timedelta(hours=1)).said is None


@pytest.mark.parametrize("kind", ["leases", "log"])
def test_a_lease_of_kea_names_the_device(tmp_path, kind):
    """Its journal of leases, and its log where the journal is gone."""
    with wire(tmp_path / "wire") as on, servers.kea(on, tmp_path / "kea") as (leases, log):
        servers.ask_for_an_address(on.desk, tmp_path / "client", "pc-bob")
        wait_until(lambda: "pc-bob" in leases.read_text() and "LEASE_ALLOC" in log.read_text(), "the lease is written down")
        _address, said = holder(directory(leases if kind == "leases" else log), datetime.now(UTC) + timedelta(seconds=1))
        assert said.mac == mac(on)
        assert said.device == ("pc-bob" if kind == "leases" else None)


def test_a_session_of_freeradius_holds_from_start_to_stop(tmp_path):
    """What a network device tells by accounting: a claimed name with 802.1X, a user where it asked for the password itself."""
    session = ["Acct-Session-Id = s1", "NAS-IP-Address = 10.1.1.1", "Framed-IP-Address = 10.77.0.50"]
    person = ['User-Name = "j\u00fcrg \\"x\\" m\u00fcller"', "Calling-Station-Id = 02-AA-BB-00-00-01"]
    with servers.freeradius() as (port, detail):
        begun = datetime.now(UTC)
        servers.account(port, "Acct-Status-Type = Start", "NAS-Port-Type = Virtual", *session, *person)
        servers.account(port, "Acct-Status-Type = Stop", "Acct-Session-Time = 60", "NAS-Port-Type = Virtual", *session, *person)
        other = ["Acct-Session-Id = s2", "NAS-IP-Address = 10.1.1.1", "Framed-IP-Address = 10.77.0.51"]
        servers.account(port, "Acct-Status-Type = Start", "NAS-Port-Type = Wireless-802.11", *other, "User-Name = outer")
        claims = bindings("detail", detail.read_bytes(), UTC)
    first, second = claims[0], claims[-1]
    assert (first.address, first.user, first.mac) == ("10.77.0.50", 'j\u00fcrg "x" m\u00fcller', "02:aa:bb:00:00:01")
    assert begun - timedelta(minutes=2) <= first.since <= datetime.now(UTC)
    assert first.until is not None
    assert (second.address, second.user, second.claimed_user, second.until) == ("10.77.0.51", None, "outer", None)


def test_a_session_of_openvpn_holds_from_its_address_to_its_end(tmp_path):
    """The log says both; a status file of meanwhile proves what was until then."""
    begun = datetime.now(UTC) - timedelta(seconds=1)
    with wire(tmp_path / "wire") as on, servers.openvpn(on, tmp_path / "openvpn") as (status, log):
        (claim,) = bindings("server.log", log.read_bytes(), ZoneInfo(ZONE))
        told = bindings("status.log", status.read_bytes(), ZoneInfo(ZONE))
    assert (claim.address.rpartition(".")[0], claim.user) == ("10.8.0", "Sentinel's lab")
    assert begun <= claim.since <= claim.until <= datetime.now(UTC)
    assert {(one.address, one.user) for one in told} == {(claim.address, claim.user)}
