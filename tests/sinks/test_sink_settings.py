"""Sink settings: what is refused, and that each says what it means."""

import pytest
from pydantic import ValidationError

from sentinel.schemas import MESSAGES, SCHEMAS
from sentinel.sinks import KINDS
from tests.schemas.alerts import alert

GOOD = {
    "elasticsearch": {"type": "elasticsearch", "name": "e", "url": "https://elastic.example:9200"},
    "email": {"type": "email", "name": "m", "host": "mail.example", "from": "sentinel@dept.example", "to": ["soc@a.example"]},
    "file": {"type": "file", "name": "f", "path": "alerts.jsonl"},
    "gelf": {"type": "gelf", "name": "g", "host": "graylog.example"},
    "kafka": {"type": "kafka", "name": "k", "brokers": "kafka.example:9093", "topic": "alerts"},
    "microsoft_sentinel": {
        "type": "microsoft_sentinel", "name": "a", "endpoint": "https://dce.example", "rule": "dcr-0", "tenant": "t",
        "client_id": "c", "client_secret_file": "s",
    },
    "pagerduty": {"type": "pagerduty", "name": "p", "routing_key_file": "k"},
    "slack": {"type": "slack", "name": "s", "url_file": "u"},
    "splunk_hec": {"type": "splunk_hec", "name": "h", "url": "https://splunk.example:8088", "token_file": "t"},
    "stdout": {"type": "stdout", "name": "o"},
    "teams": {"type": "teams", "name": "t", "url_file": "u"},
    "syslog": {"type": "syslog", "name": "s", "host": "siem.example"},
    "webhook": {"type": "webhook", "name": "w", "url_file": "u", "secret_file": "s"},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_least_that_one_writes_is_enough(kind):
    """Everything else has a default that a careful administrator would choose."""
    settings = KINDS[kind].settings.model_validate(GOOD[kind])
    assert (settings.minimum_severity, settings.minimum_stage) == ("low", "lookup")
    assert settings.schema_name in {*SCHEMAS, *MESSAGES}
    assert settings.mistakes() == []
    assert list(settings.literals()) == []
    assert len(settings.wording()(alert(), "collector-1")) < settings.room
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
        ("file", {"schema": "yaml"}),
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
        ("webhook", {"preset": "discord", "template_file": "t"}),
        ("webhook", {"headers": {"Webhook-Id": "x"}}),
        ("webhook", {"headers": {"X-A": "b\r\nX-C: d"}}),
        ("webhook", {"headers": {"a b": "c"}}),
        ("webhook", {"key_file": "key.pem"}),
        ("webhook", {"proxy": "http://proxy.example", "proxy_env": "PROXY"}),
        ("webhook", {"url_command": ["vault"]}),
        ("elasticsearch", {"data_stream": "a", "index": "b"}),
        ("elasticsearch", {"documents": "sessions"}),
        ("elasticsearch", {"schema": "ocsf"}),
        ("elasticsearch", {"username": "u"}),
        ("elasticsearch", {"url": "elastic.example"}),
        ("email", {"to": []}),
        ("email", {"to": ["no address"]}),
        ("email", {"from": "a@b.example\nBcc: c@d.example"}),
        ("email", {"username": "u", "password_file": "p", "security": "none"}),
        ("email", {"password_file": "p"}),
        ("gelf", {"transport": "tcp", "ca_file": "ca.pem"}),
        ("gelf", {"port": 0}),
        ("kafka", {"topic": "a b"}),
        ("kafka", {"tls": False, "ca_file": "ca.pem"}),
        ("kafka", {"username": "u"}),
        ("microsoft_sentinel", {"client_secret_file": None}),
        ("microsoft_sentinel", {"rule": "../x"}),
        ("pagerduty", {"routing_key_file": None}),
        ("slack", {"token_file": "t", "channel": "C"}),
        ("slack", {"channel": "C"}),
        ("slack", {"url_file": None, "token_file": "t"}),
        ("slack", {"link": "javascript:alert(1)"}),
        ("splunk_hec", {"token": "0000-literal"}),
        ("splunk_hec", {"url": "ftp://splunk.example"}),
        ("teams", {"url": "https://flow.example/secret"}),
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
