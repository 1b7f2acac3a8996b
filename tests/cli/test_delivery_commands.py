"""`sinks status`, `sinks dead`, `alerts show` and `check`'s warning: what became of each alert can be asked, and mended."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from sentinel.cli import app
from sentinel.sinks.delivery import Drain
from sentinel.sinks.file import FileSettings
from sentinel.sinks.outcome import Delivered, Health, Rejected, Retry
from sentinel.store.step import Step
from sentinel.store.store import Store, url_of
from tests.store.made import alert

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def path(tmp_path):
    """A store in which the sink `siem` took one alert, refused a second and makes a third wait."""
    where = tmp_path / "state.db"
    store = Store.open(url_of(str(where), tmp_path))
    store.commit(Step(alerts=[alert("al_1"), alert("al_2"), alert("al_3")], sinks={f"al_{n}": ["siem"] for n in (1, 2, 3)}))
    results = [
        ("al_1", Delivered("200 OK"), None),
        ("al_2", Rejected("400 no such index"), None),
        ("al_3", Retry("503 busy"), NOW + timedelta(seconds=30)),
    ]
    store.settle("siem", results, NOW, Health("siem", failures=1, since=NOW, reason="503 busy", retry_at=NOW))
    store.close()
    return where


def run(*args):
    """Run a command; return what it printed."""
    done = CliRunner().invoke(app, [str(arg) for arg in args])
    assert done.exit_code == 0, done.output
    return done.output


def test_status_counts_what_waits_died_and_arrived(path):
    """Whoever is on call asks first whether alerts arrive at all."""
    row = json.loads(run("sinks", "status", "--store", path, "--json"))
    assert {key: row[key] for key in ("sink", "waiting", "dead", "delivered", "delivers", "reason")} == {
        "sink": "siem", "waiting": 1, "dead": 1, "delivered": 1, "delivers": False, "reason": "503 busy",
    }  # fmt: skip
    assert "1 waiting, 1 dead, 1 delivered" in run("sinks", "status", "--store", path)


def test_an_alert_shows_its_receipts(path):
    """What the receiver answered is the proof that it was told."""
    assert "siem: delivered" in run("alerts", "show", "--store", path, "al_1")
    shown = json.loads(run("alerts", "show", "--store", path, "--json", "al_1"))
    assert [(one["sink"], one["state"], one["answer"]) for one in shown["receipts"]] == [("siem", "delivered", "200 OK")]


def test_dead_letters_are_listed_shown_and_sent_again(path):
    """A mapping is mended in the SIEM, and what it refused must not be lost."""
    assert "400 no such index" in run("sinks", "dead", "list", "--store", path)
    assert json.loads(run("sinks", "dead", "show", "--store", path, "al_2"))["answer"] == "400 no such index"
    assert "1 dead letter queued again" in run("sinks", "dead", "resend", "--store", path, "--all")
    assert run("sinks", "dead", "list", "--store", path) == ""
    assert json.loads(run("sinks", "status", "--store", path, "--json"))["waiting"] == 2


def test_a_backlog_beyond_its_limit_is_bounded_and_told_to_another_sink():
    """A receiver that is gone for good must fill no disk, and must not go in silence."""
    store = Store.memory()
    names = [f"al_{n}" for n in range(10)]
    store.commit(Step(alerts=[alert(name) for name in names], sinks={name: ["gone"] for name in names}))
    settings = FileSettings(type="file", name="gone", path="/nowhere", backlog_limit=4, backlog_alert=3)
    Drain(settings, store, lambda _alert: ["gone", "other"])._bound_backlog(store.backlog("gone"), NOW)
    assert store.backlog("gone") == 4
    told = [one for one in store.alerts() if one.kind == "sink-backlog"]
    assert told
    assert {out.alert.kind for out in store.due("other", datetime.now(UTC), 10)} == {"sink-backlog"}
    assert all("gone" in one.text for one in told)
    store.close()


def test_check_warns_of_a_secret_that_stands_in_the_configuration(tmp_path):
    """It works, but a configuration gets copied, shown and mailed."""
    (tmp_path / "x.log").write_text("")
    config = tmp_path / "sentinel.yaml"
    config.write_text(
        "sources: [{type: file, path: x.log}]\n"
        "sinks: [{type: webhook, name: hook, url_env: HOOK, secret_env: KEY, headers: {Authorization: 'Bearer abc'}}]\n"
    )
    done = CliRunner().invoke(app, ["check", "-c", str(config)])
    assert (done.exit_code, "holds a secret itself" in done.output) == (0, True), done.output
