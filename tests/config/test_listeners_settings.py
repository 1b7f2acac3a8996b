"""Settings of listeners: who may come has to be said wherever others than this machine can."""

from __future__ import annotations

from pathlib import Path

import pytest

from sentinel.config.listeners import closed_listeners
from sentinel.config.settings import settings_for
from sentinel.located import Lines, salvaged
from tests.integration.lab import certificate


def problems(tmp_path: Path, **source):
    """Return what is wrong with one source."""
    path, lines = tmp_path / "sentinel.yaml", Lines(None)
    settings, _lines, found = salvaged(settings_for([]), {"sources": [{"type": "syslog", **source}]}, lines, str(path))
    return [str(one) for one in found + (closed_listeners(settings, path, lines) if settings else [])]


@pytest.mark.parametrize(
    "source",
    [
        {"transport": "udp", "port": 15140},
        {"transport": "tcp", "port": 15140, "address": "::1"},
        {"transport": "tcp", "port": 15140, "address": "0.0.0.0", "allow": ["10.0.0.0/8", "2001:db8::7"]},
        {"transport": "unix", "path": "log.sock"},
        {"transport": "unix-datagram", "path": "log.sock"},
        {"type": "dnstap", "path": "dnstap.sock"},
    ],
)
def test_what_only_known_senders_reach_is_in_order(tmp_path, source):
    """Loopback, an allow-list, or a socket that the file system guards."""
    assert problems(tmp_path, **source) == []


def test_client_certificates_open_a_port_to_others(tmp_path):
    """Whoever has none is refused at the handshake."""
    keys = certificate(tmp_path, [])
    files = {"cert_file": keys.certificate.name, "key_file": keys.key.name}
    everybody = {"transport": "tls", "port": 15140, "address": "0.0.0.0"}
    assert problems(tmp_path, **everybody, **files, client_ca_file=keys.certificate.name) == []
    (problem,) = problems(tmp_path, **everybody, **files)
    assert "say who may send" in problem


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"transport": "udp", "port": 15140, "address": "0.0.0.0"}, "say who may send"),
        ({"transport": "tcp", "port": 15140, "address": "::"}, "say who may send"),
        ({"transport": "tcp", "port": 15140, "address": "localhost"}, "write an IP address"),
        ({"transport": "tcp"}, "'port' is needed"),
        ({"transport": "unix"}, "'path' is needed"),
        ({"transport": "unix", "path": "a", "port": 1}, "neither"),
        ({"transport": "tcp", "port": 15140, "path": "a"}, "for Unix sockets"),
        ({"transport": "tls", "port": 15140}, "'cert_file' is needed"),
        ({"transport": "tcp", "port": 15140, "cert_file": "a"}, "mean TLS"),
        ({"transport": "tls", "port": 15140, "cert_file": "nowhere.pem"}, "certificates do not serve"),
        ({"transport": "tcp", "port": 15140, "address": "192.0.2.1", "allow": ["10.0.0.0/8"]}, "cannot be opened"),
        ({"transport": "unix", "path": "nowhere/log.sock"}, "there is no folder"),
        ({"transport": "tcp", "port": 15140, "format": "squid"}, "squid-native"),
    ],
)
def test_a_listener_that_cannot_work_or_is_open_to_all_is_refused(tmp_path, source, said):
    """Started so, it would fail at night, or take in what anybody writes."""
    assert said in " ".join(problems(tmp_path, **source))
