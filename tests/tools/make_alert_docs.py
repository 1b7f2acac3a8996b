"""Writes docs/alerts.md: every schema, with an example of each kind of alert, made by the code that makes the real ones.

    python tests/tools/make_alert_docs.py [FILE]

A test holds that the file in docs/ is what this writes.
"""

from __future__ import annotations

import importlib
import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sentinel.activity.records import Alert, Session
from sentinel.activity.wording import closed_text, escalated_text, opened_text, revised_text
from sentinel.schemas import SCHEMAS
from sentinel.schemas.asim import SEVERITIES as ASIM
from sentinel.schemas.cim import SEVERITIES as CIM
from sentinel.schemas.cloudevents import NUMBERS as CLOUDEVENTS
from sentinel.schemas.ecs import RISK as ECS
from sentinel.schemas.ocsf import SEVERITIES as OCSF
from sentinel.schemas.text import SCALE, SYSLOG, TITLES, TYPES, VERSION
from sentinel.terms import Basis, Severity, Stage, Verdict

DOCUMENT = Path(__file__).parents[2] / "docs" / "alerts.md"
SENSOR = "collector-1"
START = datetime(2026, 11, 23, 5, 0, 0, 123000, tzinfo=UTC)
TITLE = {
    "asim": "Microsoft Sentinel (ASIM AlertEvent)",
    "cef": "CEF (ArcSight and many others)",
    "cim": "Splunk (Common Information Model)",
    "cloudevents": "CloudEvents",
    "ecs": "Elastic Common Schema",
    "gelf": "GELF (Graylog)",
    "json": "Sentinel's own JSON",
    "leef": "LEEF (QRadar)",
    "ocsf": "OCSF Detection Finding",
}

SPLUNK = """In Splunk, an event type with tags binds the events to the data models:

```ini
# props.conf
[sentinel:alert]
KV_MODE = json
TIME_PREFIX = "time":"
# eventtypes.conf
[sentinel_alert]
search = sourcetype="sentinel:alert" sentinel_session=*
# tags.conf
[eventtype=sentinel_alert]
alert = enabled
ids = enabled
attack = enabled
```
"""


def session(**changed: object) -> Session:
    """Return the session that the examples are about."""
    made: dict[str, object] = {
        "id": "se_" + "5" * 32, "service": "clearview-ai", "service_name": "Clearview AI", "category": "face-search",
        "client": "10.20.3.4", "user": "jdoe", "device": "ws-17.dept.example", "network": "Detective Bureau",
        "started": START, "ended": START + timedelta(seconds=10), "stage": Stage.LOGIN, "basis": Basis.OBSERVED,
        "severity": Severity.HIGH, "verdict": Verdict.UNSANCTIONED,
        "reason": "no rule of the policy allows it; stage login: a record says so",
        "findings": 2, "names": ("app.clearview.ai",), "users": ("jdoe",), "bytes_up": 4200, "bytes_down": 60100,
    }  # fmt: skip
    return Session(**(made | changed))  # type: ignore[arg-type]


def examples() -> list[Alert]:
    """Return an alert of each kind."""
    further = {
        "stage": Stage.SEARCH, "searches": 3, "uploads": 1, "findings": 7, "bytes_up": 130000,
        "ended": START + timedelta(minutes=4), "reason": "no rule of the policy allows it; stage search: a record says so",
    }  # fmt: skip
    opened, risen = session(), session(**further)
    over = session(**further, open=False)
    request = {
        "url": "https://app.clearview.ai/api/v1/searches",
        "method": "POST",
        "server": "203.0.113.20",
        "server_port": 443,
    }
    texts = {
        "source-silent": "The source /var/log/squid/access.log fell silent: no record for 30 minutes",
        "coverage-gap": "8 of 10 connections to app.clearview[.]ai could not be read: encrypted client hello",
        "sink-backlog": "1,204 alerts wait for the sink 'siem', the oldest for 17 minutes: connection refused",
        "sink-test": "This is a test of the sink 'siem': nothing happened.",
        "exception-ended": "The exception of case 12/26 for clearview-ai (approved by Adams), until 2026-11-22 08:00 UTC: "
        "no use was seen",
    }
    severities = {"sink-test": Severity.INFO, "exception-ended": Severity.INFO, "source-silent": Severity.HIGH}
    made = [
        alert("opened", 1, opened, opened_text(opened), **request),
        alert("escalated", 2, risen, escalated_text(risen, Stage.LOGIN), **request),
        alert("closed", 3, over, closed_text(over)),
    ]
    told = session(**further, user=None, users=(), revision=1, identity="cannot say: the address changed hands meanwhile")
    made.append(alert("revised", 4, told, revised_text(told, over)))
    for kind, text in texts.items():
        made.append(alert(kind, len(made) + 1, None, text, severity=severities.get(kind, Severity.MEDIUM)))
    return made


def alert(kind: str, number: int, of: Session | None, text: str, **changed: object) -> Alert:
    """Return an alert of *kind*; its id says which of the examples it is."""
    made: dict[str, object] = {
        "id": "al_" + f"{number}" * 32, "kind": kind, "created": (of.ended if of else START) + timedelta(seconds=1),
        "severity": of.severity if of else Severity.INFO, "session": of, "text": text,
    }  # fmt: skip
    return Alert(**(made | changed))  # type: ignore[arg-type]


def document() -> str:
    """Return docs/alerts.md."""
    parts = [HEAD, severities(), kinds()]
    parts += [section(name) for name in sorted(SCHEMAS, key=lambda name: (name != "json", TITLE[name].lower()))]
    return "\n".join(parts)


HEAD = """# What an alert looks like

This page is generated by `tests/tools/make_alert_docs.py` from the code that sends alerts; do not edit it.

Each sink has a `schema`, the form in which its receiver gets alerts. Ids, times and names are the same in all of them:

- **The alert's id** (`al_…`) is the same at each attempt, whichever sink: delivery is at least once, and a receiver that keeps
  one document for each id has each alert once.
- **The session's id** (`se_…`) is the same in all alerts on one session: "opened", "escalated" and "closed" belong together.
- **Times** are UTC: ISO 8601 with milliseconds and a `Z`, except where a schema wants seconds or milliseconds since 1970. The
  time of an alert is when it was raised; when the session began and ended, by the logs' own clocks, is given beside it.
- **Text for people** is defanged, `app.clearview[.]ai`, so that no chat or mail program looks the name up. **Fields for
  machines** are not.
- What is not known is left out. It is never an empty text, zero or "unknown".
- What came from logs has its control characters written out, `\\x1b`.
"""


def severities() -> str:
    """Return the table of severities, from the schemas' own tables."""
    lines = [
        "## Severities\n",
        "| Sentinel | syslog, GELF | CEF, LEEF, `event.severity` | ECS `risk_score` | OCSF | Splunk CIM | ASIM | CloudEvents |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in Severity:
        ocsf_id, ocsf_word = OCSF[one]
        lines.append(
            f"| {one.word} | {SYSLOG[one]} | {SCALE[one]} | {ECS[one]:g} | {ocsf_id} {ocsf_word} "
            f"| {CIM[one]} | {ASIM[one]} | {CLOUDEVENTS[one]} |"
        )
    return "\n".join(lines) + "\n"


def kinds() -> str:
    """Return the table of the kinds of alerts."""
    lines = ["## Kinds\n", "| kind | type of the event | title |", "| --- | --- | --- |"]
    lines += [f"| `{kind}` | `{TYPES[kind]}` | {title} |" for kind, title in TITLES.items()]
    return "\n".join(lines) + "\n"


def section(name: str) -> str:
    """Return one schema's part: what its module says of it, and the examples."""
    module = importlib.import_module(SCHEMAS[name].__module__)
    said = (module.__doc__ or "").partition('\n\n{"id"')[0].strip()
    if name == "json":
        said = "What the webhook posts and the JSON lines file holds. The envelope is that of Standard Webhooks."
    lines = [f"## {TITLE[name]}: `schema: {name}`\n", said + "\n"]
    if name == "cim":
        lines.append(SPLUNK)
    lines += [f"`{one.kind}`:\n\n{block(SCHEMAS[name](one, SENSOR).decode(), one.kind == 'opened')}" for one in examples()]
    return "\n".join(lines)


def block(text: str, wide: bool) -> str:
    """Return *text* as a block of code: JSON indented for the first example, and as it is sent for the others."""
    text = text.replace(f'"{VERSION}"', '"1.0"').replace(f"|{VERSION}|", "|1.0|")  # a new version must not make the page old
    if not text.startswith("{"):
        return f"```text\n{text}\n```\n"
    indented = json.dumps(json.loads(text), indent=2, ensure_ascii=False) if wide else text
    return f"```json\n{indented}\n```\n"


if __name__ == "__main__":
    (Path(sys.argv[1]) if sys.argv[1:] else DOCUMENT).write_text(document())
