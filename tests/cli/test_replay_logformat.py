"""`--logformat`: logs by a Squid logformat of one's own, wherever a format can be named."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SENTINEL = Path(sys.executable).with_name("sentinel")
MINE = '%ts.%03tu [%>a] %un "%rm %ru" %>Hs'


def run(tmp_path, *arguments):
    log = tmp_path / "own.log"
    log.write_text('1795410820.123 [10.0.0.5] jdoe "CONNECT pimeyes.com:443" 200\n')
    return subprocess.run([SENTINEL, *arguments, log], capture_output=True, text=True, timeout=60)


def test_a_replay_reads_by_the_logformat_given(tmp_path):
    """The administrator pastes the line of squid.conf, and nothing has to be written."""
    done = run(tmp_path, "replay", "logs", "--json", "--logformat", MINE)
    (finding,) = json.loads(done.stdout)["findings"]
    assert (finding["client"]["user"], finding["name"]) == ("jdoe", "pimeyes.com")


def test_observe_reads_by_it_too(tmp_path):
    """It is where a new logformat is looked at first."""
    done = run(tmp_path, "observe", "--format", "squid", "--logformat", MINE)
    assert json.loads(done.stdout)["url"]["domain"] == "pimeyes.com"


@pytest.mark.parametrize(
    "wrong", [["--logformat", "%ts %nosuch"], ["--format", "w3c", "--logformat", MINE], ["--format", "squid"]]
)
def test_a_mistake_is_told_before_anything_is_read(tmp_path, wrong):
    """Exit status 2: it is a mistake of usage."""
    done = run(tmp_path, "replay", "logs", *wrong)
    assert done.returncode == 2
    assert "nosuch" in done.stderr or "format" in done.stderr
