"""Captures as a source: every shape of file, what is missing told, several read as one; real programs against tshark."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import shutil
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.utils import wrpcap, wrpcapng

from sentinel.packets.decoder import Decoder
from sentinel.packets.records import CaptureParser
from sentinel.packets.wire import Undecodable
from sentinel.sources.capture import CaptureReader, in_order, looks_like_capture
from tests.packets.made_packets import T0, datagram, hello, names, records, segment, syn

STREAM = records(hello(pad=1800))
PACKETS = [bytes(one) for one in (syn(), segment(STREAM[:1400]), segment(STREAM[1400:], seq=2401))]


def pcap(packets: list[bytes], *, order: str = "<", magic: int = 0xA1B2C3D4, unit: int = 1000, start: int = T0) -> bytes:
    """Return a pcap file, a second between its packets."""
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, 1)
    for number, packet in enumerate(packets):
        seconds, rest = divmod(start + number * 1_000_000_000, 1_000_000_000)
        out += struct.pack(order + "IIII", seconds, rest // unit, len(packet), len(packet)) + packet
    return out


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """Return a pcapng block."""
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def section(order: str = "<", *, resolution: int = 9, link: int = 1) -> bytes:
    """Return a section header and one interface, whose time resolution is 10**-resolution."""
    head = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)
    return head + block(1, struct.pack(order + "HHIHHB3xHH", link, 0, 0, 9, 1, resolution, 0, 0), order)


def enhanced(packet: bytes, ticks: int, order: str = "<", interface: int = 0) -> bytes:
    """Return an enhanced packet block."""
    return block(
        6, struct.pack(order + "IIIII", interface, ticks >> 32, ticks & 0xFFFFFFFF, len(packet), len(packet)) + packet, order
    )


def read(path: Path) -> tuple[list[str | None], CaptureReader]:
    """Return the names that a capture shows, and its reader at the end."""
    reader = CaptureReader(path)
    return names(one for some in reader.seen() for one in some), reader


@pytest.mark.parametrize(
    ("order", "magic", "unit"), [("<", 0xA1B2C3D4, 1000), (">", 0xA1B2C3D4, 1000), ("<", 0xA1B23C4D, 1), (">", 0xA1B23C4D, 1)]
)
def test_both_byte_orders_and_resolutions_of_pcap_are_read(tmp_path, order, magic, unit):
    """A capture may come from any machine."""
    (tmp_path / "a.pcap").write_bytes(pcap(PACKETS, order=order, magic=magic, unit=unit, start=T0 + 123_456_000))
    found, reader = read(tmp_path / "a.pcap")
    assert (found, reader.packets, reader.loss) == (["pimeyes.com"], 3, None)
    assert reader.first is not None
    assert reader.first.isoformat() == "2023-11-14T22:13:20.123456+00:00"


@pytest.mark.parametrize("squeeze", [gzip.compress, zstd.compress, lzma.compress, bz2.compress, bytes])
def test_a_compressed_capture_is_known_by_its_bytes_and_read(tmp_path, squeeze):
    """Archives are compressed, and named as their owner likes."""
    stored = squeeze(pcap(PACKETS))
    (tmp_path / "capture").write_bytes(stored)
    assert looks_like_capture(tmp_path / "capture")
    found, reader = read(tmp_path / "capture")
    assert (found, reader.complete, reader.stored_read) == (["pimeyes.com"], True, len(stored))


def test_sections_and_interfaces_of_pcapng_have_their_own_order_links_and_clocks(tmp_path):
    """Mergecap and dumpcap write such files; a wrong resolution would put an access into another year."""
    data = section("<", resolution=9) + enhanced(PACKETS[0], T0)
    data += block(0x0BAD, b"unknown") + block(4, b"\0\0\0\0")
    data += section(">", resolution=6) + enhanced(PACKETS[1], T0 // 1000 + 5, ">") + enhanced(PACKETS[2], T0 // 1000 + 7, ">")
    (tmp_path / "a.pcapng").write_bytes(data)
    found, reader = read(tmp_path / "a.pcapng")
    assert (found, reader.packets, reader.loss) == (["pimeyes.com"], 3, None)
    assert reader.last is not None
    assert reader.last.isoformat() == "2023-11-14T22:13:20.000007+00:00"


def test_a_section_whose_first_packet_is_damaged_is_told(tmp_path):
    """Found by atheris: a block that claims more bytes than it has, before any other packet, ended the whole replay."""
    broken = bytearray(enhanced(PACKETS[0], T0))
    struct.pack_into("<I", broken, 20, 1 << 20)
    (tmp_path / "a.pcapng").write_bytes(section() + bytes(broken) + enhanced(PACKETS[1], T0))
    found, reader = read(tmp_path / "a.pcapng")
    assert (found, reader.packets) == ([], 0)
    assert "too short" in (reader.loss or "")


def test_a_simple_packet_has_no_time_and_that_is_told(tmp_path):
    """It is read nevertheless, and nobody should take its time for certain."""
    data = section() + enhanced(PACKETS[0], T0) + block(3, struct.pack("<I", len(PACKETS[1])) + PACKETS[1])
    data += enhanced(PACKETS[2], T0 + 5)
    (tmp_path / "a.pcapng").write_bytes(data)
    found, reader = read(tmp_path / "a.pcapng")
    assert found == ["pimeyes.com"]
    assert "carry no time" in (reader.loss or "")


def test_what_the_kernel_dropped_is_told(tmp_path):
    """When packets were lost, not seeing a name proves nothing."""
    statistics = struct.pack("<IIIHHQHH", 0, 0, 0, 5, 8, 41, 0, 0)
    (tmp_path / "a.pcapng").write_bytes(section() + enhanced(PACKETS[0], T0) + block(5, statistics))
    assert "dropped 41 packets" in (read(tmp_path / "a.pcapng")[1].loss or "")


@pytest.mark.integration
@pytest.mark.parametrize("squeeze", [bytes, gzip.compress])
def test_a_capture_cut_anywhere_gives_what_it_holds_and_tells_the_rest(tmp_path, squeeze):
    """Tcpdump was killed, the disk was full, or it is still being written."""
    whole = squeeze(pcap([bytes(datagram(b"", dport=9)), *PACKETS]))
    shown = []
    for length in range(0, len(whole), 3):
        (tmp_path / "a").write_bytes(whole[:length])
        found, reader = read(tmp_path / "a")
        assert set(found) <= {"pimeyes.com"}
        shown.append(reader.packets)
        assert reader.complete == (squeeze is bytes and length in record_ends(whole))
    assert shown == sorted(shown)


def record_ends(data: bytes) -> set[int]:
    """Return where a plain capture may end without anyone noticing."""
    ends, at = {24}, 24
    while at < len(data):
        at += 16 + struct.unpack_from("<I", data, at + 8)[0]
        ends.add(at)
    return ends


def test_damage_in_the_middle_is_told_with_its_offset(tmp_path):
    """All before it is evidence; all after it is unknown."""
    good = pcap(PACKETS)
    (tmp_path / "a.pcap").write_bytes(good + b"\xff" * 40)
    found, reader = read(tmp_path / "a.pcap")
    assert (found, reader.complete) == (["pimeyes.com"], False)
    assert reader.losses[0].offset == len(good)


def test_a_hello_split_over_two_files_is_joined(tmp_path):
    """`tcpdump -C` cuts where the size is reached; the files' names say nothing sure about their order."""
    (tmp_path / "z.pcap").write_bytes(pcap(PACKETS[:2]))
    (tmp_path / "a.pcap.gz").write_bytes(gzip.compress(pcap(PACKETS[2:], start=T0 + 2_000_000_000)))
    decoder = Decoder()
    ordered = in_order([tmp_path / "a.pcap.gz", tmp_path / "z.pcap"])
    seen = [(Path(path).name, one.frame) for path in ordered for some in CaptureReader(path, decoder).seen() for one in some]
    assert seen == [("a.pcap.gz", 1)]


def test_a_capture_is_read_from_standard_input(monkeypatch):
    """`ssh sensor tcpdump -w - | sentinel replay pcap -`."""
    stored = gzip.compress(pcap(PACKETS))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stored)))
    reader = CaptureReader("-", digest=True)
    assert names(one for some in reader.seen() for one in some) == ["pimeyes.com"]
    assert reader.sha256 == hashlib.sha256(stored).hexdigest()


@pytest.mark.parametrize(
    "content", [b"", b"1700000000.123 GET http://a/\n", b"\x1f\x8b", b"PK\x03\x04" + bytes(30), b"\x0a\x0d\x0d\x0a" + bytes(20)]
)
def test_other_files_are_no_captures(tmp_path, content):
    """Logs and archives lie in the same folders."""
    (tmp_path / "a").write_bytes(content)
    assert not looks_like_capture(tmp_path / "a")


def test_scapys_own_files_are_read(tmp_path):
    """Another writer than ours, for both formats."""
    packets = [syn(), segment(STREAM[:1400]), segment(STREAM[1400:], seq=2401)]
    for name, write in (("a.pcap", wrpcap), ("a.pcapng", wrpcapng)):
        write(str(tmp_path / name), packets)
        assert read(tmp_path / name)[0] == ["pimeyes.com"]


@given(
    st.sampled_from([b"", pcap(PACKETS[:1]), section() + enhanced(PACKETS[0], T0)]), st.binary(max_size=200), st.integers(1, 50)
)
@settings(deadline=None)
def test_any_bytes_in_any_pieces_give_packets_or_the_declared_error(start, tail, size):
    """The parser keeps no more than a record, however the bytes come."""
    parser = CaptureParser()
    data = start + tail
    try:
        for at in range(0, len(data), size):
            for records in parser.feed(data[at : at + size]):
                assert all(len(packet) <= len(data) for _time, _link, packet, _length in records)
        parser.finish()
    except Undecodable:
        assert parser.offset <= len(data)


def need(program: str) -> str:
    """Return where *program* is, or skip the test by its name."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


@pytest.fixture
def servers(tmp_path) -> Iterator[tuple[int, int]]:
    """Serve HTTP and HTTPS on loopback; the ports."""
    openssl = need("openssl")
    made = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=lab"]
    subprocess.run([openssl, "req", "-x509", *kind, *made], check=True, capture_output=True)

    class Quiet(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *args: object) -> None:
            pass

    plain, secure = (ThreadingHTTPServer(("127.0.0.1", 0), Quiet) for _ in range(2))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    secure.socket = context.wrap_socket(secure.socket, server_side=True, do_handshake_on_connect=False)
    threads = [threading.Thread(target=server.serve_forever) for server in (plain, secure)]
    for thread in threads:
        thread.start()
    yield plain.server_port, secure.server_port
    for server in (plain, secure):
        server.shutdown()
        server.server_close()
    for thread in threads:
        thread.join()


@pytest.mark.integration
def test_real_programs_are_read_as_tshark_reads_them(tmp_path, servers):
    """Tcpdump captures curl and dig on loopback; names, hosts and queries are those of tshark's dissection."""
    http, https = servers
    curl, dig, tshark = need("curl"), need("dig"), need("tshark")
    photo = tmp_path / "photo"
    photo.write_bytes(b"GET / HTTP/1.1\r\nHost: never.example\r\n\r\n" * 8000)
    path = tmp_path / "lo.pcap"
    with capturing(path, f"port 53 or port {http} or port {https}"):
        for host in ("pimeyes.com", "FaceCheck.ID", "app.clearview.ai"):
            options = ["--connect-to", "::127.0.0.1:", "-sk", "-o", "/dev/null", "-m", "10"]
            upload = ["-H", "Expect:", "--data-binary", f"@{photo}", f"http://{host}:{http}/up"]
            subprocess.run([curl, *options, f"https://{host}:{https}/"], check=True)
            subprocess.run([curl, *options, f"http://{host}:{http}/a?n=1", "--next", *options, *upload], check=True)
            subprocess.run([dig, "@127.0.0.1", "+tries=1", "+time=1", host, "AAAA"], capture_output=True)
    reader = CaptureReader(path)
    seen = [one.observation for some in reader.seen() for one in some]
    assert reader.complete
    sni = "tls.handshake.extensions_server_name"
    read_by_tshark = {
        "tls_client_hello": dissected(tshark, path, https, "tls", "tls.handshake.type==1", sni),
        "http_request": dissected(tshark, path, http, "http", "http.request", "http.host"),
        "dns_query": dissected(tshark, path, 53, "dns", "dns.flags.response==0", "dns.qry.name"),
    }
    for kind, expected in read_by_tshark.items():
        assert expected.total() >= 3
        assert Counter(one.name for one in seen if one.kind == kind) == expected
    assert {one.bytes_up for one in seen if one.method == "POST"} == {photo.stat().st_size}


@contextmanager
def capturing(path: Path, expression: str) -> Iterator[None]:
    """Let tcpdump write what passes on loopback, or skip where it may not."""
    # Root's tcpdump would give up its rights first, and could then not write here.
    command = [need("tcpdump"), "-i", "lo", "-U", "-Z", "root", "-w", path, *expression.split()]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as program:
        assert program.stderr is not None
        said = b""
        while b"listening" not in said:
            line = program.stderr.readline()
            if not line:
                pytest.skip(f"tcpdump may not capture here: {said!r}")
            said += line
        try:
            yield
            time.sleep(1)  # the kernel hands packets over in blocks
        finally:
            program.terminate()
            program.communicate(timeout=10)


def dissected(tshark: str, path: Path, port: int, protocol: str, where: str, field: str) -> Counter[str]:
    """Return how often tshark reads each value of *field*, in lower case and without a port."""
    decode_as = [] if port == 53 else ["-d", f"tcp.port=={port},{protocol}"]
    command = [tshark, "-r", path, *decode_as, "-Y", where, "-T", "fields", "-e", field]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")
    return Counter(line.lower().partition(":")[0] for line in lines if line)
