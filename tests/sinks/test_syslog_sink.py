"""Syslog, received by rsyslog and syslog-ng: every transport, certificates, restarts. What is asked is what they received."""

import contextlib
import ipaddress
import re
import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from sentinel.sinks import stream
from sentinel.sinks.outcome import Delivered, Document, Retry
from sentinel.sinks.syslog import HEADER_ROOM, SyslogSettings, SyslogSink, frame, message, parameter
from tests.integration import lab
from tests.schemas.alerts import START

SECOND = timedelta(seconds=1)


def document(number: int, body: str = 'CEF:0|a|b "quoted" ü ]') -> Document:
    """Return the document *number*."""
    return Document(
        id=f"al_{number}", body=f"{body} {number}".encode(), kind="opened", severity=3, time=START + number * SECOND
    )


@contextlib.contextmanager
def opened(**settings):
    """A sink with *settings*, closed at the end."""
    sink = SyslogSink(SyslogSettings(**{"type": "syslog", "name": "s", "host": "127.0.0.1"} | settings))
    try:
        yield sink
    finally:
        sink.close()


def ids(server: lab.SyslogServer, transport: str) -> list[str]:
    """Return the alert ids that a server received, in order."""
    return [re.search(r'id="(\w+)"', one["data"])[1] for one in server.received(transport)]


def settings_for(server: lab.SyslogServer, transport: str) -> dict:
    """Return the settings that reach *server* over *transport*."""
    trust = {"ca_file": server.certificate.certificate} if transport == "tls" else {}
    return {"port": server.ports[transport], "transport": transport, **trust}


@pytest.mark.integration
@pytest.mark.parametrize(
    ("start", "transport"),
    [(lab.rsyslog, "udp"), (lab.rsyslog, "tcp"), (lab.rsyslog, "tls"), (lab.syslog_ng, "tcp"), (lab.syslog_ng, "tls")],
)
def test_a_message_arrives_whole(tmp_path, start, transport):
    """Priority, time, type, id and every byte of the message, quotes, brackets and UTF-8 included; nothing before `CEF:`."""
    with start(tmp_path / "server") as server, opened(**settings_for(server, transport), facility="local3") as sink:
        assert sink.send([document(1), document(2)]) == [Delivered(), Delivered()]
        lab.wait_until(lambda: len(server.received(transport)) == 2, "both arrive")
        first, second = server.received(transport)
    assert first["msg"] == 'CEF:0|a|b "quoted" ü ] 1'
    assert second["msg"] == 'CEF:0|a|b "quoted" ü ] 2'
    assert first["pri"] == str(19 * 8 + 3)
    assert datetime.fromisoformat(first["timestamp"]) == datetime(2026, 11, 23, 5, 0, 1, 123000, tzinfo=UTC)
    assert (first["host"], first["app"], first["msgid"]) == (socket.gethostname(), "sentinel", "opened")
    assert ids(server, transport) == ["al_1", "al_2"]


@pytest.mark.integration
@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_nothing_is_lost_when_the_server_restarts(tmp_path, transport):
    """The first write after a server stopped succeeds, and is lost, for whoever does not look first."""
    numbers = iter(range(1000))
    sent = []
    with contextlib.ExitStack() as until_the_end:
        with lab.rsyslog(tmp_path / "server") as server:
            sink = until_the_end.enter_context(opened(**settings_for(server, transport)))
            for _ in range(3):
                # Only the latest batch is sent again after a stop: what came before it, the server has to have read.
                lab.wait_until(lambda: len(ids(server, transport)) >= len(sent), "the ones before arrive")
                sent.append(next(numbers))
                assert sink.send([document(sent[-1])]) == [Delivered()]
        refused = document(next(numbers))
        (outcome,) = sink.send([refused])
        assert isinstance(outcome, Retry)
        assert f"127.0.0.1:{server.ports[transport]}" in outcome.reason
        with lab.rsyslog(tmp_path / "server", server.ports) as server:
            assert sink.send([refused, document(next(numbers))]) == [Delivered(), Delivered()]
            everything = {f"al_{number}" for number in range(5)}
            lab.wait_until(lambda: set(ids(server, transport)) == everything, "all arrive")


@pytest.mark.integration
def test_what_a_stopped_server_had_not_read_is_sent_again(tmp_path):
    """The server's machine acknowledges what the server never reads: a sink that forgets at once loses it."""
    with socket.create_server(("127.0.0.1", 0)) as listener, opened(port=listener.getsockname()[1], transport="tcp") as sink:
        assert sink.send([document(1)]) == [Delivered()]
        connection, _ = listener.accept()
        connection.close()
        time.sleep(0.1)
        received = bytearray()

        def receive() -> None:
            again, _ = listener.accept()
            with again:
                while part := again.recv(65536):
                    received.extend(part)

        thread = threading.Thread(target=receive)
        thread.start()
        assert sink.send([document(2)]) == [Delivered()]
        sink.close()
        thread.join()
    assert re.findall(rb'id="(\w+)"', bytes(received)) == [b"al_1", b"al_2"]


def test_a_connection_that_acknowledges_nothing_is_given_up(monkeypatch):
    """A firewall that forgot the connection swallows what is written; the system itself would wait a quarter of an hour."""
    monkeypatch.setattr(stream, "ACKNOWLEDGE_SECS", 0.2)
    monkeypatch.setattr(stream, "WRITE_SECS", 0.2)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    with listener, opened(port=listener.getsockname()[1], transport="tcp") as sink:
        outcomes = sink.send([document(number, "x" * 60_000) for number in range(200)])  # nobody reads: the buffers fill up
    assert {type(outcome) for outcome in outcomes} == {Retry}


def test_udp_tells_what_the_network_says():
    """A port that nobody listens on is refused at once on the same machine; farther away UDP says nothing."""
    with opened(port=lab.free_port(), transport="udp") as sink:
        (outcome,) = sink.send([document(1)])
    assert isinstance(outcome, Retry)


def test_line_feeds_end_messages_for_those_who_cannot_count():
    """syslog-ng's network() takes the length for the program's name."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with opened(port=listener.getsockname()[1], transport="tcp", framing="lf") as sink:
            assert sink.send([document(1, "a\nb"), document(2)]) == [Delivered(), Delivered()]
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as lines:
            received = lines.read().splitlines()
    assert [line[:8] for line in received] == [b"<131>1 2", b"<131>1 2"]
    assert received[0].endswith(b"a b 1")


class Authority:
    """A certificate authority that lives for one test."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / f"{name}.pem"
        certificate = self._sign(self.subject, self.key, x509.BasicConstraints(ca=True, path_length=None))
        self.file.write_bytes(certificate)

    def issue(self, name: str) -> tuple[Path, Path]:
        """Return certificate and key of the host *name*, which is at 127.0.0.1 as well."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        files = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        files[0].write_bytes(self._sign(subject, key, x509.SubjectAlternativeName(names), usage))
        plain = serialization.NoEncryption()
        files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
        return files

    def _sign(self, subject, key, *extensions) -> bytes:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@contextlib.contextmanager
def strict_rsyslog(folder: Path, authority: Authority):
    """Run rsyslog that takes only clients certified by *authority*; yield its port and log."""
    folder.mkdir()
    port, log = lab.free_port(), folder / "received.log"
    certificate, key = authority.issue("siem.example")
    (folder / "rsyslog.conf").write_text(
        f"""global(workDirectory="{folder}" defaultNetstreamDriverCAFile="{authority.file}"
            defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}")
        module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="x509/certvalid")
        input(type="imtcp" address="127.0.0.1" port="{port}")
        action(type="omfile" file="{log}" template="RSYSLOG_SyslogProtocol23Format")
        """
    )
    command = [lab.unconfined("rsyslogd", folder), "-n", "-f", folder / "rsyslog.conf", "-i", folder / "pid"]
    with lab.running(command, folder, lambda: lab.listens(port)):
        yield port, log


@pytest.mark.integration
def test_only_the_right_certificates_deliver(tmp_path):
    """With TLS 1.3 a refused client writes its first message and is told afterwards: that must not pass for delivered."""
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    good, stranger = ours.issue("sentinel.example"), theirs.issue("sentinel.test")
    with strict_rsyslog(tmp_path / "server", ours) as (port, log):
        where = {"port": port, "transport": "tls", "ca_file": ours.file, "server_name": "siem.example"}
        refused = {
            "no certificate": where,
            "another authority": where | {"cert_file": stranger[0], "key_file": stranger[1]},
            "we trust another": where | {"cert_file": good[0], "key_file": good[1], "ca_file": theirs.file},
            "it has another name": where | {"cert_file": good[0], "key_file": good[1], "server_name": "evil.example"},
            "no such file": where | {"cert_file": tmp_path / "missing", "key_file": good[1]},
        }
        for why, settings in refused.items():
            with opened(**settings) as sink:
                (outcome,) = sink.send([document(7)])
            assert isinstance(outcome, Retry), why
        with opened(**where, cert_file=good[0], key_file=good[1]) as sink:
            assert sink.send([document(1)]) == [Delivered()]
            lab.wait_until(lambda: log.exists() and log.read_bytes(), "it arrives")
    received = log.read_text()
    assert 'id="al_1"' in received
    assert 'id="al_7"' not in received


def test_a_connection_ends_with_close_notify(tmp_path):
    """RFC 5425 4.4: without it the receiver cannot tell an end from an attack that cut the connection."""
    authority = Authority(tmp_path, "ours")
    certificate, key = authority.issue("siem.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    ends = []

    def receive(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with context.wrap_socket(connection, server_side=True, suppress_ragged_eofs=False) as secured:
            while part := secured.recv(65536):
                ends.append(part)
            with contextlib.suppress(OSError):
                secured.unwrap()
        ends.append(b"")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=receive, args=(listener,))
        thread.start()
        with opened(
            port=listener.getsockname()[1], transport="tls", ca_file=authority.file, server_name="siem.example"
        ) as sink:
            assert sink.send([document(1)]) == [Delivered()]
        thread.join(10)
    assert ends[-1] == b""


SYSLOG = re.compile(
    rb"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) "
    rb'\[sentinel@32473 id="((?:[^"\\\]]|\\["\\\]])*)"\] ([^\x00-\x1f]*)'
)
"""RFC 5424, written down once more, as strictly as it is meant."""


@given(st.text(max_size=40), st.binary(max_size=80), st.text(max_size=300), st.integers(0, 7))
def test_any_document_is_one_message_of_the_rfc(kind, body, hostname, severity):
    """Nothing that a document holds ends the message, forges a second one or breaks the header."""
    made = message(Document(id='a"b]\\c', body=body, kind=kind, severity=severity, time=START), 16, hostname)
    match = SYSLOG.fullmatch(made)
    assert match is not None
    assert int(match[1]) == 128 + severity
    assert re.sub(rb'\\(["\\\]])', rb"\1", match[7]) == b'a"b]\\c'
    assert len(match[8]) == len(body)


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_frames_come_apart_again(messages):
    """By their lengths in bytes: a length in characters would cut the message and lose the next."""
    stream, found = b"".join(frame(one, "octet") for one in messages), []
    while stream:
        length, _, stream = stream.partition(b" ")
        found.append(stream[: int(length)])
        stream = stream[int(length) :]
    assert found == messages


@given(st.text())
def test_a_parameter_comes_back(value):
    """Exactly three characters are escaped."""
    assert re.fullmatch(r'(?:[^"\\\]]|\\["\\\]])*', parameter(value), re.DOTALL)
    assert re.sub(r'\\(["\\\]])', r"\1", parameter(value)) == value


def test_the_header_keeps_to_its_room():
    """The limit on a message's length is the limit on its body and this."""
    longest = Document(id="]" * 40, body=b"", kind="k" * 99, severity=7, time=START)
    assert len(message(longest, 23, "h" * 999)) <= HEADER_ROOM
