"""A service file as a person might write it, for tests that need one and do not care which."""

RULE = """\
schema: 1
id: {id}
name: {id}
category: face-search
severity: high
references: ["https://{id}.example/"]
indicators: [{{domain: {id}.example}}]
tests: {{match: [{{dns: {id}.example}}], no_match: [{{dns: x{id}.example}}]}}
"""
