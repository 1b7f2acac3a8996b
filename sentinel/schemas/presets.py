"""Patterns for receivers of webhooks that have a shape of their own: trees for `template.py`, beside the path of an address.

`create` makes something of an alert. Where the receiver can, `update` adds a later alert on the same session to what was made,
which the receiver called `reference`, and `find` asks for that when its answer was lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Call:
    """One request: `{reference}` in its path is what the receiver called the session's first alert."""

    tree: Any
    path: str = ""
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Preset:
    """How one product wants its webhooks."""

    create: Call
    room: int = 20_000  # bytes of a document that it is sure to take
    markup: str = "none"
    needs: tuple[str, ...] = ()  # names that the settings have to fill in
    update: Call | None = None
    find: Call | None = None
    found: tuple[str | int, ...] = ()  # where `find`'s answer holds the reference
    reference: tuple[str | int, ...] = ()  # where `create`'s answer holds it


_MATTERMOST: dict[str, Any] = {
    "username": "Sentinel",
    "attachments": [
        {
            "fallback": "{{title}}",
            "color": "{{colour}}",
            "title": "{{title}}",
            "title_link": "{{link}}",
            "text": "{{text}}\n\n{{facts_text}}\n\n**Next:** {{next}}",
            "footer": "{{alert}} from {{sensor}}",
        }
    ],
}

_DISCORD: dict[str, Any] = {
    "username": "Sentinel",
    "allowed_mentions": {"parse": []},
    "embeds": [
        {
            "title": "{{title}}",
            "url": "{{link}}",
            "description": "{{text}}\n\n{{facts_text}}\n\n**Next:** {{next}}",
            "color": "{{colour_number}}",
            "timestamp": "{{time}}",
            "footer": {"text": "{{alert}} from {{sensor}}"},
        }
    ],
}

_THEHIVE: dict[str, Any] = {
    "type": "face-search",
    "source": "sentinel",
    "sourceRef": "{{thread}}",
    "externalLink": "{{link}}",
    "title": "{{title}}",
    "description": "{{text}}\n\n{{facts_text}}\n\nNext: {{next}}",
    "severity": "{{severity_1_to_4}}",
    "date": "{{time_millis}}",
    "tags": ["sentinel", "{{kind}}", "{{severity}}"],
    "observables": "{{observables}}",
}

_THEHIVE_UPDATE: dict[str, Any] = {
    name: _THEHIVE[name] for name in ("title", "description", "severity", "tags", "externalLink")
}

_SERVICENOW: dict[str, Any] = {
    "records": [
        {
            "source": "Sentinel",
            "event_class": "{{sensor}}",
            "node": "{{node}}",
            "resource": "{{service}}",
            "metric_name": "face-search",
            "type": "{{type}}",
            "message_key": "{{thread}}",
            "severity": "{{severity_servicenow}}",
            "description": "{{text}} Next: {{next}}",
            "additional_info": "{{data_text}}",
            "time_of_event": "{{time_gmt}}",
            "resolution_state": "{{state_servicenow}}",
        }
    ]
}

_JIRA_TEXT: dict[str, Any] = {
    "type": "doc",
    "version": 1,
    "content": [
        {"type": "paragraph", "content": [{"type": "text", "text": "{{text}}"}]},
        {"type": "codeBlock", "content": [{"type": "text", "text": "{{facts_text}}\nalert: {{alert}}"}]},
        {"type": "paragraph", "content": [{"type": "text", "text": "Next: {{next}}"}]},
    ],
}

_JIRA: dict[str, Any] = {
    "fields": {
        "project": {"key": "{{project}}"},
        "issuetype": {"name": "{{issue_type}}"},
        "summary": "{{title}}",
        "labels": ["sentinel", "sentinel-{{thread}}"],
        "description": _JIRA_TEXT,
    }
}

_HIVE_QUERY = {
    "query": [
        {"_name": "listAlert"},
        {
            "_name": "filter",
            "_and": [{"_field": "source", "_value": "sentinel"}, {"_field": "sourceRef", "_value": "{{thread}}"}],
        },
    ]
}

_JIRA_QUERY = {"jql": 'labels = "sentinel-{{thread}}" ORDER BY created ASC', "maxResults": 1, "fields": ["key"]}

PRESETS: Mapping[str, Preset] = {
    "discord": Preset(Call(_DISCORD), room=4000, markup="markdown"),  # 4096 characters of a description
    "jira": Preset(
        Call(_JIRA, "/rest/api/3/issue"),
        needs=("project", "issue_type"),
        update=Call({"body": _JIRA_TEXT}, "/rest/api/3/issue/{reference}/comment"),
        find=Call(_JIRA_QUERY, "/rest/api/3/search/jql"),
        found=("issues", 0, "key"),
        reference=("key",),
    ),
    "mattermost": Preset(Call(_MATTERMOST), room=12_000, markup="markdown"),
    "servicenow": Preset(Call(_SERVICENOW)),
    "thehive": Preset(
        Call(_THEHIVE, "/api/v1/alert"),
        update=Call(_THEHIVE_UPDATE, "/api/v1/alert/{reference}", "PATCH"),
        find=Call(_HIVE_QUERY, "/api/v1/query"),
        found=(0, "_id"),
        reference=("_id",),
    ),
}
