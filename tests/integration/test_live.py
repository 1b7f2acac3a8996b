"""The daemon on a mirror port: mixed traffic as fast as it can be sent, all planted accesses found, all losses counted."""

import re
import subprocess

from sentinel.sources.kernel_filter import kernel_filter
from tests.integration.daemon import opened_store, started, write_config
from tests.integration.lab import program, wait_until
from tests.integration.mixed_traffic import mixed
from tests.integration.wires import FAR, WATCHED, wire, within
from tests.sources.test_kernel_filter import kernel

SECS = 6


def replay(cable, capture):
    """Send a capture as fast as it goes, again and again, every time from other clients; return how many packets were sent."""
    tcpreplay = [program("tcpreplay"), "--quiet", "--topspeed", "--loop=100000", "--unique-ip", "--preload-pcap"]
    command = [program("ip"), "netns", "exec", cable.far, *tcpreplay, f"--duration={SECS}", f"--intf1={FAR}", capture]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECS + 60)
    assert "Failed packets:            0" in done.stdout
    return int(re.search(r"Actual: (\d+) packets", done.stdout)[1])


def reaching_python(traffic):
    """Return which frames pass the kernel's filter."""
    with kernel(kernel_filter(ethernet=True, dns_ports={53}, outgoing=False)) as passes:
        return [passes(frame) for frame in traffic.frames]


def test_mixed_traffic_at_the_highest_rate(tmp_path):
    """Every access is found, and what was sent is what was seen and what was dropped, to the packet."""
    traffic = mixed(400, down=60_000)
    traffic.write(tmp_path / "mixed.pcap")
    passing = reaching_python(traffic)
    config = write_config(tmp_path, [{"type": "interface", "interface": WATCHED}], [])
    with wire() as cable:
        with within(cable.namespace), started(config) as daemon:
            wait_until(lambda: "interface opened" in daemon.log(), "the interface is watched")
            sent = replay(cable, tmp_path / "mixed.pcap")
            with opened_store(tmp_path) as store:
                wait_until(lambda: account(store) and account(store).records >= expected(passing, sent), "all is accounted for")
            assert daemon.stop() == 0
    with opened_store(tmp_path) as store:
        coverage = account(store)
        found = {(finding.observation.kind, finding.name) for finding in store.findings()}
    assert sent > 2 * len(passing)
    assert coverage.records == expected(passing, sent)
    assert coverage.parsed + coverage.unparsed == coverage.records
    assert coverage.complete == (coverage.unparsed == 0)
    for kind, names in traffic.planted.items():
        assert names
        assert names <= {name for seen, name in found if seen == kind}


def expected(passing, sent):
    """Return how many packets reach Python when the capture was sent over and over, and the last time in part."""
    times, rest = divmod(sent, len(passing))
    return times * sum(passing) + sum(passing[:rest])


def watched(store):
    """Return how many gaps are told; None before anything is."""
    known = account(store)
    return len(known.notes) if known else None


def account(store):
    """Return what is written down of the interface."""
    return next((one for one in store.inputs() if one.path == f"interface:{WATCHED}"), None)


def test_the_time_between_two_runs_is_told_as_a_gap(tmp_path):
    """Also after a kill: the position is committed with what was found, and says until when somebody watched."""
    config = write_config(tmp_path, [{"type": "interface", "interface": WATCHED}], [])
    with wire() as cable:
        for run in range(2):
            with within(cable.namespace), started(config) as daemon:
                wait_until(lambda daemon=daemon: "interface opened" in daemon.log(), "the interface is watched")
                with opened_store(tmp_path) as store:
                    wait_until(lambda store=store, run=run: watched(store) == run, "it is written down that it is watched")
                daemon.kill()
    with opened_store(tmp_path) as store:
        (note,) = account(store).notes
    assert re.fullmatch(r"not watched from \S+ \S+ to \S+ \S+ UTC: Sentinel was not running, or was reloading", note)
