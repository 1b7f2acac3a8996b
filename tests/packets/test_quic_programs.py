"""QUIC as a real client and server speak it: whatever they negotiate first, a contact is told once, with its name."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

import pytest
from aioquic.buffer import Buffer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet import (
    QuicPacketType,
    QuicProtocolVersion,
    encode_quic_retry,
    encode_quic_version_negotiation,
    pull_quic_header,
)
from aioquic.tls import SessionTicket
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from scapy.layers.inet import IP, UDP

from sentinel.packets.decoder import Decoder
from sentinel.packets.seen import Seen
from tests.packets.made_packets import CLIENT, ETHER, SERVER, datagram, decode, names

V1, V2 = QuicProtocolVersion.VERSION_1, QuicProtocolVersion.VERSION_2
NAME = "app.clearview.ai"
HERE, THERE = ("192.0.2.7", 40000), ("203.0.113.9", 443)


@pytest.fixture(scope="module")
def certificate() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """A certificate for the service's name, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    now = dt.datetime.now(dt.UTC)
    made = made.not_valid_before(now - dt.timedelta(1)).not_valid_after(now + dt.timedelta(9))
    return made.add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), False).sign(key, hashes.SHA256()), key


class Wire:
    """A client and a server, and what passed between them."""

    def __init__(self, certificate, *, client: dict | None = None, server: dict | None = None, ticket=None) -> None:
        options = {"alpn_protocols": ["h3"], "server_name": NAME, "verify_mode": 0, **(client or {})}
        self.tickets: list[SessionTicket] = []
        self.packets: list[bytes] = []
        self._served = {"alpn_protocols": ["h3"], "is_client": False, **(server or {})}
        self._certificate = certificate
        self.store: dict[bytes, SessionTicket] = {}
        configuration = QuicConfiguration(**options)
        configuration.session_ticket = ticket
        self.client = QuicConnection(configuration=configuration, session_ticket_handler=self.tickets.append)
        self.server: QuicConnection | None = None
        self.now = 1.0

    def up(self) -> list[bytes]:
        """Return what the client sends now, and write it down."""
        sent = [data for data, _ in self.client.datagrams_to_send(self.now)]
        self.packets += [bytes(datagram(data, dport=443)) for data in sent]
        return sent

    def down(self, data: bytes) -> None:
        """Take a server's datagram to the client."""
        packet = ETHER / IP(src=SERVER, dst=CLIENT) / UDP(sport=443, dport=40000) / data
        self.packets.append(bytes(packet))
        self.client.receive_datagram(data, THERE, self.now)

    def serve(self, first: bytes, **ids) -> None:
        """Start the server for the client's first datagram."""
        configuration = QuicConfiguration(**self._served)
        configuration.certificate, configuration.private_key = self._certificate
        header = pull_quic_header(Buffer(data=first), host_cid_length=8)
        self.server = QuicConnection(
            configuration=configuration,
            original_destination_connection_id=ids.get("original", header.destination_cid),
            retry_source_connection_id=ids.get("retry"),
            session_ticket_fetcher=self.store.get,
            session_ticket_handler=lambda ticket: self.store.__setitem__(ticket.ticket, ticket),
        )

    def run(self, rounds: int = 6) -> Wire:
        """Let them talk; the clock goes on by 20 ms a round."""
        for _ in range(rounds):
            for data in self.up():
                if self.server is None:
                    self.serve(data)
                self.server.receive_datagram(data, HERE, self.now)
            if self.server is not None:
                for data, _ in self.server.datagrams_to_send(self.now):
                    self.down(data)
            self.now += 0.02
        return self


@pytest.fixture
def wire(certificate) -> Iterator[Callable[..., Wire]]:
    """Make pairs that speak with the certificate."""

    def make(**options) -> Wire:
        made = Wire(certificate, **options)
        made.client.connect(THERE, now=made.now)
        return made

    return make


def kinds(packet: bytes) -> list[QuicPacketType]:
    """Return what QUIC packets lie in a datagram."""
    rest, found = packet[42:], []
    while rest:
        header = pull_quic_header(Buffer(data=rest), host_cid_length=8)
        found.append(header.packet_type)
        rest = rest[header.packet_length :]
    return found


def told(wire: Wire) -> list[Seen]:
    """Return what the packets show, and see that none of the client's Initials was lost on us."""
    decoder = Decoder()
    seen = decode(wire.packets, decoder=decoder)
    assert not decoder.counters["quic_undecodable"]
    return seen


@pytest.mark.parametrize("version", [V1, V2])
def test_a_handshake_is_one_contact(wire, version):
    """The client's later Initials acknowledge, are padded like the first, and bear the id that the server chose."""
    spoken = wire(
        client={"original_version": version, "supported_versions": [version]}, server={"supported_versions": [version]}
    )
    spoken.run()
    assert spoken.client._handshake_complete
    [seen] = told(spoken)
    assert (seen.observation.kind, seen.observation.name, seen.observation.alpn, seen.frame) == (
        "quic_client_hello",
        NAME,
        ("h3",),
        1,
    )
    assert seen.observation.ja4.startswith("q13d")


def test_a_hello_over_several_datagrams_is_one_contact(wire):
    """Post-quantum hellos fill two Initials; a list of protocols makes one as long here."""
    spoken = wire(client={"alpn_protocols": [f"protocol-number-{n:03d}" for n in range(120)] + ["h3"]}).run()
    assert spoken.client._handshake_complete
    [seen] = told(spoken)
    assert (seen.observation.name, len(seen.observation.alpn)) == (NAME, 121)
    assert seen.frame > 1


def test_a_compatible_change_of_version_is_one_contact(wire):
    """RFC 9368: the client begins in version 1, and the server goes on in version 2."""
    spoken = wire(
        client={"original_version": V1, "supported_versions": [V2, V1]}, server={"supported_versions": [V2, V1]}
    ).run()
    assert spoken.client._version == V2
    assert names(told(spoken)) == [NAME]


def test_a_refused_version_is_one_contact(wire):
    """The client begins anew in another version, with another hello, from the same port."""
    spoken = wire(client={"original_version": V2, "supported_versions": [V2, V1]}, server={"supported_versions": [V1]})
    [first] = spoken.up()
    header = pull_quic_header(Buffer(data=first), host_cid_length=8)
    spoken.down(encode_quic_version_negotiation(header.destination_cid, header.source_cid, [V1]))
    spoken.run()
    assert spoken.client._handshake_complete
    assert names(told(spoken)) == [NAME]


def test_a_retry_is_one_contact(wire):
    """The hello is sent again, with a token, to another id and under other keys."""
    spoken = wire()
    [first] = spoken.up()
    header = pull_quic_header(Buffer(data=first), host_cid_length=8)
    retry = encode_quic_retry(V1, b"retry-id", header.source_cid, header.destination_cid, b"a token that proves the address")
    spoken.down(retry)
    [again] = spoken.up()
    spoken.serve(again, original=header.destination_cid, retry=b"retry-id")
    spoken.server.receive_datagram(again, HERE, spoken.now)
    spoken.run()
    assert names(told(spoken)) == [NAME]


def test_initials_that_are_sent_again_are_one_contact(wire):
    """The answer is lost: the client sends its hello again, in packets of other numbers."""
    spoken = wire()
    for _ in range(4):
        spoken.up()
        spoken.now = spoken.client.get_timer()
        spoken.client.handle_timer(spoken.now)
    assert len(spoken.packets) > 3
    assert names(told(spoken)) == [NAME]


def test_early_data_behind_the_hello_hides_nothing(wire, certificate):
    """A returning client sends its request in the datagram of its hello (0-RTT)."""
    before = wire().run(8)
    assert before.tickets
    later = Wire(certificate, ticket=before.tickets[-1])
    later.store = before.store
    later.client.connect(THERE, now=later.now)
    later.client.send_stream_data(0, b"GET /\r\n" + bytes(2000), end_stream=True)
    later.run()
    assert later.client._handshake_complete
    assert kinds(later.packets[0]) == [QuicPacketType.INITIAL, QuicPacketType.ZERO_RTT]
    [seen] = told(later)
    assert (seen.observation.name, seen.observation.kind) == (NAME, "quic_client_hello")


def test_a_first_packet_of_an_unread_version_is_counted(wire):
    """A draft's hello cannot be read; that one was there is told."""
    spoken = wire()
    [first] = spoken.up()
    draft = datagram(first[:1] + b"\xff\0\0\x1d" + first[5:], dport=443)
    decoder = Decoder()
    assert decode([draft], decoder=decoder) == []
    assert decoder.noteworthy() == {"QUIC first packets of a version that is not read": 1}
