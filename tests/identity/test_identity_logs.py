"""Logs that say who had an address: what each kind proves, until when, and whose name in it nobody checked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from sentinel.identity import Directory, NotIdentity, bindings

DATA = Path(__file__).parents[1] / "data" / "identity"
BERLIN = ZoneInfo("Europe/Berlin")
CHANGED = datetime(2026, 11, 25, tzinfo=UTC)
ALICE = "02:aa:bb:00:00:01"


def read(name):
    """Return the claims of a recorded file."""
    return bindings(name, (DATA / name).read_bytes(), BERLIN, CHANGED)


def claims(*lines):
    """Return the claims of a log of these lines, whose server is in UTC."""
    return bindings("log", "\n".join(lines).encode(), UTC, CHANGED)


def at(text):
    """Return a time of the day that most of these logs tell of."""
    return datetime.fromisoformat(f"2026-11-23T{text}+00:00")


def spans(found):
    """Return who had which address from when until when."""
    return [(one.address, one.user or one.claimed_user or one.device or one.mac, one.since, one.until) for one in found]


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("freeradius-detail", ("10.77.0.50", "alice", at("05:26:43"), at("05:26:45"))),
        ("freeradius-linelog.log", ("10.77.0.50", "alice", at("05:26:43"), at("05:26:45"))),
        ("openvpn-status-v1.log", ("10.8.1.3", "bob smith", at("05:25:43"), at("05:25:53"))),
        ("openvpn-status-v2.log", ("10.8.2.2", "alice", at("05:25:43"), at("05:25:53"))),
        ("openvpn-status-v3.log", ("10.8.3.2", "alice", at("05:25:43"), at("05:25:51"))),
        ("openvpn-server.log", ("10.8.2.2", "alice", at("05:25:43"), at("05:25:53"))),
        ("kea-dhcp4.log", ("10.77.0.150", ALICE, at("05:17:42.512"), at("05:17:46.263"))),
        (
            "zat-dhcp.tsv",
            (
                "192.168.33.10",
                "00:20:18:eb:ca:21",
                datetime(2013, 9, 15, 23, 44, 10, 691137, UTC),
                datetime(2013, 9, 15, 23, 44, 23, 734158, UTC),
            ),
        ),
        (
            "otrf-4768.json",
            (
                "172.18.39.5",
                "pgustavo",
                datetime(2020, 9, 4, 7, 8, 22, 329000, UTC),
                datetime(2020, 9, 4, 7, 8, 40, 324000, UTC),
            ),
        ),
        (
            "pan-globalprotect.json",
            ("172.31.66.40", "msingh@alvisofincorp.com", datetime(2021, 9, 23, 20, 8, 23, tzinfo=UTC), None),
        ),
    ],
)
def test_what_real_servers_wrote_is_read_with_the_time_it_proves(name, first):
    """The first claim of each recorded file; local times come in the zone given."""
    found = spans(read(name))
    if first[3] is None:
        assert first[:2] in {one[:2] for one in found}
    else:
        assert found[0] == first


def test_a_status_file_s_user_is_who_logged_in_else_the_certificate_s_name():
    """A certificate may be shared by a team; the name that a password proved is the better one."""
    assert {one.user for one in read("openvpn-status-v2.log")} == {"alice", r"CORP\bob"}
    assert {one.user for one in read("openvpn-status-v1.log")} == {"alice", "bob smith"}


def test_a_snapshot_proves_nothing_after_its_own_time():
    """The session may have ended a second later."""
    directory = Directory(read("openvpn-status-v2.log"))
    assert directory.who("10.8.2.2", at("05:25:50")).said.user == "alice"
    assert directory.who("10.8.2.2", at("05:26:50")).said is None


def detail(status, *more, address="10.0.0.5", user="alice", stamp=1795411603, session="s1"):
    """Return a record of a detail file."""
    lines = [
        "Mon Nov 23 06:26:43 2026",
        f'\tUser-Name = "{user}"',
        f"\tAcct-Status-Type = {status}",
        f'\tAcct-Session-Id = "{session}"',
        "\tNAS-IP-Address = 10.1.1.1",
        *([f"\tFramed-IP-Address = {address}"] if address else []),
        '\tCalling-Station-Id = "02-AA-BB-00-00-01"',
        *(f"\t{one}" for one in more),
        f"\tTimestamp = {stamp}",
        "",
    ]
    return "\n".join(lines)


def test_a_radius_name_is_claimed_unless_the_port_s_device_asks_for_the_password_itself():
    """EAP's outer identity is whatever the laptop's owner typed; it must never become the user."""
    (outer,) = claims(detail("Start", "NAS-Port-Type = Wireless-802.11"))
    assert (outer.user, outer.claimed_user, outer.mac) == (None, "alice", ALICE)
    assert "calls himself alice" in outer.basis
    (inner,) = claims(detail("Start", "NAS-Port-Type = Virtual"))
    assert (inner.user, inner.claimed_user) == ("alice", None)


@pytest.mark.parametrize("user", ["anonymous", "anonymous@corp.example", "@corp.example", "Anonymous123"])
def test_an_anonymous_outer_identity_names_nobody(user):
    """Devices that hide the name send this."""
    (claim,) = claims(detail("Start", user=user))
    assert (claim.user, claim.claimed_user) == (None, None)


def test_the_address_of_an_interim_update_counts_from_then_on():
    """A start often comes before DHCP has given an address."""
    found = claims(detail("Start", address=None), detail("Interim-Update", stamp=1795411663), detail("Stop", stamp=1795411903))
    assert spans(found) == [("10.0.0.5", "alice", at("05:27:43"), at("05:31:43"))]


def test_a_delayed_record_tells_of_the_time_before_the_delay():
    """A network device that could not reach the server sends later, and says by how much."""
    (claim,) = claims(detail("Start", "Acct-Delay-Time = 60"))
    assert claim.since == at("05:25:43")


def test_a_stop_whose_start_is_missing_tells_the_whole_session():
    """Logs begin somewhere; the end says how long it lasted."""
    (claim,) = claims(detail("Stop", "Acct-Session-Time = 600"))
    assert (claim.since, claim.until) == (at("05:16:43"), at("05:26:43"))


def test_when_accounting_goes_off_all_sessions_of_that_device_are_over():
    """A switch that restarts sends no stop for each."""
    off = detail("Accounting-Off", address=None, stamp=1795411903)
    other = detail("Start", address="10.0.0.6", session="s2").replace("10.1.1.1", "10.1.1.2")
    found = claims(detail("Start"), other, off)
    assert [(one.address, one.until) for one in found] == [("10.0.0.5", at("05:31:43")), ("10.0.0.6", None)]


def test_a_retransmitted_record_is_no_other_session():
    """UDP: an answer is lost, and the same comes again."""
    assert len(claims(detail("Start"), detail("Start"), detail("Stop", stamp=1795411903))) == 1


def test_an_address_that_another_session_takes_is_no_longer_proven_for_the_first():
    """A stop was lost: until when the first had it is not known, and nobody is named for the time between."""
    found = claims(
        detail("Start"),
        detail("Interim-Update", stamp=1795412203),
        detail("Start", user="bob", session="s2", stamp=1795415203),
        detail("Stop", user="bob", session="s2", stamp=1795416203),
    )
    directory = Directory(found)
    said = directory.who("10.0.0.5", at("05:30:00"))
    assert "calls himself alice" in said.explanation
    assert directory.who("10.0.0.5", at("06:00:00")).said is None
    assert "calls himself bob" in directory.who("10.0.0.5", at("06:30:00")).explanation


def test_freeradius_s_own_linelog_through_syslog_is_read():
    """The module's accounting lines as they are shipped."""
    found = claims(
        "Nov 23 06:26:43 aaa1 radiusd[7]: Connect: [alice] (did 00-11:wifi cli 02-AA-BB-00-00-01 port 12 ip 10.77.0.50)",
        "Nov 23 06:36:43 aaa1 radiusd[7]: Disconnect: [alice] "
        "(did 00-11:wifi cli 02-AA-BB-00-00-01 port 12 ip 10.77.0.50) 600 seconds",
    )
    assert spans(found) == [("10.77.0.50", "alice", at("06:26:43"), at("06:36:43"))]
    assert found[0].user is None


def test_a_name_that_forges_the_server_s_words_moves_no_address():
    """Whoever logs in chooses the name; the address stands behind it."""
    (claim,) = claims("2026-11-23 06:26:43 acct Start user=x ip=10.0.0.9 mac=aa ip=10.77.0.50 mac=02-AA-BB-00-00-01 sess=1")
    assert claim.address == "10.77.0.50"


DHCP = (
    "ID,Date,Time,Description,IP Address,Host Name,MAC Address,User Name, TransactionID, QResult,Probationtime, CorrelationID"
)


def windows_dhcp(*lines):
    """Return the claims of Windows' audit log."""
    legend = "\t\tMicrosoft DHCP Service Activity Log\r\n\r\n10\tA new IP address was leased to a client.\r\n"
    return bindings("DhcpSrvLog-Mon.log", (legend + "\r\n".join([DHCP, *lines, ""])).encode("cp1252"), UTC)


def test_windows_audit_log_says_who_leased_renewed_and_released():
    """A new lease begins afresh; a renewal proves the time before it; a release ends it."""
    found = windows_dhcp(
        "10,11/23/26,08:00:00,Assign,10.0.0.5,PC-1.corp.example.,02AABB000001,,1,0,,,",
        "30,11/23/26,08:00:01,DNS Update Request,5.0.0.10,PC-1.corp.example,,,0,6,,,",
        "11,11/23/26,12:00:00,Renew,10.0.0.5,PC-1.corp.example.,02AABB000001,,2,0,,,",
        "12,11/23/26,13:00:00,Release,10.0.0.5,PC-1.corp.example.,02AABB000001,,3,0,,,",
        "10,11/23/26,13:30:00,Assign,10.0.0.5,Bj\u00f6rn,02AABB000002,,4,0,,,",
    )
    assert [(one.device, one.since, one.until) for one in found[:2]] == [
        ("PC-1.corp.example", at("08:00:00"), at("12:00:00")),
        ("PC-1.corp.example", at("12:00:00"), at("13:00:00")),
    ]
    assert found[2].mac == "02:aa:bb:00:00:02"
    assert found[2].until is None


@pytest.mark.parametrize(
    ("date", "day"), [("11/05/26", (11, 5)), ("05.11.26", (11, 5)), ("25/11/26", (11, 25)), ("11/25/2026", (11, 25))]
)
def test_windows_dates_are_month_first_unless_the_file_says_otherwise(date, day):
    """Some localised servers write the day first; a day above 12, or dots, give it away."""
    (claim,) = windows_dhcp(f"10,{date},08:00:00,Assign,10.0.0.5,PC-1,02AABB000001,,1,0,,,")
    assert (claim.since.month, claim.since.day) == day


def zeek(**row):
    """Return the claims of one row of Zeek's dhcp.log."""
    import json

    return claims(json.dumps({"ts": 1795411603.5, "mac": ALICE, **row}))


def test_zeek_s_acknowledgements_assign_for_the_time_that_they_say():
    """An answer to INFORM assigns nothing: the client has its address from elsewhere."""
    (claim,) = zeek(assigned_addr="10.0.0.5", lease_time=600.0, msg_types=["REQUEST", "ACK"], host_name="pc")
    assert (claim.device, claim.until - claim.since) == ("pc", timedelta(minutes=10))
    assert zeek(assigned_addr="10.0.0.5", msg_types=["INFORM", "ACK"]) == []
    assert zeek(assigned_addr="10.0.0.5", lease_time=600.0, msg_types=["DISCOVER", "OFFER"]) == []


def kerberos(time, user, address="::ffff:10.0.0.5", kind=4768, **data):
    """Return a security event as Event Forwarding writes it."""
    named = {"TargetUserName": user, "TargetDomainName": "CORP", "IpAddress": address, "Status": "0x0", **data}
    inner = "".join(f"<Data Name='{key}'>{value}</Data>" for key, value in named.items())
    return (
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>"
        f"<Provider Name='Microsoft-Windows-Security-Auditing'/><EventID>{kind}</EventID>"
        f"<TimeCreated SystemTime='2026-11-23T{time}.1234567Z'/><Computer>dc1</Computer></System>"
        f"<EventData>{inner}</EventData></Event>"
    )


def test_two_log_ons_of_one_person_prove_the_time_between_and_one_alone_none():
    """An event says who was there at one moment; a day later it proves nothing."""
    found = claims(kerberos("08:00:00", "alice"), kerberos("12:00:00", "alice@CORP.EXAMPLE"))
    directory = Directory(found)
    assert directory.who("10.0.0.5", at("10:00:00")).said.user == "alice"
    assert directory.who("10.0.0.5", at("13:00:00")).said is None
    far = claims(kerberos("01:00:00", "alice"), kerberos("12:00:00", "alice"))
    assert Directory(far).who("10.0.0.5", at("06:00:00")).said is None


def test_another_person_s_log_on_between_leaves_it_unsaid():
    """A terminal server, or a shared desk."""
    found = claims(kerberos("08:00:00", "alice"), kerberos("09:00:00", "bob"), kerberos("10:00:00", "alice"))
    assert Directory(found).who("10.0.0.5", at("09:30:00")).said is None


@pytest.mark.parametrize(
    "event",
    [
        kerberos("08:00:00", "alice", address="::1"),
        kerberos("08:00:00", "alice", address="-"),
        kerberos("08:00:00", "alice", address="fe80::1"),
        kerberos("08:00:00", "alice", Status="0x18"),
        kerberos("08:00:00", "ANONYMOUS LOGON", kind=4624),
        kerberos("08:00:00", "DWM-3", kind=4624),
        kerberos("08:00:00", "alice", kind=4625),
    ],
)
def test_log_ons_that_failed_or_came_from_nowhere_name_nobody(event):
    """A wrong password, a service, the machine itself."""
    assert claims(kerberos("07:00:00", "bob", address="10.0.0.9"), event) == claims(
        kerberos("07:00:00", "bob", address="10.0.0.9")
    )


def test_an_account_of_a_machine_names_the_device():
    """Names that end in a dollar sign log on when the machine starts."""
    (claim,) = claims(kerberos("08:00:00", "PC-1$"))
    assert (claim.user, claim.device) == (None, "PC-1")


def test_a_document_with_declarations_is_no_event():
    """Entities that expand to gigabytes are declared in a DOCTYPE; events have none."""
    bomb = kerberos("08:00:00", "&a;").replace("<System>", '<!DOCTYPE x [<!ENTITY a "b">]><System>')
    assert claims(bomb) == []


def test_user_id_holds_for_its_time_out():
    """The firewall forgets a mapping after so many seconds."""
    line = (
        "<14>Nov 23 08:00:00 fw 1,2026/11/23 08:00:00,0011,USERID,login,2561,2026/11/23 08:00:00,vsys1,10.0.0.5,"
        r"corp\jdoe,,0,1,2700,0,0,vpn-client,globalprotect,1"
    )
    (claim,) = claims(line)
    assert (claim.user, claim.until - claim.since) == (r"corp\jdoe", timedelta(seconds=2700))
    logout = line.replace("login", "logout").replace("08:00:00,vsys1", "08:10:00,vsys1")
    (claim,) = claims(line, logout)
    assert claim.until == at("08:10:00")


def test_globalprotect_names_the_address_inside_the_tunnel():
    """The public address is the hotel's; old versions tell it in a sentence."""
    line = (
        "1,2026/11/23 08:00:00,0011,GLOBALPROTECT,0,2561,2026/11/23 08:00:00,vsys1,{},x,,,jdoe,DE,PC-1,198.51.100.7,"
        "0.0.0.0,10.9.0.5,0.0.0.0,id,sn,6.0,Windows,11,1,,,,{},,,"
    )
    begun = line.format("gateway-connected", "success")
    ended = line.format("gateway-logout", "success").replace("08:00:00,vsys1", "09:00:00,vsys1")
    (claim,) = claims(begun, ended)
    assert (claim.address, claim.user, claim.device, claim.until) == ("10.9.0.5", "jdoe", "PC-1", at("09:00:00"))
    assert claims(begun, line.format("gateway-connected", "failure"))[0] == claims(begun)[0]
    old = {one.address: one.user for one in read("pan-globalprotect-2016.log")}
    assert old["192.168.55.101"] == r"tng\picard"


ASA = "Nov 23 2026 {}: %ASA-4-{}"


@pytest.mark.parametrize("brackets", ["<{}>", "&lt;{}&gt;", "{}"])
def test_an_anyconnect_session_holds_from_its_address_to_its_end(brackets):
    """The end names the address outside; relays escape or drop the brackets."""
    group, user, outer, inner, none = (brackets.format(one) for one in ("G", "jdoe", "198.51.100.7", "10.9.0.5", "::"))
    begun = f"722051: Group {group} User {user} IP {outer} IPv4 Address {inner} IPv6 address {none} assigned to session"
    ended = (
        "113019: Group = G, Username = jdoe, IP = 198.51.100.7, Session disconnected. Session Type: SSL, "
        "Duration: 1h:00m:00s, Bytes xmt: 1, Bytes rcv: 2, Reason: User Requested"
    )
    found = claims(ASA.format("08:00:00", begun), ASA.format("09:00:00", ended))
    assert spans(found) == [("10.9.0.5", "jdoe", at("08:00:00"), at("09:00:00"))]


def test_the_firewall_s_own_mapping_is_read():
    """Identity firewalls say which user an address is, and when they forget it."""
    said = "user-identity: {} IP-User mapping 10.9.0.5 - CORP\\jdoe Succeeded - VPN user"
    found = claims(
        ASA.format("08:00:00", "746012: " + said.format("Add")), ASA.format("09:00:00", "746013: " + said.format("Delete"))
    )
    assert spans(found) == [("10.9.0.5", r"CORP\jdoe", at("08:00:00"), at("09:00:00"))]


def test_a_log_of_several_kinds_gives_the_claims_of_each():
    """A collector's file holds everybody's lines."""
    found = claims(
        ASA.format("08:00:00", "746012: user-identity: Add IP-User mapping 10.9.0.5 - jdoe Succeeded - VPN user"),
        f"Nov 23 08:00:00 gw dnsmasq-dhcp[1]: DHCPACK(br0) 10.0.0.5 {ALICE} pc",
    )
    assert {one.address for one in found} == {"10.9.0.5", "10.0.0.5"}


def test_an_openvpn_client_that_leaves_has_the_address_no_longer():
    """The pool gives it to the next one."""
    peer = "bob smith/198.51.100.7:1194"
    found = claims(
        f"2026-11-23 08:00:00 {peer} MULTI: primary virtual IP for {peer}: 10.8.0.6",
        f"2026-11-23 08:00:00 {peer} MULTI: Learn: 10.8.0.6 -> {peer}",
        f"2026-11-23 09:00:00 {peer} SIGTERM[soft,remote-exit] received, client-instance exiting",
    )
    assert spans(found) == [("10.8.0.6", "bob smith", at("08:00:00"), at("09:00:00"))]


def test_a_file_of_no_known_kind_is_refused():
    """A wrong file that is silently empty would make people unknown."""
    with pytest.raises(NotIdentity):
        claims("nothing of the kind")
