"""`sentinel who` and what a policy and identity files do to a replay, through the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SENTINEL = Path(sys.executable).with_name("sentinel")

TABLE = """address,user,device,mac,from,until
10.20.3.4,ebert,pc-0815,02:aa:bb:00:00:01,2026-11-20T08:00Z,2026-11-20T16:30:00Z
10.0.0.8,ebert,px1,,2026-11-20T08:00Z,2026-11-20T16:30:00Z
10.9.0.5,lawyer,,,2026-11-20T08:00Z,2026-11-20T16:30:00Z
"""
LDIF = """dn: CN=Eva Ebert,OU=Detectives,DC=dept
objectClass: user
sAMAccountName: ebert
userPrincipalName: ebert@dept.example
displayName: Eva Ebert
"""
POLICY = """networks: [{name: Bureau, cidr: [10.20.0.0/16]}]
infrastructure: [{name: px1, kind: proxy, cidr: [10.0.0.8]}]
exclusions: [{name: Counsel, cidr: [10.9.0.0/28]}]
exceptions:
  - {service: pimeyes, person: ebert@dept.example, from: 2026-11-20, until: 2026-11-20, case: 12/26, legal_basis: order,
     approved_by: Adams}
"""


def sentinel(*args):
    return subprocess.run(
        [SENTINEL, *map(str, args)],
        capture_output=True, text=True, timeout=240, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("who")
    (made / "identity").mkdir()
    (made / "identity" / "static.csv").write_text(TABLE)
    (made / "identity" / "people.ldif").write_text(LDIF)
    (made / "policy.yaml").write_text(POLICY)
    lines = [
        f"Nov 20 {time} gw dnsmasq[1]: query[A] pimeyes.com from {client}\n"
        for time, client in (("14:03:00", "10.20.3.4"), ("14:03:10", "10.9.0.5"), ("18:03:00", "10.20.3.4"))
    ]
    (made / "dns.log").write_text("".join(lines))
    os.utime(made / "dns.log", (1795800000, 1795800000))
    return made


@pytest.mark.integration
@pytest.mark.parametrize(
    ("address", "time", "said", "why"),
    [
        ("10.20.3.4", "2026-11-20T14:03Z", "ebert", "table in static.csv"),
        ("10.20.3.4", "2026-11-20T20:00Z", None, "expired at 2026-11-20 16:30:00 UTC"),
        ("10.0.0.8", "2026-11-20T14:03Z", None, "declared as the proxy 'px1'"),
        ("10.20.3.5", "2026-11-20T14:03Z", None, "no identity record names"),
    ],
)
def test_who_tells_the_candidates_and_why(folder, address, time, said, why):
    """The person's name and unit come from the directory; "cannot say" is an answer as well."""
    done = sentinel("who", address, time, "--identity", folder / "identity", "--policy", folder / "policy.yaml", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["said"] or {}).get("user") == said
    assert why in told["explanation"]
    if said:
        assert (told["said"]["person"], told["said"]["unit"]) == ("Eva Ebert", "Detectives")


def test_who_keeps_silent_about_an_excluded_address(folder):
    """Counsel's address is not to be asked about either."""
    asked = ("--identity", folder / "identity", "--policy", folder / "policy.yaml")
    done = sentinel("who", "10.9.0.5", "2026-11-20T14:03Z", *asked)
    assert done.returncode == 2
    assert "lawyer" not in done.stdout + done.stderr


@pytest.mark.integration
def test_a_session_carries_the_same_explanation_and_is_judged_by_whom_it_names(folder):
    """The exception names the account's other name; the second session lies outside the lease, so that nobody is named."""
    asked = ("--identity", folder / "identity", "--policy", folder / "policy.yaml", "--timezone", "UTC")
    done = sentinel("replay", "logs", folder / "dns.log", *asked, "--case", folder / "case", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    first, second = told["sessions"]
    assert (first["client"]["user"], first["verdict"]) == ("ebert", "excepted")
    assert (second["client"]["user"], second["verdict"]) == (None, "unsanctioned")
    assert "10.9.0.5" not in done.stdout, "an excluded address is nowhere"
    assert told["coverage"]["inputs"][0]["excluded"] == 1
    fired = [(alert["kind"], alert["session"], alert["verdict"]) for alert in told["alerts"]]
    assert ("opened", second["id"], "unsanctioned") in fired
    (used,) = told["exceptions"]
    assert (used["case"], used["sessions"], used["used_by"], used["sessions_after_end"]) == ("12/26", 1, ["ebert"], 0)
    asked_again = sentinel(
        "who", "10.20.3.4", "2026-11-20T14:03Z", "--identity", folder / "identity", "--case", folder / "case"
    )
    assert first["identity"] in asked_again.stdout
    assert first["id"] in asked_again.stdout


@pytest.mark.integration
def test_a_case_is_judged_anew_when_the_policy_changes(folder, tmp_path):
    """What would have fired under another policy: the sessions that the case holds already count too."""
    asked = ("--identity", folder / "identity", "--timezone", "UTC", "--case", tmp_path / "case", "--json")
    before = json.loads(sentinel("replay", "logs", folder / "dns.log", *asked).stdout)
    after = json.loads(sentinel("replay", "logs", folder / "dns.log", *asked, "--policy", folder / "policy.yaml").stdout)
    ours = [[s["verdict"] for s in told["sessions"] if s["client"]["ip"] == "10.20.3.4"] for told in (before, after)]
    assert ours == [["unsanctioned", "unsanctioned"], ["excepted", "unsanctioned"]]
    assert "revised" in {alert["kind"] for alert in after["alerts"]}


def test_check_tells_of_identity_sources_that_cannot_be_read(tmp_path):
    """A file that says nothing of addresses would leave every session without a name."""
    (tmp_path / "log").write_text("x\n")
    (tmp_path / "leases").write_text("nothing of the kind\n")
    config = tmp_path / "sentinel.yaml"
    config.write_text("sources: [{type: file, path: log}]\nidentity: [{path: leases}]\n")
    done = sentinel("check", "-c", config)
    assert done.returncode == 78
    assert "leases" in done.stderr
