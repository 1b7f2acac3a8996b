"""Observing and replaying captures: the settings that decide how they are read, and captures that come through a pipe."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from backports import zstd
from scapy.layers.dns import DNS, DNSQR
from scapy.utils import wrpcap, wrpcapng

from tests.packets.made_packets import datagram, hello, records, segment, syn

SENTINEL = Path(sys.executable).with_name("sentinel")
LOG = b"1795411169.935 3 10.0.0.1 TCP_MISS/200 374 GET https://pimeyes.com/ - HIER_DIRECT/192.0.2.9 text/html\n"


def observed(*args: str | Path, given: bytes | None = None) -> list[tuple[str, str]]:
    """Return action and place (path or frame) of what `sentinel observe` prints, with *given* on its standard input."""
    done = subprocess.run([SENTINEL, "observe", *map(str, args)], input=given, capture_output=True, timeout=120, check=True)
    docs = [json.loads(line) for line in done.stdout.splitlines()]
    return [(doc["event"]["action"], doc["log"]["file"]["path"]) for doc in docs]


@pytest.fixture
def asked_elsewhere(tmp_path: Path) -> Path:
    """A capture of a question to a resolver on port 5300."""
    path = tmp_path / "a.pcap"
    wrpcap(str(path), [datagram(bytes(DNS(qd=DNSQR(qname="pimeyes.com"))), dport=5300)])
    return path


def settings_file(folder: Path, ports: str) -> Path:
    """Return a settings file that names the ports of DNS."""
    path = folder / "sentinel.yaml"
    path.write_text(f"sources: [{{type: capture, path: a.pcap}}]\ndns_ports: {ports}\n")
    return path


@pytest.mark.integration
@pytest.mark.parametrize(("ports", "count"), [("[53]", 0), ("[53, 5300]", 1)])
def test_replay_and_observe_read_captures_with_the_ports_that_are_set(tmp_path, asked_elsewhere, ports, count):
    """A department's resolver may listen elsewhere: what the daemon would find there, an investigation has to find too."""
    config = settings_file(tmp_path, ports)
    done = subprocess.run(
        [SENTINEL, "replay", "pcap", asked_elsewhere, "-c", config, "--json"], capture_output=True, timeout=120, check=True
    )
    assert len(json.loads(done.stdout)["findings"]) == count
    assert observed(asked_elsewhere, "-c", config) == [("dns_query", str(asked_elsewhere))] * count


@pytest.mark.integration
@pytest.mark.parametrize("squeeze", [bytes, gzip.compress, zstd.compress])
@pytest.mark.parametrize("write", [wrpcap, wrpcapng])
def test_a_capture_on_standard_input_is_known_by_its_content(tmp_path, squeeze, write):
    """`tcpdump -w - | sentinel observe -`: a pipe has no name, and cannot be read twice."""
    stream = records(hello(pad=1800))
    path = tmp_path / "a"
    write(str(path), [syn(), segment(stream[:1400]), segment(stream[1400:], seq=2401)])
    assert [action for action, _ in observed("-", given=squeeze(path.read_bytes()))] == ["tls_client_hello", "flow"]


@pytest.mark.integration
@pytest.mark.parametrize("squeeze", [bytes, gzip.compress])
def test_a_log_on_standard_input_is_read_from_its_first_byte(squeeze):
    """What was looked at to tell a log from a capture is a part of the log."""
    assert observed("-", given=squeeze(LOG * 3)) == [("http_request", "-")] * 3
    assert observed("-", given=squeeze(LOG)) == [("http_request", "-")]


def test_a_capture_that_comes_in_small_pieces_is_known_too(tmp_path):
    """A slow writer's first bytes are fewer than a file's header."""
    stream = records(hello())
    wrpcap(str(tmp_path / "a"), [syn(), segment(stream)])
    data = (tmp_path / "a").read_bytes()
    with subprocess.Popen([SENTINEL, "observe", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for at in range(0, len(data), 7):
            process.stdin.write(data[at : at + 7])
            process.stdin.flush()
        process.stdin.close()
        actions = [json.loads(line)["event"]["action"] for line in process.stdout]
    assert actions == ["tls_client_hello", "flow"]
