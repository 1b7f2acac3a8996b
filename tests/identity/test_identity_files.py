"""Identity files: what each kind is recognised by, what its records prove, and what is refused."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.identity import Directory, NotIdentity, bindings
from sentinel.identity.binding import ALWAYS, FOREVER, hardware

DATA = Path(__file__).parents[1] / "data" / "identity"
CHANGED = datetime(2026, 11, 24, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
ALICE, BOB = "02:aa:bb:00:00:01", "02:aa:bb:00:00:02"


def read(name):
    return bindings(name, (DATA / name).read_bytes(), BERLIN, CHANGED)


def at(text):
    return datetime.fromisoformat(f"2026-11-23T{text}+00:00")


def log(*lines, changed=CHANGED):
    return bindings("dhcp.log", "\n".join(lines).encode(), UTC, changed)


def dnsmasq(time, what, address, mac, device=""):
    return f"Nov 23 {time} gw dnsmasq-dhcp[1]: DHCP{what}(br0) {address} {mac} {device}"


def dhcpd(time, what):
    return f"2026-11-23T{time}+00:00 gw dhcpd[1]: {what}"


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("dnsmasq.leases", ("10.77.0.108", ALICE, "PC-ALICE", None, datetime.fromtimestamp(1795411658, UTC))),
        ("dnsmasq-dhcp.log", ("10.77.0.108", ALICE, "PC-ALICE", at("05:17:35"), at("05:17:38"))),
        ("dhcpd.leases", ("10.77.0.50", ALICE, "PC-ALICE", at("05:17:08"), at("05:27:08"))),
        ("kea-leases4.csv", ("10.77.0.150", ALICE, "pc-alice", at("05:17:42"), at("05:17:46"))),
    ],
)
def test_what_real_servers_wrote_is_read_with_the_interval_it_states(name, first):
    """The first claim of each recorded file, field by field; local times come in the zone given, lease files in UTC."""
    claim = read(name)[0]
    assert (claim.address, claim.mac, claim.device, claim.since, claim.until) == first
    assert claim.user is None
    assert claim.source == name
    assert claim.address in claim.record


@pytest.mark.parametrize("name", ["isc-dhcpd-syslog.log", "isc-dhcpd-syslog-iso.log"])
def test_dhcpd_s_log_says_when_a_lease_began_but_not_how_long_it_lasts(name):
    """The last acknowledgement of an address has no end: the line does not say it, and none is invented."""
    last = {claim.address: claim for claim in read(name)}
    assert last["10.77.0.50"].until is None
    assert last["10.77.0.50"].since.replace(microsecond=0) == at("05:17:14")
    assert last["10.77.0.52"].device is None, "'Hostname Unsuitable for Printing' is not a name"


def test_a_lease_length_that_option_51_states_ends_the_lease():
    """With log-dhcp, dnsmasq says below the acknowledgement for how long it holds."""
    claims = read("dnsmasq-dhcp-syslog.log")
    assert claims
    assert all(claim.until and claim.until - claim.since <= timedelta(minutes=10) for claim in claims)


@pytest.mark.parametrize("offer", ["OFFER", "REQUEST", "NAK", "DISCOVER"])
def test_only_an_acknowledgement_assigns(offer):
    """An offer that was never taken up says nothing of who had the address."""
    assert log(dnsmasq("08:00:00", offer, "10.0.0.5", ALICE, "pc")) == []


def test_a_client_s_own_name_cannot_forge_the_length_of_its_lease():
    """The client chooses its host name, parentheses and the server's words included."""
    (claim,) = log(dhcpd("08:00:00", f"DHCPACK on 10.0.0.5 to {ALICE} (x) via a lease-duration 9999999) via eth0"))
    assert claim.until is None
    assert claim.device == "x) via a lease-duration 9999999"


def test_the_length_that_infoblox_adds_ends_the_lease():
    """A line of NIOS as its documentation and recorded logs have it."""
    said = f"DHCPACK on 10.0.0.5 to {ALICE} (pc) via eth1 relay eth1 lease-duration 600 uid 01:00:50"
    (claim,) = log(dhcpd("08:00:00", said))
    assert claim.until == at("08:10:00")


def test_a_renewal_proves_the_lease_until_then_and_a_fresh_start_does_not():
    """A client that asks anew may have been away; one that renews was there."""
    renewed = log(dnsmasq("08:00:00", "ACK", "10.0.0.5", ALICE), dnsmasq("09:00:00", "ACK", "10.0.0.5", ALICE))
    afresh = log(
        dnsmasq("08:00:00", "ACK", "10.0.0.5", ALICE),
        f"Nov 23 08:59:59 gw dnsmasq-dhcp[1]: DHCPDISCOVER(br0) {ALICE} ",
        dnsmasq("09:00:00", "ACK", "10.0.0.5", ALICE),
    )
    assert [claim.until for claim in renewed] == [at("09:00:00"), None]
    assert [claim.until for claim in afresh] == [None, None]


def test_acknowledgements_more_than_a_day_apart_prove_nothing_between_them():
    """Lines may be missing, and another client may have had the address on the day between."""
    claims = log(
        "Nov 20 08:00:00 gw dnsmasq-dhcp[1]: " + f"DHCPACK(br0) 10.0.0.5 {ALICE} pc",
        dnsmasq("08:00:00", "ACK", "10.0.0.5", ALICE),
    )
    assert [claim.until for claim in claims] == [None, None]


@pytest.mark.parametrize(
    ("said", "until"),
    [
        (f"DHCPRELEASE of 10.0.0.5 from {ALICE} (pc) via eth0 (found)", at("08:30:00")),
        (f"DHCPEXPIRE on 10.0.0.5 to {ALICE}", at("08:30:00")),
        (f"DHCPRELEASE of 10.0.0.5 from {ALICE} (pc) via eth0 (not found)", None),
        (f"DHCPRELEASE of 10.0.0.5 from {BOB} (pc) via eth0 (found)", None),
    ],
)
def test_a_release_by_the_holder_ends_its_lease(said, until):
    """The server's answer "not found", and somebody else's release, end nothing."""
    (claim,) = log(dhcpd("08:00:00", f"DHCPACK on 10.0.0.5 to {ALICE} (pc) via eth0"), dhcpd("08:30:00", said))
    assert claim.until == until


def test_times_without_a_year_need_the_file_s_last_change():
    """A year that is guessed would lay one person's lease over another's visit."""
    line = dnsmasq("08:00:00", "ACK", "10.0.0.5", ALICE)
    with pytest.raises(NotIdentity, match="year"):
        log(line, changed=None)
    assert log(line)[0].since.year == 2026
    assert log(line, changed=datetime(2025, 12, 1, tzinfo=UTC))[0].since.year == 2025


LEASE = "lease 10.0.0.5 {{\n  starts 1 {};\n  ends 1 {};\n  binding state {};\n  hardware ethernet {};\n{}}}\n"


def leases(*blocks):
    return bindings("dhcpd.leases", "".join(LEASE.format(*block) for block in blocks).encode(), UTC)


def test_a_journal_s_later_word_on_an_address_ends_the_earlier_one():
    """A client that gave its lease back has not held it for the rest of the hour, whatever the first block said."""
    claims = leases(
        ("2026/11/23 08:00:00", "2026/11/23 09:00:00", "active", ALICE, ""),
        ("2026/11/23 08:00:00", "2026/11/23 08:20:00", "free", ALICE, ""),
        ("2026/11/23 08:40:00", "2026/11/23 09:40:00", "active", BOB, '  client-hostname "b\\303\\274ro";\n'),
    )
    assert [(c.mac, c.since, c.until) for c in claims] == [
        (ALICE, at("08:00:00"), at("08:20:00")),
        (BOB, at("08:40:00"), at("09:40:00")),
    ]
    assert claims[1].device == "büro"


def test_an_abandoned_lease_is_a_claim_by_somebody_unknown():
    """The server pinged the address and somebody answered: the last client must not be blamed for them."""
    (claim,) = leases(("2026/11/23 08:00:00", "2026/11/23 09:00:00", "abandoned", ALICE, ""))
    assert (claim.mac, claim.device, claim.user) == (None, None, None)
    assert Directory([claim]).who("10.0.0.5", at("08:30:00")).said is None


@pytest.mark.parametrize(
    ("end", "until"), [("never", FOREVER), ("epoch 1795411628; # Mon", datetime.fromtimestamp(1795411628, UTC))]
)
def test_times_of_a_lease_file_in_their_other_spellings(end, until):
    """`db-time-format local` writes Unix time; a lease without an end says never."""
    block = f"lease 10.0.0.5 {{\n starts epoch 1795411028; # Mon\n ends {end};\n hardware ethernet {ALICE};\n}}\n"
    (claim,) = bindings("l", block.encode(), UTC)
    assert claim.until == until
    assert claim.since == datetime.fromtimestamp(1795411028, UTC)


def test_a_block_that_breaks_off_loses_itself_and_no_other():
    """The server may be writing while the file is copied."""
    whole = LEASE.format("2026/11/23 08:00:00", "2026/11/23 09:00:00", "active", ALICE, "")
    claims = bindings("l", (whole.replace("10.0.0.5", "10.0.0.4")[:-2] + whole + whole[:40]).encode(), UTC)
    assert [claim.address for claim in claims] == ["10.0.0.5"]


KEA = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context\n"


def kea(*rows):
    return bindings("kea-leases4.csv", (KEA + "".join(f"10.0.0.5,{row}\n" for row in rows)).encode(), UTC)


def test_a_kea_lease_that_was_removed_early_has_no_known_end():
    """A lifetime of 0 removes the lease and does not say when; one that had expired before ran its full time."""
    removed = kea(f"{ALICE},,3600,1795415000,1,0,0,pc,0,", f"{ALICE},,0,1795411400,1,0,0,pc,0,")
    expired = kea(
        f"{ALICE},,3600,1795415000,1,0,0,pc,0,", f"{ALICE},,3600,1795415000,1,0,0,,2,", f"{ALICE},,0,1795411400,1,0,0,,2,"
    )
    assert [claim.until for claim in removed] == [None]
    assert [claim.until for claim in expired] == [datetime.fromtimestamp(1795415000, UTC)]


def test_a_declined_kea_lease_is_a_claim_by_somebody_unknown():
    """The client found the address in use: by whom, no record says."""
    (claim,) = kea(",,600,1795415000,1,0,0,,1,")
    assert (claim.mac, claim.device) == (None, None)


def test_a_table_gives_users_and_devices_with_half_open_intervals():
    """Column order, blanks and letter case of the header are the author's; other columns are left alone."""
    table = "User, Address ,from,until,note\nebert,10.20.3.4,2026-03-01 08:00,2026-03-01T16:30:00Z,desk 4\nruiz,10.20.3.5,,,\n"
    ebert, ruiz = bindings("who.csv", table.encode("utf-8-sig"), BERLIN)
    assert (ebert.address, ebert.user) == ("10.20.3.4", "ebert")
    assert (ebert.since, ebert.until) == (datetime(2026, 3, 1, 7, tzinfo=UTC), datetime(2026, 3, 1, 16, 30, tzinfo=UTC))
    assert (ruiz.since, ruiz.until) == (ALWAYS, FOREVER)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("10.20.3,ebert,,", "line 2: no IP address"),
        ("10.20.3.4,,,", "line 2: names no user"),
        ("10.20.3.4,ebert,2026-03-01,", "line 2: no time such as"),
        ("10.20.3.4,ebert,2026-03-02 08:00,2026-03-01 08:00", "line 2: ends before"),
        ("10.20.3.4,ebert,2026-13-02 08:00,", "line 2: no time"),
    ],
)
def test_a_row_that_cannot_be_right_is_refused_with_its_line(row, said):
    """A claim that is silently dropped leaves another one uncontested, and blames its holder."""
    with pytest.raises(NotIdentity, match=said):
        bindings("who.csv", f"address,user,from,until\n{row}\n".encode(), UTC)


@pytest.mark.parametrize("data", [b"hello\n", b"address\n10.0.0.1\n", b"a,b\n1,2\n", b"\xff\xfe\x00", b"GET / HTTP/1.1\r\n"])
def test_files_of_other_kinds_raise_the_one_declared_error(data):
    """Somebody who gives the wrong file has to hear it before names are missing from the report."""
    with pytest.raises(NotIdentity):
        bindings("x", data, UTC)


def test_an_empty_lease_file_claims_nothing():
    """A server that has leased nothing yet has an empty file: no mistake."""
    assert list(bindings("dnsmasq.leases", b"\n", UTC)) == []


@pytest.mark.parametrize(
    "text", ["02:AA:BB:00:00:01", "02-aa-bb-00-00-01", "02aabb000001", "02aa.bb00.0001", "06-02:aa:bb:00:00:01"]
)
def test_hardware_addresses_compare_however_they_are_written(text):
    """Windows, Cisco and dnsmasq write one network card in different ways."""
    assert hardware(text) == ALICE


SAMPLES = [path.read_bytes() for path in sorted(DATA.iterdir())] + [
    b"address,user,from,until\n10.0.0.1,a,2026-03-01 08:00,\n",
    LEASE.format("2026/11/23 08:00:00", "never", "active", ALICE, '  client-hostname "\\303\\2";\n').encode(),
]


@st.composite
def damaged(draw):
    """A real file with bytes cut out, put in, or changed."""
    data = bytearray(draw(st.sampled_from(SAMPLES))[:3000])
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(data)))
        data[start : start + draw(st.integers(0, 40))] = draw(
            st.binary(max_size=12) | st.sampled_from([b"\n", b"}", b'"', b"9" * 30])
        )
    return bytes(data)


@given(st.binary(max_size=400) | damaged())
def test_any_bytes_give_claims_or_the_one_declared_error(data):
    """Lease files are copied while they are written, and the devices in them name themselves. Every answer stands up too."""
    try:
        claims = bindings("x", data, UTC, CHANGED)
    except NotIdentity:
        return
    directory = Directory(claims)
    for claim in claims[:20]:
        answer = directory.who(claim.address, claim.since or CHANGED)
        assert answer.said is None or answer.said in answer.candidates
