"""A network interface as a source, on a wire of the tests' own: what it sees, survives, counts and refuses."""

import fcntl
import json
import multiprocessing
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Dot1Q

from sentinel.coverage import Coverage
from sentinel.sources.interface import DROPPED, Interface
from sentinel.sources.ring import Ring
from sentinel.sources.workers import WorkerError
from tests.integration.lab import program, wait_until
from tests.integration.wires import ADDRESSES, FAR, WATCHED, ip, wire, within
from tests.packets.made_packets import CLIENT, ETHER, SERVER, hello, records, segment, syn
from tests.sources.test_kernel_filter import BULK

TUNSETIFF, TUN_WITHOUT_HEADER = 0x400454CA, 0x1001

pytestmark = pytest.mark.integration

SENTINEL = Path(sys.executable).with_name("sentinel")


@pytest.fixture(scope="module")
def cable():
    with wire() as made:
        yield made


class Watch:
    """What a watched interface gave so far."""

    def __init__(self):
        self.batches = []
        self.error = None
        self.stop = threading.Event()

    @property
    def seen(self):
        return [one for batch in self.batches for one in batch.seen]

    @property
    def names(self):
        return [one.observation.name for one in self.seen]

    @property
    def coverage(self):
        coverage = Coverage(path="mirror")
        for batch in self.batches:
            batch.add_to(coverage)
        return coverage

    def waits_for(self, *names):
        wait_until(lambda: set(names) <= set(self.names), f"{names} are seen", secs=20)

    def waits_for_note(self, words):
        wait_until(lambda: any(words in note for note in self.coverage.notes), f"it is told: {words}", secs=20)


@contextmanager
def watching(cable, *, positions=None, interface=WATCHED, fails=None, **settings):
    watch = Watch()

    def run():
        with within(cable.namespace):
            try:
                for batch in Interface(interface, **settings).batches(watch.stop, positions or {}):
                    watch.batches.append(batch)
            except Exception as error:
                watch.error = error

    thread = threading.Thread(target=run)
    thread.start()
    try:
        wait_until(lambda: watch.batches or watch.error, "the interface is open", secs=20)
        yield watch
    finally:
        watch.stop.set()
        thread.join(20)
    assert (watch.error and type(watch.error)) is fails
    assert not thread.is_alive()


def query(name, sport=40000):
    labels = b"".join(bytes([len(label)]) + label for label in name.encode().split(b"."))
    head = bytes.fromhex("123401000001000000000000")
    asked = head + labels + b"\0\0\x01\0\x01"
    return bytes(ETHER / IP(src=CLIENT, dst=SERVER) / UDP(sport=sport, dport=53) / asked)


def split_hello(name, sport=40000):
    stream = records(hello(name, pad=1500))
    parts = [syn(sport=sport), segment(stream[:1400], sport=sport), segment(stream[1400:], seq=2401, sport=sport)]
    return [bytes(part) for part in parts]


def test_it_sees_what_is_said_on_the_wire(cable):
    """Other machines' queries and hellos, the split ones too, with the packet as evidence and the kernel's time."""
    with watching(cable) as watch:
        before = time.time()
        frames = [query("pimeyes.com"), *split_hello(b"app.clearview.ai")]
        cable.send(frames)
        watch.waits_for("pimeyes.com", "app.clearview.ai")
    first, second, counted = watch.seen
    assert (counted.observation.kind, counted.observation.bytes_up) == (
        "flow",
        len(records(hello(b"app.clearview.ai", pad=1500))),
    )
    assert first.packet == frames[0]
    assert (second.observation.client, second.observation.server_port) == (CLIENT, 443)
    assert before - 1 <= first.observation.time.timestamp() <= time.time()
    assert watch.coverage.parsed == 4
    assert watch.coverage.complete


def test_bulk_never_reaches_python(cable):
    """Ten thousand segments of a download are on the wire, and the account counts only what passed the filter."""
    bulk = bytes(ETHER / IP(src=SERVER, dst=CLIENT) / TCP(sport=443, dport=40000, flags="A") / BULK)
    with watching(cable) as watch:
        cable.send([bulk] * 2000)
        cable.send([query("pimeyes.com")])
        watch.waits_for("pimeyes.com")
    assert watch.coverage.parsed == 1


def test_a_vlan_tag_that_the_kernel_took_off_is_part_of_the_evidence(cable):
    """What is kept is what was on the wire."""
    plain = query("pimeyes.com")
    tagged = plain[:12] + b"\x81\x00" + bytes(Dot1Q(vlan=42, prio=3, type=0x0800)) + plain[14:]
    with watching(cable) as watch:
        cable.send([tagged, query("facecheck.id")])
        watch.waits_for("pimeyes.com", "facecheck.id")
    assert [one.packet for one in watch.seen] == [tagged, query("facecheck.id")]


def test_what_this_machine_sends_is_read_only_when_asked_for(cable):
    """A mirror port sends nothing of interest; a gateway's own interface does."""
    for outgoing, expected in ((False, ["facecheck.id"]), (True, ["pimeyes.com", "facecheck.id"])):
        with watching(cable, outgoing=outgoing) as watch:
            cable.send([query("pimeyes.com")], interface=WATCHED)
            cable.send([query("facecheck.id")])
            watch.waits_for("facecheck.id")
        assert watch.names == expected


def test_an_interface_that_goes_down_is_watched_again(cable):
    """Somebody pulls a cable at night, and the report says from when to when nothing was seen."""
    with watching(cable) as watch:
        cable.down(FAR)
        time.sleep(1.2)
        cable.up(FAR)
        wait_until(cable.carries, "the wire carries again")
        watch.waits_for_note("the interface was down")
        cable.send([query("pimeyes.com")])
        watch.waits_for("pimeyes.com")
    assert not watch.coverage.complete


def test_an_interface_that_is_removed_is_waited_for(cable):
    """A USB adapter is taken out and put back; another interface of the same name is a new one to the kernel."""
    with watching(cable) as watch:
        cable.unplug()
        time.sleep(1.2)
        cable.plug()
        watch.waits_for_note("no such interface")
        cable.send([query("pimeyes.com")])
        watch.waits_for("pimeyes.com")
    assert not watch.coverage.complete


def test_the_time_before_the_start_is_a_gap(cable):
    """Packets cannot be read again: while the daemon was down nobody watched, and the report has to say so."""
    position = {"watched_until": "2026-01-02T03:04:05+00:00"}
    with watching(cable, positions={f"interface:{WATCHED}": position}) as watch:
        watch.waits_for_note("not watched from 2026-01-02 03:04:05 to ")
    assert any(note.endswith("Sentinel was not running, or was reloading") for note in watch.coverage.notes)
    assert watch.batches[-1].position["watched_until"] > position["watched_until"]


def test_several_workers_see_the_same_as_one(cable):
    """The kernel shares the packets out by flow; together they must miss nothing and see nothing twice."""
    names = [f"host{number}.example" for number in range(40)]
    frames = [frame for nth, name in enumerate(names) for frame in split_hello(name.encode(), sport=41000 + nth)]
    frames += [query(f"dns-{name}", sport=42000 + nth) for nth, name in enumerate(names)]
    told = []
    for workers in (1, 2):
        with watching(cable, workers=workers) as watch:
            cable.send(frames)
            wait_until(lambda watch=watch: len(watch.seen) >= 80, "all are seen", secs=20)
        told.append(sorted((one.observation.name, one.observation.client_port) for one in watch.seen))
        assert len({one.frame for one in watch.seen if one.observation.kind == "tls_client_hello"}) == 40
        assert watch.coverage.parsed == len(frames)
    assert told[0] == told[1]


def test_a_worker_that_dies_ends_the_source(cable):
    """With one gone, a share of the packets is seen by nobody: better to fail, and be started anew."""
    with watching(cable, workers=2, fails=WorkerError) as watch:
        for process in multiprocessing.active_children():
            process.kill()
        wait_until(lambda: watch.error, "it fails", secs=20)


def test_packets_that_were_put_together_are_read_whole(cable):
    """With offloading a request and its photo arrive as one packet of up to 64 KiB, far beyond what the wire carries."""
    head = b"POST /upload HTTP/1.1\r\nHost: facecheck.id\r\nContent-Length: 60000\r\n\r\n"
    with within(cable.namespace):
        server = socket.create_server((ADDRESSES[WATCHED], 8000))
    ip("-n", cable.far, "route", "change", "192.0.2.0/24", "dev", FAR, "initcwnd", "100")
    with server, watching(cable) as watch:
        with within(cable.far):
            client = socket.create_connection((ADDRESSES[WATCHED], 8000))
        with client:
            client.sendall(head + bytes(60000))
            watch.waits_for("facecheck.id")
    one, counted = watch.seen
    assert (counted.observation.kind, counted.observation.name) == ("flow", "facecheck.id")
    assert len(one.packet) > 20000
    assert one.packet[one.packet.index(b"POST") :].startswith(head)


def test_what_does_not_fit_into_the_ring_is_counted_to_the_packet(cable):
    """What was sent is what was seen and what was dropped: a monitor that loses packets must know how many."""
    sent = 6000
    frame = query("pimeyes.com") + bytes(900)
    with within(cable.namespace):
        ring = Ring(WATCHED, size=2 << 20, dns_ports={53}, outgoing=False)
    cable.send([frame] * sent)
    seen = 0
    while taken := sum(1 for _ in ring.packets(0.2)):
        seen += taken
    dropped = ring.dropped()
    ring.close()
    assert dropped > 0
    assert seen + dropped == sent


def test_drops_stand_in_the_account(cable):
    """They are counted as packets that could not be read, and the answer is no longer a complete one."""
    stalled, go_on = threading.Event(), threading.Event()
    watch, stop = Watch(), threading.Event()

    def run():
        with within(cable.namespace):
            for batch in Interface(WATCHED, ring_mib=2).batches(stop, {}):
                watch.batches.append(batch)
                stalled.set()
                go_on.wait(20)

    thread = threading.Thread(target=run)
    thread.start()
    assert stalled.wait(20)
    cable.send([query("pimeyes.com") + bytes(900)] * 6000)
    go_on.set()
    wait_until(lambda: watch.coverage.unparsed and watch.coverage.records >= 6000, "all are accounted for", secs=20)
    stop.set()
    thread.join(20)
    coverage = watch.coverage
    assert coverage.records == 6000 == coverage.parsed + coverage.unparsed
    assert coverage.unreadable[DROPPED] == coverage.unparsed
    assert not coverage.complete


def configured(folder, interface=WATCHED):
    path = folder / "sentinel.yaml"
    path.write_text(f"store: state.db\nsources:\n  - type: interface\n    interface: {interface}\n")
    return path


def run_in(cable, *command, drop=None):
    """Run Sentinel in the watched namespace, with all capabilities or those that *drop* leaves."""
    limited = [program("setpriv"), *drop] if drop else []
    line = [program("ip"), "netns", "exec", cable.namespace, *limited, SENTINEL, *command]
    return subprocess.run(list(map(str, line)), capture_output=True, text=True, timeout=60)


def test_an_interface_that_is_not_there_is_named_with_its_line(cable, tmp_path):
    """A typing mistake must not leave a monitor that watches nothing."""
    for command in ("check", "run"):
        done = run_in(cable, command, "-c", configured(tmp_path, "mirror9"))
        assert done.returncode == 78
        assert f"{tmp_path}/sentinel.yaml:4: there is no interface 'mirror9'" in done.stderr


def test_a_missing_capability_is_named_and_how_systemd_grants_it(cable, tmp_path):
    """The administrator should not have to look for it."""
    for command in ("check", "run"):
        done = run_in(cable, command, "-c", configured(tmp_path), drop=["--bounding-set=-net_raw", "--inh-caps=-net_raw"])
        assert done.returncode == 78
        assert "sentinel.yaml:4: " in done.stderr
        assert "AmbientCapabilities=CAP_NET_RAW" in done.stderr


def test_one_capability_is_enough(cable):
    """A monitor that reads strangers' bytes should be able to do nothing else."""
    line = [
        program("ip"), "netns", "exec", cable.namespace, program("setpriv"), "--bounding-set=-all,+net_raw", "--inh-caps=-all",
        SENTINEL, "observe", "--interface", WATCHED,
    ]  # fmt: skip
    process = subprocess.Popen(list(map(str, line)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: "opened" in process.stderr.readline(), "it watches")
        cable.send([query("pimeyes.com")])
        assert json.loads(process.stdout.readline())["dns"]["question"]["name"] == "pimeyes.com"
        process.terminate()
        assert process.wait(20) == 0
        assert "1 packets passed the kernel's filter" in process.stderr.read()
    finally:
        process.kill()
        process.communicate()


def test_observe_says_what_is_wrong_with_the_interface(cable):
    """Words and an exit status instead of a traceback."""
    assert run_in(cable, "observe", "--interface", "mirror9").returncode == 2
    done = run_in(cable, "observe", "--interface", WATCHED, drop=["--bounding-set=-net_raw", "--inh-caps=-net_raw"])
    assert done.returncode == 1
    assert "CAP_NET_RAW" in done.stderr


def test_an_interface_without_a_link_layer_is_read(cable):
    """A VPN's tun carries IP packets bare."""
    ip("-n", cable.namespace, "tuntap", "add", "mode", "tun", "name", "tun7")
    try:
        with within(cable.namespace), open("/dev/net/tun", "r+b", buffering=0) as vpn:
            fcntl.ioctl(vpn, TUNSETIFF, struct.pack("=16sH", b"tun7", TUN_WITHOUT_HEADER))
            ip("-n", cable.namespace, "link", "set", "tun7", "up")
            with watching(cable, interface="tun7") as watch:
                bare = query("pimeyes.com")[14:]
                vpn.write(bare)
                watch.waits_for("pimeyes.com")
        assert watch.seen[0].packet == bare
    finally:
        ip("-n", cable.namespace, "link", "delete", "tun7")
