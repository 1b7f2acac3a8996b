"""The HTTP client: where it does not go, whom it trusts, what it does not say."""

import contextlib
import socket
import ssl
import time
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.sinks import web
from sentinel.sinks.outcome import Delivered, Rejected, Retry
from sentinel.sinks.secret import UnreadableSecretError, read_secret
from sentinel.sinks.web import UnreachedError, Web, WebSettings, halved, in_parts, judged, off_limits
from tests.integration import lab
from tests.sinks.receivers import Reply, document, receiving, secret


class Settings(WebSettings):
    """Settings of a sink that only speaks HTTP."""

    type: Literal["web"] = "web"


@contextlib.contextmanager
def client(**settings):
    """A client with these settings, closed at the end."""
    made = Web(Settings(name="w", **settings))
    yield made
    made.close()


def taken(_request) -> Reply:
    return Reply(200, b"ok")


@pytest.mark.parametrize(
    ("address", "refused"),
    [
        ("169.254.169.254", True), ("169.254.1.2", True), ("fe80::1", True), ("[fe80::1%eth0]", True),
        ("::ffff:169.254.169.254", True), ("64:ff9b::a9fe:a9fe", True), ("2002:a9fe:a9fe::1", True),
        ("fd00:ec2::254", True), ("100.100.100.200", True), ("168.63.129.16", True),
        ("127.0.0.1", False), ("10.0.0.1", False), ("192.0.2.1", False), ("2001:db8::1", False), ("::ffff:10.0.0.1", False),
    ],
)  # fmt: skip
def test_link_local_and_metadata_addresses_are_off_limits(address, refused):
    """Whoever writes a receiver's address must not make Sentinel fetch a cloud's credentials, in no way of writing it."""
    assert off_limits(address) is refused


@pytest.mark.parametrize("host", ["169.254.169.254", "[::ffff:a9fe:a9fe]", "[fe80::1]"])
def test_an_address_that_is_off_limits_is_not_asked(host):
    """Not even a connection is made."""
    with client() as ours, pytest.raises(UnreachedError, match="link-local"):
        ours.post(f"http://{host}/latest/meta-data", b"", {})


@pytest.mark.parametrize("number", ["0xa9fea9fe", "2852039166", "169.254.43518"])
def test_numbers_that_mean_such_an_address_are_refused(number):
    """`inet_aton` knows more ways to write an address than people do."""
    with client() as ours, pytest.raises(UnreachedError, match=r"link-local|Invalid|Connect"):
        ours.post(f"http://{number}/", b"", {})


def test_a_name_that_leads_there_is_refused(monkeypatch):
    """One answer among several is enough: a name server that means ill mixes them."""
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 80)) for ip in ("192.0.2.1", "169.254.169.254")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **more: answers)
    with client() as ours, pytest.raises(UnreachedError, match=r"metadata\.example: 169\.254\.169\.254 is link-local"):
        ours.post("http://metadata.example/", b"", {})


def test_whom_the_connection_reached_is_looked_at_too(monkeypatch):
    """A name may answer differently a moment later: what counts is who is at the other end, before anything is sent."""
    with receiving(taken) as receiver:
        asked = iter([False, False])  # the host as it is written, and the name's answer, look harmless
        monkeypatch.setattr(web, "off_limits", lambda _address: next(asked, True))
        with client() as ours, pytest.raises(UnreachedError, match="link-local"):
            ours.post(receiver.url, b"secret", {})
        assert receiver.requests == []


def test_what_is_allowed_is_asked(monkeypatch):
    """Some do receive on a link-local address, and say so."""
    monkeypatch.setattr(web, "off_limits", lambda _address: True)
    with receiving(taken) as receiver, client(allow_link_local=True) as ours:
        assert ours.post(receiver.url, b"", {}).taken


def test_a_redirect_is_an_answer_and_not_followed():
    """Elsewhere nobody was configured, and the credentials are not for them."""
    with receiving(lambda asked: Reply(307, headers={"Location": "/b"})) as receiver, client() as ours:
        answer = ours.post(f"{receiver.url}/a", b"x", {"authorization": "secret"})
        assert [one.path for one in receiver.requests] == ["/a"]
    assert isinstance(judged(answer), Retry)


def test_a_proxy_of_the_settings_is_used_and_one_of_the_environment_is_not(monkeypatch, tmp_path):
    """The address is a secret: it goes to nobody whom the settings do not name."""
    with receiving(taken) as proxy, receiving(taken) as receiver:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        with client() as ours:
            assert ours.post(f"{receiver.url}/plain", b"", {}).taken
        assert proxy.requests == []
        with client(proxy_file=secret(tmp_path, "proxy", proxy.url.replace("//", "//user:pass@"))) as ours:
            assert ours.post("http://receiver.example/by-proxy", b"", {}).taken
        (asked,) = proxy.requests
        assert asked.path == "http://receiver.example/by-proxy"
        assert asked.headers["proxy-authorization"].startswith("Basic ")
        assert [one.path for one in receiver.requests] == ["/plain"]


def test_tls_goes_through_a_proxy_as_a_tunnel():
    """And a proxy that refuses is said to."""
    with receiving(lambda asked: Reply(403, b"no")) as proxy, client(proxy=proxy.url) as ours:
        with pytest.raises(UnreachedError, match="403"):
            ours.post("https://receiver.example/secret-path", b"", {})
        assert [(one.method, one.path) for one in proxy.requests] == [("CONNECT", "receiver.example:443")]


def test_only_a_receiver_with_a_trusted_certificate_gets_anything(tmp_path):
    """And it gets ours, where it asks for one."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        folder.mkdir()
    mine, its = lab.certificate(ours, ["sentinel"]), lab.certificate(theirs, [])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(its.certificate, its.key)
    context.load_verify_locations(mine.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    with receiving(taken, context) as receiver:
        with client() as stranger, pytest.raises(UnreachedError, match="CERTIFICATE_VERIFY_FAILED"):
            stranger.post(receiver.url, b"", {})
        with client(ca_file=its.certificate) as nobody, pytest.raises(UnreachedError):
            nobody.post(receiver.url, b"", {})
        with client(ca_file=its.certificate, cert_file=mine.certificate, key_file=mine.key) as known:
            assert known.post(receiver.url, b"", {}).taken
    assert len(receiver.requests) == 1


def test_a_certificate_that_cannot_be_read_is_named(tmp_path):
    """While the daemon runs it can be put there."""
    with client(ca_file=tmp_path / "none.pem") as ours, pytest.raises(UnreachedError, match=r"none\.pem: No such file"):
        ours.post("https://receiver.example/", b"", {})


def test_a_receiver_that_is_silent_is_given_up(monkeypatch):
    """After the time-out, not after the system's hours."""
    monkeypatch.setattr(web, "TOTAL_SECS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent, client() as ours:
        began = time.monotonic()
        with pytest.raises(UnreachedError, match="ReadTimeout"):
            ours.post(f"http://127.0.0.1:{silent.getsockname()[1]}/", b"", {})
        assert time.monotonic() - began < 5


@given(st.text(max_size=80))
def test_any_address_is_asked_or_refused(address):
    """What lies in the file of an address is somebody's mistake, and must not end the thread."""
    with client(proxy="http://127.0.0.1:9") as ours, contextlib.suppress(UnreachedError):
        ours.post(address, b"", {})


def test_long_batches_go_in_parts_and_stop_at_the_first_that_nobody_took():
    """One that was not tried does not count as an attempt."""
    sent = []

    def deliver(part):
        sent.append(len(part))
        return [Retry("busy", 7)] * len(part) if len(sent) == 2 else [Delivered()] * len(part)

    outcomes = in_parts([document(n, b"x" * 400) for n in range(6)], 1000, deliver)
    assert sent == [2, 2]
    assert outcomes == [Delivered()] * 2 + [Retry("busy", 7)] * 2 + [Retry("busy", 7, tried=False)] * 2


def test_halves_find_the_one_that_is_refused():
    """Its neighbours arrive."""

    def deliver(part):
        if any(one.id == "al_3" for one in part):
            return halved(part, deliver) if len(part) > 1 else [Rejected("bad")]
        return [Delivered()] * len(part)

    assert deliver([document(n) for n in range(5)]) == [Delivered()] * 3 + [Rejected("bad"), Delivered()]


def test_a_secret_may_come_from_a_command(tmp_path):
    """As vaults give theirs; what the command says when it fails may quote the secret, and is not passed on."""
    assert read_secret(None, None, ["printf", "%s\n", "s3cret"]) == "s3cret"
    with pytest.raises(UnreadableSecretError, match="sh ended with 3") as failed:
        read_secret(None, None, ["sh", "-c", "echo t0ken; echo t0ken >&2; exit 3"])
    assert "t0ken" not in str(failed.value)
    with pytest.raises(UnreadableSecretError, match="FileNotFoundError"):
        read_secret(None, None, [str(tmp_path / "vault")])


def test_a_command_is_not_asked_for_every_alert(tmp_path):
    """A vault would be burdened with each, and slow each down."""
    command = ["sh", "-c", f"echo x >> {tmp_path}/asked; echo s3cret"]
    assert [read_secret(None, None, command) for _ in range(3)] == ["s3cret"] * 3
    assert (tmp_path / "asked").read_text() == "x\n"
