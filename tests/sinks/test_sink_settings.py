"""Sink settings: what is refused, and that each says what it means."""

import pytest
from pydantic import ValidationError

from sentinel.schemas import SCHEMAS
from sentinel.sinks import KINDS

GOOD = {
    "file": {"type": "file", "name": "f", "path": "alerts.jsonl"},
    "syslog": {"type": "syslog", "name": "s", "host": "siem.example"},
    "webhook": {"type": "webhook", "name": "w", "url_file": "u", "secret_file": "s"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_least_that_one_writes_is_enough(kind):
    """Everything else has a default that a careful administrator would choose."""
    settings = KINDS[kind].settings.model_validate(GOOD[kind])
    assert (settings.minimum_severity, settings.minimum_stage) == ("low", "lookup")
    assert settings.schema_name in SCHEMAS
    assert settings.room > 2048


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_is_described(kind):
    """The descriptions are the documentation of the configuration file."""
    fields = KINDS[kind].settings.model_fields
    assert [name for name, field in fields.items() if name != "type" and not field.description] == []


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("file", {"pth": "x"}),
        ("file", {"schema": "leef"}),
        ("file", {"name": "a b"}),
        ("file", {"name": "a\n"}),
        ("file", {"events": []}),
        ("syslog", {"transport": "udp", "ca_file": "ca.pem"}),
        ("syslog", {"key_file": "key.pem"}),
        ("syslog", {"framing": "lf"}),
        ("syslog", {"max_bytes": 480}),
        ("syslog", {"port": 0}),
        ("webhook", {"url": "https://hooks.example/secret"}),
        ("webhook", {"url_env": "URL"}),
        ("webhook", {"secret_file": None}),
        ("webhook", {"minimum_severity": "dire"}),
    ],
)
def test_what_would_not_work_is_refused(kind, change):
    """At the start, with its line; not when the first alert is to be sent. Secrets are never part of the settings."""
    with pytest.raises(ValidationError):
        KINDS[kind].settings.model_validate(GOOD[kind] | change)


def test_a_port_that_is_left_out_is_the_transports_own():
    """RFC 5425 gives TLS a port of its own."""
    model = KINDS["syslog"].settings.model_validate
    assert model(GOOD["syslog"]).address == ("siem.example", 6514)
    assert model(GOOD["syslog"] | {"transport": "udp"}).address == ("siem.example", 514)
