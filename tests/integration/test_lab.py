"""The lab itself: each program starts, does its work, and is gone afterwards."""

from __future__ import annotations

import socket
import ssl
import time

import pytest

from tests.integration import lab

NAMES = ["clearview.ai", "pimeyes.com"]
MESSAGE = '<13>1 2026-11-25T08:00:00.123Z host sentinel 1 opened [a@1 b="c"] CEF:0|a "quoted" \u00fc'.encode()


@pytest.mark.parametrize("start", [lab.dnsmasq, lab.bind, lab.unbound])
def test_a_resolver_answers_for_the_services_and_is_gone_afterwards(tmp_path, start):
    """A program that outlives its test would hold ports, and answer for the next one."""
    with start(tmp_path / "resolver", NAMES) as resolver:
        assert resolver.ask("app.clearview.ai") == lab.LOCALHOST
        assert resolver.ask("pimeyes.com", options=["+tcp"]) == lab.LOCALHOST
    assert not lab.listens(resolver.port)


def test_a_program_that_does_not_start_fails_with_its_own_words(tmp_path):
    """Whoever reads the failure must not have to search for the program's message."""
    with pytest.raises(pytest.fail.Exception, match=r"dnsmasq ended with 1: \s*dnsmasq: .*dnsmasq\.conf"):
        with lab.dnsmasq(tmp_path / "resolver", ["pimeyes.com/\nno-such-option"]):
            pass


def test_the_proxy_fetches_from_the_site_that_bears_the_names(tmp_path):
    """All the tests' proxied traffic ends at a server of ours: none of it may leave the machine."""
    with lab.website(tmp_path / "site", NAMES) as (http, https), lab.squid(NAMES) as proxy:
        proxy.get(f"http://clearview.ai:{http}/")
        proxy.get(f"https://pimeyes.com:{https}/")
        lab.wait_until(lambda: proxy.log.read_text().count("/200 ") == 2, "both are logged as fetched")
    assert not lab.listens(proxy.port)
    assert not proxy.log.parent.exists()


@pytest.mark.parametrize("start", [lab.rsyslog, lab.syslog_ng])
def test_a_syslog_server_receives_the_same_message_over_each_transport(tmp_path, start):
    """What the sinks send must come back whole: octet counting, quotes and UTF-8 included."""
    framed = b"%d %s" % (len(MESSAGE), MESSAGE)
    with start(tmp_path / "server") as server:
        with socket.create_connection((lab.LOCALHOST, server.ports["tcp"])) as tcp:
            tcp.sendall(framed)
        context = ssl.create_default_context(cafile=str(server.certificate.certificate))
        with socket.create_connection((lab.LOCALHOST, server.ports["tls"])) as tcp:
            with context.wrap_socket(tcp, server_hostname="localhost") as tls:
                tls.sendall(framed)
        if "udp" in server.ports:
            with socket.socket(type=socket.SOCK_DGRAM) as udp:
                udp.sendto(MESSAGE, (lab.LOCALHOST, server.ports["udp"]))
        for transport in server.ports:
            (message,) = lab.wait_until(lambda transport=transport: server.received(transport), f"a message over {transport}")
            assert message["msg"] == MESSAGE.decode().partition("] ")[2]
            assert (message["pri"], message["app"], message["msgid"]) == ("13", "sentinel", "opened")


def test_the_webhook_notes_what_is_signed_wrongly():
    """A sink that signs wrongly must not pass for one that delivers."""
    import httpx2

    with lab.webhook(lambda: 503) as receiver:
        headers = {"webhook-id": "1", "webhook-timestamp": str(int(time.time())), "webhook-signature": "v1,AAAA"}
        assert httpx2.post(receiver.url, json={}, headers=headers).status_code == 503
    assert receiver.forged == ["1: v1,AAAA"]
    assert receiver.taken == []
