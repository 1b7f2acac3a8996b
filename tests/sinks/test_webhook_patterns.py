"""Webhooks after a pattern: presets, against receivers that hold senders to the products' contracts, and one's own."""

import contextlib
import json
import re

import pytest
from hypothesis import given

from sentinel.schemas.fit import fitted
from sentinel.schemas.presets import PRESETS
from sentinel.sinks.outcome import Delivered, Document, Rejected, Retry
from sentinel.sinks.webhook import WebhookSettings, WebhookSink
from tests.schemas.alerts import START, alert, alerts, session
from tests.sinks.receivers import Reply, Request, receiving, secret

FILL = {"jira": {"project": "SEC", "issue_type": "Task"}}


def settings(folder, address="https://receiver.example", **more) -> WebhookSettings:
    return WebhookSettings(
        type="webhook", name="w", url_file=secret(folder, "url", address), fill=FILL.get(more.get("preset"), {}), **more
    )


def written(made: WebhookSettings, kind="opened", number=1, of=None, **more) -> Document:
    one = alert(of, kind=kind, id=f"al_{number}")
    body = fitted(made.wording(), one, "collector-1", made.room)
    return Document(id=one.id, body=body, kind=kind, severity=3, time=START, session=one.session.id, **more)


@contextlib.contextmanager
def opened(made: WebhookSettings):
    sink = WebhookSink(made)
    yield sink
    sink.close()


def discord(request: Request) -> Reply:
    """https://docs.discord.com/developers/resources/webhook#execute-webhook"""
    said = request.json
    assert said["allowed_mentions"] == {"parse": []}
    assert len(said["embeds"]) <= 10
    for embed in said["embeds"]:
        assert len(embed["title"]) <= 256
        assert len(embed["description"]) <= 4096
        assert isinstance(embed["color"], int)
        assert len(embed["footer"]["text"]) <= 2048
    return Reply(204)


def mattermost(request: Request) -> Reply:
    """https://developers.mattermost.com/integrate/webhooks/incoming/"""
    (attachment,) = request.json["attachments"]
    assert attachment["fallback"]
    assert re.fullmatch(r"#[0-9a-f]{6}", attachment["color"])
    assert len(attachment["text"]) <= 16_383
    return Reply(200, b"ok")


def servicenow(request: Request) -> Reply:
    """Event management's inbound records; `additional_info` is JSON in a text."""
    for record in request.json["records"]:
        assert {"source", "node", "type", "message_key", "severity", "time_of_event"} <= set(record)
        assert record["severity"] in range(6)
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", record["time_of_event"])
        json.loads(record["additional_info"])
        assert record["resolution_state"] in {"New", "Closing"}
        assert (record["severity"] == 0) == (record["resolution_state"] == "Closing")
    return Reply(200, {"result": {}})


class TheHive:
    """TheHive 5's alerts: one for each type, source and sourceRef."""

    def __init__(self) -> None:
        self.alerts: dict[str, dict] = {}

    def __call__(self, request: Request) -> Reply:
        if request.headers.get("authorization") != "Bearer hive-key":
            return Reply(401, {"type": "AuthenticationError"})
        if (request.method, request.path) == ("POST", "/api/v1/query"):
            wanted = request.json["query"][1]["_and"][1]["_value"]
            return Reply(200, [{"_id": key, **made} for key, made in self.alerts.items() if made["sourceRef"] == wanted])
        if (request.method, request.path) == ("POST", "/api/v1/alert"):
            made = request.json
            assert {"type", "source", "sourceRef", "title", "description"} <= set(made)
            assert len(made["type"]) <= 32
            assert len(made["sourceRef"]) <= 128
            assert len(made["title"]) <= 512
            assert made["severity"] in range(1, 5)
            assert isinstance(made["date"], int)
            for one in made["observables"]:
                assert one["dataType"] in {"domain", "fqdn", "hostname", "ip", "url", "user-agent", "other"}
            if any(other["sourceRef"] == made["sourceRef"] for other in self.alerts.values()):
                return Reply(400, {"type": "CreateError", "message": "Alert already exists"})
            key = f"~{len(self.alerts) + 4096}"
            self.alerts[key] = made
            return Reply(201, {"_id": key, **made})
        assert request.method == "PATCH"
        key = request.path.removeprefix("/api/v1/alert/")
        if key not in self.alerts:
            return Reply(404, {"type": "NotFoundError"})
        self.alerts[key] |= request.json
        return Reply(204)


class Jira:
    """Jira Cloud's issues: found by a label, as nothing else tells two apart."""

    def __init__(self) -> None:
        self.issues: dict[str, dict] = {}
        self.comments: dict[str, list[dict]] = {}

    def __call__(self, request: Request) -> Reply:
        said = request.json
        if request.path == "/rest/api/3/search/jql":
            label = re.search(r'labels = "([^"]+)"', said["jql"])[1]
            found = [{"key": key} for key, fields in self.issues.items() if label in fields["labels"]]
            return Reply(200, {"issues": found[: said["maxResults"]]})
        if request.path == "/rest/api/3/issue":
            fields = said["fields"]
            assert (fields["project"], fields["issuetype"]) == ({"key": "SEC"}, {"name": "Task"})
            assert 0 < len(fields["summary"]) <= 255
            assert "\n" not in fields["summary"]
            assert not any(" " in label for label in fields["labels"])
            check_adf(fields["description"])
            key = f"SEC-{len(self.issues) + 1}"
            self.issues[key] = fields
            return Reply(201, {"id": "10000", "key": key})
        key = re.fullmatch(r"/rest/api/3/issue/([A-Z]+-\d+)/comment", request.path)[1]
        check_adf(said["body"])
        self.comments.setdefault(key, []).append(said["body"])
        return Reply(201, {"id": "1"})


def check_adf(document: dict) -> None:
    """Atlassian's document format: no empty text."""
    assert (document["type"], document["version"]) == ("doc", 1)
    for block in document["content"]:
        assert block["type"] in {"paragraph", "codeBlock"}
        for part in block["content"]:
            assert part["text"]
    assert len(json.dumps(document)) <= 32_767


CONTRACTS = {"discord": discord, "mattermost": mattermost, "servicenow": servicenow}


@pytest.mark.parametrize("preset", CONTRACTS)
def test_a_preset_is_what_its_product_takes(tmp_path, preset):
    """All alerts on a session, and none needs a signature."""
    with receiving(CONTRACTS[preset]) as receiver:
        made = settings(tmp_path, receiver.url, preset=preset, link="https://sentinel.example/{session}")
        with opened(made) as sink:
            outcomes = sink.send([written(made, kind) for kind in ("opened", "escalated", "closed")])
    assert {type(one) for one in outcomes} == {Delivered}


@pytest.mark.parametrize("preset", PRESETS)
@given(made=alerts)
def test_nothing_in_traffic_changes_a_presets_shape(preset, made, tmp_path_factory):
    """It is filled in after the pattern was read."""
    chosen = WebhookSettings(
        type="webhook", name="w", url_env="U", preset=preset, fill=FILL.get(preset, {}), link="https://x.example/{alert}"
    )
    body = fitted(chosen.wording(), made, "collector-1", chosen.room)
    bodies = json.loads(body)
    assert set(bodies) == {name for name in ("create", "update", "find") if getattr(PRESETS[preset], name)}


def test_a_user_who_calls_himself_everyone_rings_nobody(tmp_path):
    """Nor does one who writes links."""
    bad = session(user="@everyone [x](https://evil.example) `code`")
    for preset in ("discord", "mattermost"):
        body = written(settings(tmp_path, preset=preset), of=bad).body.decode()
        assert "@everyone" not in body
        assert "[x](" not in body


@pytest.fixture
def hive_settings(tmp_path):
    """Return the settings of a sink that sends to a TheHive."""

    def made(receiver) -> WebhookSettings:
        key = secret(tmp_path, "key", "Bearer hive-key")
        return settings(tmp_path, receiver.url, preset="thehive", header_files={"Authorization": key})

    return made


def test_one_session_is_one_alert_of_thehive(hive_settings):
    """Which is made by the first of ours and updated by the next."""
    hive = TheHive()
    with receiving(hive) as receiver, opened(hive_settings(receiver)) as sink:
        chosen = hive_settings(receiver)
        (first,) = sink.send([written(chosen)])
        (second,) = sink.send([written(chosen, "escalated", 2, session(service_name="Other"), reference=first.reference)])
    assert (first.reference, second.reference) == ("~4096", "~4096")
    (kept,) = hive.alerts.values()
    assert "Other" in kept["title"]


def test_an_answer_that_was_lost_makes_no_second_alert(hive_settings):
    """What is there already is found by the session's id."""
    hive = TheHive()
    with receiving(hive) as receiver, opened(hive_settings(receiver)) as sink:
        for _ in range(2):  # no reference either time: the outbox never heard of it
            (outcome,) = sink.send([written(hive_settings(receiver))])
            assert outcome.reference == "~4096"
    assert len(hive.alerts) == 1


def test_what_somebody_removed_is_made_anew(hive_settings):
    """An escalation must not be lost with it."""
    hive = TheHive()
    with receiving(hive) as receiver, opened(hive_settings(receiver)) as sink:
        (outcome,) = sink.send([written(hive_settings(receiver), reference="~1")])
    assert outcome.reference == "~4096"


def test_a_wrong_key_of_thehive_gives_nothing_up(hive_settings, tmp_path):
    """And is in no message."""
    with receiving(TheHive()) as receiver:
        chosen = hive_settings(receiver)
        (tmp_path / "key").write_text("Bearer other-key")
        with opened(chosen) as sink:
            (outcome,) = sink.send([written(chosen)])
    assert isinstance(outcome, Retry)
    assert "other-key" not in outcome.reason


def test_one_session_is_one_issue_of_jira(tmp_path):
    """Later alerts are its comments, also when the first answer was lost."""
    jira = Jira()
    with receiving(jira) as receiver:
        made = settings(tmp_path, receiver.url, preset="jira")
        with opened(made) as sink:
            (first,) = sink.send([written(made)])
            (second,) = sink.send([written(made, "escalated", 2, reference=first.reference)])
            (third,) = sink.send([written(made, "closed", 3)])
    assert [one.reference for one in (first, second, third)] == ["SEC-1"] * 3
    assert list(jira.issues) == ["SEC-1"]
    assert len(jira.comments["SEC-1"]) == 2


def test_a_pattern_of_ones_own_is_filled_in(tmp_path):
    """A text that is one name alone takes the value as it is; what is not known is left out."""
    (tmp_path / "t.yaml").write_text(
        'who: "{{user}} ({{team}})"\nlevel: "{{severity_1_to_10}}"\nhosts: "{{hosts}}"\nserver: "{{network}}"\n'
        'note: "at {{network}}"\nfixed: {a: [1, null, "{{ stage }}"]}\n'
    )
    made = settings(tmp_path, template_file=tmp_path / "t.yaml").model_copy(update={"fill": {"team": "SOC"}})
    assert made.mistakes() == []
    document = json.loads(written(made, of=session(network=None)).body)["create"]
    assert document == {
        "who": "alice (SOC)", "level": 8, "hosts": ["app.clearview.ai"], "note": "at ", "fixed": {"a": [1, None, "search"]},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("a: '{{usr}}'", "'usr'"),
        ("just text", "neither"),
        ("a: [", "line 1"),
        ("a: 2026-01-01", "date"),
        ("x" * 30_000, "bytes"),
    ],
)
def test_a_bad_pattern_is_told_before_anything_starts(tmp_path, pattern, said):
    """Not by dead letters."""
    (tmp_path / "t").write_text(pattern)
    mistakes = settings(tmp_path, template_file=tmp_path / "t").mistakes()
    assert len(mistakes) == 1
    assert said in mistakes[0]


def test_what_a_preset_needs_is_asked_for(tmp_path):
    """Jira takes no issue without a project."""
    chosen = settings(tmp_path, preset="jira").model_copy(update={"fill": {}})
    assert len(chosen.mistakes()) == 2


def test_a_body_that_is_refused_is_given_up(tmp_path):
    """The receiver's own pattern, and its own words."""
    with receiving(discord) as receiver:
        made = settings(tmp_path, receiver.url, preset="discord")
        with opened(made) as sink:
            receiver.script = [Reply(400, b'{"code": 50035}')]
            assert isinstance(sink.send([written(made)])[0], Rejected)


def test_a_secret_in_a_header_is_told(tmp_path):
    """`check` warns: settings get copied, shown and mailed."""
    made = settings(tmp_path, preset="mattermost", headers={"X-Api-Token": "abc", "X-Team": "soc"})
    assert list(made.literals()) == ["headers.X-Api-Token"]
    assert list(settings(tmp_path, preset="discord", proxy="http://u:p@proxy.example").literals()) == ["proxy"]
