"""Listeners: who may come, what is taken, what is refused and counted, and when senders are told that it is kept."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections import Counter

import pytest

from sentinel.coverage import Coverage
from sentinel.sources.conversation import CUT, TOO_LONG
from sentinel.sources.endpoint import Endpoint, Keys
from sentinel.sources.listener import NO_TLS, NONSENSE, NOT_ALLOWED, TOO_FAST, TOO_MANY, Limits, Listener
from tests.integration.lab import certificate, wait_until

LINE = b"<13>Nov 23 06:13:40 ns1 app: one"


class Running:
    """A listener that runs in a thread, and what it handed over."""

    def __init__(self, listener, positions):
        self.listener = listener
        self.bursts = []
        self.commit = True
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(positions,))
        self._thread.start()

    def _run(self, positions):
        for burst in self.listener.batches(self._stop, positions):
            self.bursts.append(burst)
            if self.commit:
                burst.committed()

    def records(self):
        """Return all records so far, in order."""
        return [one for burst in self.bursts for batch in burst.batches for one in bytes(batch.data).split(b"\n") if one]

    def refused(self):
        """Return what was refused so far."""
        return sum((burst.refused for burst in self.bursts), Counter())

    def stop(self):
        """End it."""
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()


@contextlib.contextmanager
def listening(endpoint, limits=None, positions=None, **options):
    """Run a listener until the block ends."""
    running = Running(Listener(endpoint, limits, **options), positions or {})
    try:
        wait_until(lambda: running.bursts, "it listens")
        yield running
    finally:
        running.stop()


def connected(running, context=None):
    """Return a connection to it."""
    plain = socket.create_connection(("127.0.0.1", running.listener.port), timeout=30)
    return context.wrap_socket(plain) if context else plain


def test_a_log_is_known_by_its_sender_and_the_host_that_the_header_names():
    """A relay passes many hosts' messages on: each is a log of its own, with its own format and account."""
    with listening(Endpoint(speaks="syslog")) as running:
        with connected(running) as sender:
            sender.sendall(LINE + b"\n<13>Nov 23 06:13:40 ns2 app: two\nno header at all\n")
        wait_until(lambda: len(running.records()) == 3, "all arrived")
    paths = [batch.input.path for burst in running.bursts for batch in burst.batches]
    assert paths == ["syslog:127.0.0.1/ns1", "syslog:127.0.0.1/ns2", "syslog:127.0.0.1"]
    assert all(batch.input.mixed for burst in running.bursts for batch in burst.batches)


def test_offsets_go_on_where_the_position_ended():
    """Two messages of one log never lie at the same place, also after a restart."""
    endpoint = Endpoint(speaks="syslog", port=0)
    with listening(endpoint) as running, connected(running) as sender:
        sender.sendall(LINE + b"\n")
        wait_until(running.records, "it arrived")
    (batch,) = [one for burst in running.bursts for one in burst.batches]
    with listening(endpoint, positions={batch.input.key: batch.position}) as again, connected(again) as sender:
        sender.sendall(LINE + b"\n")
        wait_until(again.records, "it arrived")
    (after,) = [one for burst in again.bursts for one in burst.batches]
    assert (batch.offset, after.offset) == (0, len(LINE) + 1)


def test_datagrams_that_nobody_took_are_told_as_a_gap():
    """What was sent while Sentinel was not running is gone: the coverage must say so."""
    endpoint = Endpoint(speaks="syslog", datagrams=True)
    with listening(endpoint) as running:
        pass
    burst = running.bursts[-1]
    with listening(endpoint, positions={burst.key: burst.position}) as again:
        pass
    coverage = Coverage("listener")
    again.bursts[0].add_to(coverage)
    assert "nobody listened from" in coverage.notes[0]
    assert not coverage.complete


def test_senders_that_are_not_allowed_are_refused_and_counted():
    """Whoever can reach the port must not thereby be able to write evidence."""
    from ipaddress import ip_network

    allow = (ip_network("192.0.2.0/24"),)
    with listening(Endpoint(speaks="syslog", allow=allow)) as running:
        with connected(running) as sender:
            with contextlib.suppress(OSError):
                sender.sendall(LINE + b"\n")
            assert closed(sender)
    assert running.refused() == {NOT_ALLOWED: 1}
    with listening(Endpoint(speaks="syslog", datagrams=True, allow=allow)) as running:
        with socket.socket(type=socket.SOCK_DGRAM) as sender:
            sender.sendto(LINE, ("127.0.0.1", running.listener.port))
        wait_until(lambda: running.listener._refused or running.refused(), "it was counted")
    assert running.refused() == {NOT_ALLOWED: 1}
    assert running.records() == []


def closed(connection):
    """Whether the other side has closed it, within a generous time."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_connections_beyond_the_limit_are_refused_and_counted():
    """A sender that opens thousands must not take the place of the others."""
    with listening(Endpoint(speaks="syslog"), Limits(connections=1)) as running, connected(running) as first:
        first.sendall(LINE + b"\n")
        wait_until(running.records, "the first one is served")
        with connected(running) as second:
            assert closed(second)
        first.sendall(LINE + b"\n")
        wait_until(lambda: len(running.records()) == 2, "the first one is served still")
    assert running.refused() == {TOO_MANY: 1}


@pytest.mark.parametrize("speaks", ["syslog", "relp"])
def test_what_is_no_protocol_ends_its_connection_alone(speaks):
    """Somebody points a scanner at the port."""
    nonsense = b"6 <1>abc<1>def" if speaks == "syslog" else b"GET / HTTP/1.1\r\n\r\n"
    with listening(Endpoint(speaks=speaks)) as running, connected(running) as sender:
        sender.sendall(nonsense)
        assert closed(sender)
    assert running.refused() == {NONSENSE: 1}


def test_messages_that_are_too_long_or_break_off_are_counted():
    """Half a record is judged as nothing, and what is missing is known."""
    with listening(Endpoint(speaks="syslog"), Limits(message_bytes=100)) as running:
        with connected(running) as sender:
            sender.sendall(b"<1>" + b"x" * 200 + b"\n" + LINE + b"\n")
        with connected(running) as sender:
            sender.sendall(b"40 <1>half")
        wait_until(lambda: (running.listener._refused + running.refused()).total() == 2, "both are counted")
    assert running.refused() == {TOO_LONG: 1, CUT: 1}
    assert running.records() == [LINE]


def test_datagrams_beyond_the_rate_are_refused_and_streams_slowed_down():
    """A flood must not keep the others out; what a stream holds back is read later, and not lost."""
    with listening(Endpoint(speaks="syslog", datagrams=True), Limits(per_sec=1)) as running:
        with socket.socket(type=socket.SOCK_DGRAM) as sender:
            for _ in range(200):
                sender.sendto(LINE, ("127.0.0.1", running.listener.port))
        wait_until(lambda: len(running.records()) + (running.listener._refused + running.refused()).total() == 200, "all told")
    assert running.refused()[TOO_FAST] > 100
    with listening(Endpoint(speaks="syslog"), Limits(per_sec=100)) as running, connected(running) as sender:
        begun = time.monotonic()
        for _ in range(5):
            before = len(running.records())
            sender.sendall(LINE + b"\n" + (LINE + b"\n") * 59)
            wait_until(lambda before=before: len(running.records()) == before + 60, "they are read")
        assert time.monotonic() - begun > 1
    assert running.refused() == {}


def test_relp_answers_only_after_the_commit():
    """The sender throws away what was acknowledged: before it is kept, that would be a loss."""
    with listening(Endpoint(speaks="relp")) as running, connected(running) as sender:
        sender.sendall(b"1 open 14 relp_version=0\n")
        assert sender.recv(4096).startswith(b"1 rsp 60 200 OK\nrelp_version=0\n")
        running.commit = False
        sender.sendall(b"2 syslog 6 <1>abc\n")
        wait_until(running.records, "it arrived")
        sender.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sender.recv(4096)
        sender.settimeout(30)
        next(burst for burst in running.bursts if burst.batches).committed()
        assert sender.recv(4096) == b"2 rsp 6 200 OK\n"
        sender.sendall(b"3 close 0\n")
        assert sender.recv(4096).startswith(b"3 rsp 0\n")


def test_relp_that_is_closed_before_the_commit_is_answered_first():
    """A sender that says farewell still waits for the answers to its last messages."""
    with listening(Endpoint(speaks="relp")) as running, connected(running) as sender:
        running.commit = False
        sender.sendall(b"1 open 0\n2 syslog 6 <1>abc\n3 syslog 0\n4 close 0\n")
        wait_until(running.records, "it arrived")
        for burst in list(running.bursts):
            burst.committed()
        running.commit = True
        said = b""
        while piece := sender.recv(4096):
            said += piece
    assert said.split(b"\n", 4)[4] == b"2 rsp 6 200 OK\n3 rsp 6 200 OK\n4 rsp 0\n0 serverclose 0\n"


def test_tls_takes_only_clients_with_a_certificate_of_the_authority(tmp_path):
    """On a port that others can reach, the certificate is who they are."""
    ours = certificate(tmp_path, ["localhost"])
    (tmp_path / "other").mkdir()
    other = certificate(tmp_path / "other", ["localhost"])
    endpoint = Endpoint(speaks="syslog", keys=Keys(ours.certificate, ours.key, ours.certificate))

    def context(keys):
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        made.check_hostname = False
        made.load_verify_locations(ours.certificate)
        if keys:
            made.load_cert_chain(keys.certificate, keys.key)
        return made

    with listening(endpoint) as running:
        for keys in (None, other):
            with contextlib.suppress(OSError), connected(running, context(keys)) as sender:
                sender.sendall(LINE + b"\n")
                assert closed(sender)
        with connected(running) as plain:
            plain.sendall(LINE + b"\n")
            with contextlib.suppress(ConnectionError):
                while plain.recv(4096):  # an alert comes before the end
                    pass
        with connected(running, context(ours)) as sender:
            sender.sendall((LINE + b"\n") * 5000)
            wait_until(lambda: len(running.records()) == 5000, "all of a large piece arrived")
        wait_until(lambda: (running.listener._refused + running.refused())[NO_TLS] == 3, "the others are counted")
    assert running.refused() == {NO_TLS: 3}


@pytest.mark.parametrize("datagrams", [True, False])
def test_a_unix_socket_is_replaced_when_nobody_listens_there_and_removed_at_the_end(tmp_path, datagrams):
    """A killed daemon leaves its socket behind; a running one's must not be taken away."""
    path = tmp_path / "log.sock"
    kind = socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM
    with socket.socket(socket.AF_UNIX, kind) as left:
        left.bind(str(path))
    endpoint = Endpoint(speaks="syslog", datagrams=datagrams, path=path)
    with listening(endpoint) as running:
        with pytest.raises(OSError, match="another program"):
            next(Listener(endpoint).batches(threading.Event(), {}))
        with socket.socket(socket.AF_UNIX, kind) as sender:
            wait_until(lambda: sender.connect_ex(str(path)) == 0, "it can be reached")
            sender.sendall(LINE + b"\n")
            wait_until(running.records, "it arrived")
        assert path.stat().st_mode & 0o777 == 0o660
    assert running.records() == [LINE]
    assert not path.exists()
    path.write_text("a file")
    with pytest.raises(OSError, match="no socket"):
        next(Listener(endpoint).batches(threading.Event(), {}))
