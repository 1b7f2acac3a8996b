"""The main job with real programs at both ends: their logs in, one alert for each access out, over every transport."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.integration import lab
from tests.integration.daemon import follow, running, syslog_sink, webhook_sink, write_config

NAMES = ["clearview.ai", "pimeyes.com", "facecheck.id"]
INNOCENT = ["notclearview.ai", "clearview.ai.example.org", "example.org"]
SECOND = timedelta(seconds=1)  # what a log that writes whole seconds cuts off


@dataclass(frozen=True)
class Access:
    """An access that was made, and what an alert has to say of it."""

    client: str
    service: str
    stage: str
    earliest: datetime
    latest: datetime


@dataclass(frozen=True)
class Said:
    """What an alert said, whatever form it came in."""

    kind: str
    client: str
    service: str
    stage: str
    time: datetime

    def tells_of(self, access: Access) -> bool:
        """Whether this is the right alert for *access*."""
        same = (self.client, self.service, self.stage) == (access.client, access.service, access.stage)
        return same and access.earliest - SECOND <= self.time <= access.latest


class Desk:
    """People at their desks: each access comes from an address of its own."""

    def __init__(self) -> None:
        self.made: list[Access] = []

    def makes(self, access: Callable[[str], Any], service: str, stage: str) -> None:
        """Make an access, and remember what has to be said of it."""
        client = f"127.0.1.{len(self.made) + 1}"
        earliest = datetime.now(UTC)
        access(client)
        self.made.append(Access(client, service, stage, earliest, datetime.now(UTC)))


def from_webhook(body: dict[str, Any]) -> Said:
    """Read a webhook's body."""
    session = body["data"]["session"]
    time = datetime.fromisoformat(session["started"])
    return Said(body["data"]["kind"], session["client"]["ip"], session["service"], session["stage"], time)


def from_ecs(message: str) -> Said:
    """Read an ECS document."""
    doc = json.loads(message)
    time = datetime.fromisoformat(doc["event"]["start"])
    return Said(doc["event"]["action"], doc["source"]["ip"], doc["sentinel"]["service"], doc["sentinel"]["stage"], time)


def from_cef(message: str) -> Said:
    """Read a CEF event."""
    fields = dict(re.findall(r"(\w+)=((?:\\.|[^\\=])*?)(?= \w+=|$)", message.split("|", 7)[7]))
    labels = {fields[key]: fields[key.removesuffix("Label")] for key in fields if key.endswith("Label")}
    time = datetime.fromtimestamp(int(fields["start"]) / 1000, UTC)
    return Said(fields["act"], fields["src"], labels["service"], labels["stage"], time)


def test_each_access_raises_one_alert_at_every_receiver(tmp_path):
    """Four programs log, three receivers listen: each access is told once to each of them, rightly, and nothing else is."""
    desk = Desk()
    with ExitStack() as lab_day:
        start = lab_day.enter_context
        dnsmasq = start(lab.dnsmasq(tmp_path / "dnsmasq", NAMES, extra=True))
        bind = start(lab.bind(tmp_path / "bind", NAMES))
        unbound = start(lab.unbound(tmp_path / "unbound", NAMES))
        http, https = start(lab.website(tmp_path / "site", [*NAMES, *INNOCENT]))
        proxy = start(lab.squid([*NAMES, *INNOCENT, "app.clearview.ai"]))
        syslog = start(lab.rsyslog(tmp_path / "rsyslog"))
        receiver = start(lab.webhook())
        config = write_config(
            tmp_path,
            [follow(program.log) for program in (dnsmasq, bind, unbound, proxy)],
            [syslog_sink(syslog, "tcp", "ecs"), syslog_sink(syslog, "tls", "cef"), webhook_sink(tmp_path, receiver)],
        )
        daemon = start(running(config))
        for resolver in (dnsmasq, bind, unbound):
            desk.makes(
                lambda client, resolver=resolver: resolver.ask("App.ClearView.ai", client=client), "clearview-ai", "lookup"
            )
            desk.makes(
                lambda client, resolver=resolver: resolver.ask("pimeyes.com", client=client, options=["+tcp"]),
                "pimeyes",
                "lookup",
            )
            for name in INNOCENT:
                resolver.ask(name, client="127.0.2.1")
        desk.makes(lambda client: proxy.get(f"https://pimeyes.com:{https}/", client=client), "pimeyes", "contact")
        desk.makes(lambda client: proxy.get(f"http://facecheck.id:{http}/", client=client), "facecheck-id", "visit")
        for name in INNOCENT:
            proxy.get(f"http://{name}:{http}/clearview.ai?q=pimeyes.com", client="127.0.2.1")
        receivers: dict[str, Callable[[], list[Said]]] = {
            "tcp": lambda: [from_ecs(message["msg"]) for message in syslog.received("tcp")],
            "tls": lambda: [from_cef(message["msg"]) for message in syslog.received("tls")],
            "webhook": lambda: [from_webhook(body) for _id, body in receiver.taken],
        }
        for name, alerts in receivers.items():
            lab.wait_until(lambda alerts=alerts: len(alerts()) >= len(desk.made), f"{name} has an alert for each access")
        assert daemon.stop() == 0
    for name, alerts in receivers.items():
        for access in desk.made:
            assert [said.kind for said in alerts() if said.tells_of(access)] == ["opened"], f"{name}: {access}: {alerts()}"
        assert len(alerts()) == len(desk.made), name
    assert receiver.forged == []


def test_going_further_escalates_the_same_session(tmp_path):
    """A look-up and then a connection are one person's one visit: two alerts, one session."""
    with ExitStack() as lab_day:
        start = lab_day.enter_context
        bind = start(lab.bind(tmp_path / "bind", NAMES))
        _http, https = start(lab.website(tmp_path / "site", NAMES))
        proxy = start(lab.squid(NAMES))
        receiver = start(lab.webhook())
        start(running(write_config(tmp_path, [follow(bind.log), follow(proxy.log)], [webhook_sink(tmp_path, receiver)])))
        bind.ask("pimeyes.com")
        lab.wait_until(lambda: receiver.taken, "the look-up is told")
        proxy.get(f"https://pimeyes.com:{https}/")
        lab.wait_until(lambda: len(receiver.taken) == 2, "the connection is told")
    sessions = {body["data"]["session"]["id"] for _id, body in receiver.taken}
    told = [from_webhook(body) for _id, body in receiver.taken]
    assert [(said.kind, said.stage) for said in told] == [("opened", "lookup"), ("escalated", "contact")]
    assert len(sessions) == 1
