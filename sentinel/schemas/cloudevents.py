"""An alert in the envelope of CloudEvents 1.0, structured as JSON (`application/cloudevents+json`). https://cloudevents.io

`id` and `source` together are one event's, at each attempt the same. `data` is what Sentinel's own JSON has there (`event.py`).
`severitytext` and `severitynumber` are the extension that CloudEvents publishes, with OpenTelemetry's numbers.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from sentinel.activity.records import Alert
from sentinel.schemas.event import data
from sentinel.schemas.text import TYPES, clean, present, stamp, tidy
from sentinel.terms import Severity

NUMBERS = {Severity.INFO: 9, Severity.LOW: 11, Severity.MEDIUM: 13, Severity.HIGH: 17, Severity.CRITICAL: 21}


def cloudevents(alert: Alert, sensor: str) -> bytes:
    """Return *alert* as one line of JSON without its end; *sensor* is the name of the machine that raised it."""
    document: dict[str, Any] = {
        "specversion": "1.0",
        "id": alert.id,
        "source": f"/sentinel/{quote(clean(sensor), safe='')}",
        "type": TYPES[alert.kind],
        "subject": alert.session.id if alert.session else None,
        "time": stamp(alert.created),
        "datacontenttype": "application/json",
        "severitytext": alert.severity.word,
        "severitynumber": NUMBERS[alert.severity],
        "data": data(alert, sensor),
    }
    return json.dumps(tidy(present(document)), ensure_ascii=False, separators=(",", ":")).encode()
