"""The command line: exit statuses, what goes to which stream, and words where something is wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SENTINEL = Path(sys.executable).with_name("sentinel")
DEMO = Path(__file__).parents[2] / "sentinel" / "demo" / "data"
DOCS = Path(__file__).parents[2] / "docs"


def sentinel(*args, **options):
    return subprocess.run([SENTINEL, *map(str, args)], capture_output=True, text=True, timeout=60, **options)


@pytest.mark.integration
def test_json_is_all_that_stands_on_stdout():
    """It is piped into other tools."""
    done = sentinel("replay", "logs", DEMO / "access.log", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["sessions"]


@pytest.mark.integration
@pytest.mark.parametrize(
    ("log", "status"),
    [
        ("1795411169.935 3 10.0.0.1 TCP_MISS/200 374 GET https://pimeyes.com/ - HIER_DIRECT/192.0.2.9 text/html\n", 3),
        ("1795411169.935 3 10.0.0.1 TCP_MISS/200 374 GET https://example.org/ - HIER_DIRECT/192.0.2.9 text/html\n", 0),
        ("lorem ipsum dolor\n" * 5, 4),
    ],
)
def test_the_exit_status_tells_the_answer_when_asked(tmp_path, log, status):
    """Found, nothing found, and not able to say: a script has to tell them apart."""
    (tmp_path / "a.log").write_text(log)
    assert sentinel("replay", "logs", tmp_path, "--exit-code").returncode == status


@pytest.mark.integration
def test_the_sanctioned_system_is_no_alarm(tmp_path):
    """Its hosts come from the operator's policy."""
    (tmp_path / "policy.yaml").write_text("sanctioned: [{service: county-system, hosts: [faces.county.example]}]")
    done = sentinel("replay", "logs", DEMO / "access.log", "--policy", tmp_path / "policy.yaml", "--json")
    verdicts = {s["service"]: s["verdict"] for s in json.loads(done.stdout)["sessions"]}
    assert verdicts["county-system"] == "sanctioned"


@pytest.mark.integration
def test_check_names_every_mistake_with_file_and_line(tmp_path):
    """One round of mending."""
    config = tmp_path / "sentinel.yaml"
    config.write_text("sources:\n  - {type: file, pth: x}\nsinks:\n  - {type: webhok, name: a}\ntimezon: UTC\n")
    done = sentinel("check", "-c", config)
    assert done.returncode == 78
    for line in (2, 4, 5):
        assert f"sentinel.yaml:{line}:" in done.stderr
    assert "Did you mean 'timezone'?" in done.stderr


@pytest.mark.integration
def test_check_names_mistakes_in_rules_and_policy_in_the_same_round(tmp_path):
    """The settings are wrong, and so is what they refer to: one round all the same."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "mine.yaml").write_text("schema: 1\nid: mine\n")
    (tmp_path / "policy.yaml").write_text("network: []\n")
    config = tmp_path / "sentinel.yaml"
    config.write_text("sources: [{type: file, path: x, formt: y}]\nrules: [rules]\npolicy_file: policy.yaml\n")
    done = sentinel("check", "-c", config)
    for name in ("sentinel.yaml:1", "mine.yaml", "policy.yaml:1"):
        assert name in done.stderr


def test_check_says_when_all_is_in_order(tmp_path):
    """Silence could mean that nothing was looked at."""
    config = tmp_path / "sentinel.yaml"
    config.write_text(f"sources:\n  - {{type: file, path: {DEMO / 'access.log'}}}\n")
    done = sentinel("check", "-c", config)
    assert (done.returncode, "in order" in done.stdout) == (0, True)


@pytest.mark.integration
def test_a_bad_configuration_starts_nothing(tmp_path):
    """78 tells systemd that trying again will not help."""
    config = tmp_path / "sentinel.yaml"
    config.write_text("sources: []\n")
    assert sentinel("run", "-c", config).returncode == 78


def test_the_version_needs_no_command():
    """It is the first thing that a report of a defect is asked for."""
    done = sentinel("--version")
    assert (done.returncode, done.stdout.split()[0]) == (0, "sentinel")


def test_a_path_that_is_not_there_is_a_usage_error():
    """A typing mistake must not read as nothing found."""
    done = sentinel("replay", "logs", "/nowhere/*.log")
    assert done.returncode == 2
    assert "/nowhere/*.log" in done.stderr


def test_observe_prints_ecs_of_logs_and_captures():
    """Every observation, whether a rule matches it or not."""
    done = sentinel("observe", DEMO / "access.log", DEMO / "gateway.pcap")
    docs = [json.loads(line) for line in done.stdout.splitlines()]
    actions = {doc["event"]["action"] for doc in docs}
    assert actions == {"http_request", "proxy_connect", "dns_query", "tls_client_hello", "flow"}
    logged = next(doc for doc in docs if doc["event"]["action"] == "http_request")
    assert {"@timestamp", "source", "url", "http", "log"} <= set(logged)
    raw = (DEMO / "access.log").read_bytes()[logged["log"]["offset"] :].split(b"\n")[0]
    assert logged["url"]["full"].encode() in raw
    hello = next(doc for doc in docs if doc["event"]["action"] == "tls_client_hello")
    assert hello["sentinel"]["frame"] > 0
    assert hello["tls"]["client"]["server_name"]


@pytest.mark.integration
def test_a_case_can_be_asked_afterwards(tmp_path):
    """What was found stays, with the evidence."""
    assert sentinel("replay", "logs", DEMO / "access.log", "--case", tmp_path / "case").returncode == 0
    done = sentinel("sessions", "--store", tmp_path / "case" / "case.db", "--json")
    assert {json.loads(line)["service"] for line in done.stdout.splitlines()} >= {"clearview-ai", "facecheck-id"}
    assert "opened" in sentinel("alerts", "--store", tmp_path / "case" / "case.db").stdout


def test_asking_a_store_that_is_not_there_makes_none(tmp_path):
    """A mistyped path must not leave an empty store that says nothing was found."""
    assert sentinel("sessions", "--store", tmp_path / "state.db").returncode == 2
    assert not (tmp_path / "state.db").exists()


def test_the_report_names_no_host_that_could_be_followed(tmp_path):
    """A report must not cause the look-up that it reports."""
    report = tmp_path / "report.html"
    assert sentinel("replay", "logs", DEMO / "access.log", "--report", report).returncode == 0
    assert "clearview[.]ai" in report.read_text()
    assert "app.clearview.ai" not in report.read_text()


def test_identity_files_name_the_device(tmp_path):
    """An address is not an answer; who had it at that time is."""
    (tmp_path / "who.csv").write_text(
        "address,user,device,from,until\n10.20.4.7,kim,desk-7,2026-11-20T00:00Z,2026-11-21T00:00Z\n"
    )
    done = sentinel("replay", "logs", DEMO / "dnsmasq.log", "--timezone", "UTC", "--identity", tmp_path / "who.csv", "--json")
    session = next(s for s in json.loads(done.stdout)["sessions"] if s["service"] == "pimeyes")
    assert (session["client"]["user"], session["client"]["device"]) == ("kim", "desk-7")


@pytest.mark.parametrize(
    "command", ["run", "check", "demo", "observe", "replay", "alerts", "sessions", "rules", "formats", "sinks"]
)
def test_every_command_explains_itself_and_is_documented(command):
    """--help teaches, and the page names what there is."""
    assert sentinel(command, "--help").returncode == 0
    assert f"sentinel {command}" in (DOCS / "commands.md").read_text()


@pytest.mark.integration
def test_check_goes_on_behind_a_mistake(tmp_path):
    """A source with a misspelt key must not hide the sink that is named twice, nor one that nobody listens at."""
    config = tmp_path / "sentinel.yaml"
    config.write_text(
        "policy: {sanctioned: [{service: nobodys}]}\n"
        "sources:\n"
        "  - {type: file, pth: x}\n"
        "  - {type: interface, interface: nowhere0}\n"
        "sinks:\n"
        "  - {type: file, name: a, path: a.jsonl, pat: x}\n"
        "  - {type: file, name: b, path: b.jsonl}\n"
        "  - {type: file, name: b, path: c.jsonl}\n"
        "  - {type: syslog, name: s, host: 127.0.0.1, port: 1, transport: tcp}\n"
    )
    done = sentinel("check", "-c", config, "--connect")
    assert done.returncode == 78
    told = {int(line.split(":")[1]) for line in done.stderr.splitlines() if line.startswith(str(config))}
    assert told == {1, 3, 4, 6, 8, 9}


@pytest.mark.parametrize(
    "command",
    [
        ("observe", DEMO / "dnsmasq.log"),
        ("replay", "logs", DEMO / "dnsmasq.log"),
        ("replay", "pcap", DEMO / "dnsmasq.log"),
        ("who", "10.20.3.4", "2026-01-01", "--identity", DEMO / "dnsmasq.log"),
    ],
    ids=["observe", "replay logs", "replay pcap", "who"],
)
def test_a_zone_that_is_none_is_told_by_every_command(command):
    """A time that is read in the wrong zone accuses the wrong person; a traceback tells nobody what to write."""
    done = sentinel(*command, "--timezone", "Mars/Olympus")
    assert done.returncode == 2
    assert "no time zone is called 'Mars/Olympus'; write an IANA name" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
