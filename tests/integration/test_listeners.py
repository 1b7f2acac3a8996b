"""Listeners with real senders: what rsyslog and syslog-ng send is judged once, over each transport and through restarts."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.integration import lab, senders
from tests.integration.daemon import opened_store, running, started, write_config

MOST = 400


def line(number: int) -> str:
    """Return a line of Squid's log, of a client of its own."""
    now = datetime.now(UTC).timestamp()
    client = f"10.1.{number // 250}.{number % 250}"
    return f"{now:.3f}    120 {client} TCP_TUNNEL/200 5120 CONNECT pimeyes.com:443 - HIER_DIRECT/203.0.113.9 -\n"


def source(transport: str, port: int, **settings: object) -> dict[str, object]:
    """Return the settings of a listener on loopback."""
    return {"type": "syslog", "transport": transport, "port": port, **settings}


def found(folder: Path) -> Counter[str]:
    """Return how many findings there are of each client."""
    with opened_store(folder) as store:
        return Counter(one.observation.client or "" for one in store.each_finding())


def all_once(folder: Path, count: int) -> bool:
    """Whether each line was judged once."""
    return found(folder) == Counter(line(n).split()[2] for n in range(count))


@pytest.fixture
def log(tmp_path):
    """Return a log that a sender follows, empty as yet."""
    path = tmp_path / "access.log"
    path.touch()
    return path


def write(log: Path, numbers: range) -> None:
    """Append lines."""
    with log.open("a") as file:
        file.writelines(map(line, numbers))


def theirs_of(keys: lab.Certificate) -> dict[str, str]:
    """Return how rsyslog's omrelp is told of certificates."""
    files = {"tls.cacert": keys.certificate, "tls.mycert": keys.certificate, "tls.myprivkey": keys.key}
    return {name: str(file) for name, file in files.items()} | {"tls.authmode": "certvalid"}


@pytest.mark.parametrize("transport", ["udp", "tcp", "tcp-counted", "tls", "relp", "relp-tls"])
def test_what_rsyslog_sends_is_judged_once_and_says_where_it_comes_from(tmp_path, log, transport):
    """Every way in which rsyslog forwards; its address and the host that it names are the log's origin."""
    port = lab.free_port()
    keys = lab.certificate(tmp_path, [lab.LOCALHOST])
    tls = {"cert_file": str(keys.certificate), "key_file": str(keys.key), "client_ca_file": str(keys.certificate)}
    trust = " ".join(
        f'defaultNetstreamDriver{name}="{value}"'
        for name, value in (("CAFile", keys.certificate), ("CertFile", keys.certificate), ("KeyFile", keys.key))
    )
    drivers = {"StreamDriver": "ossl", "StreamDriverMode": "1", "StreamDriverAuthMode": "anon"}
    ways = {
        "udp": (source("udp", port), senders.fwd(port, "udp"), ""),
        "tcp": (source("tcp", port), senders.fwd(port, "tcp"), ""),
        "tcp-counted": (source("tcp", port), senders.fwd(port, "tcp", tcp_framing="octet-counted"), ""),
        "tls": (source("tls", port, **tls), senders.fwd(port, "tcp", **drivers), trust),
        "relp": (source("relp", port), senders.relp(port), ""),
        "relp-tls": (source("relp-tls", port, **tls), senders.relp(port, tls="on", **theirs_of(keys)), ""),
    }
    ours, theirs, extra = ways[transport]
    with running(write_config(tmp_path, [ours], [])) as daemon:
        lab.wait_until(lambda: '"listening"' in daemon.log(), "it listens")
        with senders.rsyslog(tmp_path / "rsyslog", log, theirs, extra=extra):
            write(log, range(20))
            lab.wait_until(lambda: all_once(tmp_path, 20), f"all lines over {transport}: {found(tmp_path)}")
        assert daemon.stop() == 0
    with opened_store(tmp_path) as store:
        origins = {one.origin.path for one in store.findings()}
        assert {one.raw.endswith(b"HIER_DIRECT/203.0.113.9 -") for one in store.findings()} == {True}
    (origin,) = origins
    assert f":{lab.LOCALHOST}/" in origin, "the address that it came from, and the host that the header names"


@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_what_syslog_ng_sends_is_judged_once(tmp_path, log, transport):
    """Line ends over TCP and over a Unix socket."""
    port, path = lab.free_port(), tmp_path / "log.sock"
    ours = source("tcp", port) if transport == "tcp" else {"type": "syslog", "transport": "unix", "path": str(path)}
    theirs = f'network("{lab.LOCALHOST}" port({port}))' if transport == "tcp" else f'unix-stream("{path}")'
    with running(write_config(tmp_path, [ours], [])) as daemon:
        lab.wait_until(lambda: '"listening"' in daemon.log(), "it listens")
        with senders.syslog_ng(tmp_path / "syslog-ng", log, theirs):
            write(log, range(20))
            lab.wait_until(lambda: all_once(tmp_path, 20), f"all lines over {transport}: {found(tmp_path)}")


def test_with_relp_nothing_is_lost_and_nothing_judged_twice_when_the_daemon_dies(tmp_path, log):
    """It is killed in mid-stream, again and again: rsyslog sends again what was not acknowledged, and that is known."""
    port = lab.free_port()
    config = write_config(tmp_path, [source("relp", port)], [])
    with senders.rsyslog(tmp_path / "rsyslog", log, senders.relp(port)):
        for part in range(4):
            with started(config) as daemon:
                before = found(tmp_path).total() if part else 0
                write(log, range(part * MOST // 4, (part + 1) * MOST // 4))
                lab.wait_until(lambda: daemon.works() and '"listening"' in daemon.log(), "it listens")
                lab.wait_until(lambda before=before: found(tmp_path).total() > before, "something arrives", secs=90)
                daemon.kill()
        with running(config) as daemon:
            lab.wait_until(lambda: all_once(tmp_path, MOST), "every line is judged once", secs=90)
            assert daemon.stop() == 0
