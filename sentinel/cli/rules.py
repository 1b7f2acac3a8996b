"""`sentinel rules`: what is looked for, and whether it does what it says."""

from __future__ import annotations

import json
from pathlib import Path

import click

from sentinel.cli import exchange, kept, knowledge, packs, shared
from sentinel.config.rules import RuleSources, checked_rules

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def rules() -> None:
    """The signatures of face-search services."""


rules.add_command(exchange.export)
rules.add_command(exchange.import_rules)
rules.add_command(knowledge.show)
rules.add_command(knowledge.explain)
rules.add_command(knowledge.test)
rules.add_command(knowledge.lint)
rules.add_command(knowledge.coverage)
rules.add_command(packs.pack)
rules.add_command(packs.verify)
rules.add_command(packs.update)
rules.add_command(kept.kept)


@rules.command("list")
@shared.rules
@as_json_option
def list_rules(rules: tuple[Path, ...], as_json: bool) -> None:
    """List the services that are looked for."""
    catalog = checked_rules(RuleSources(rules))
    services = sorted(catalog.services.values(), key=lambda s: (s.category, s.id))
    if as_json:
        rows = [{"id": s.id, "name": s.name, "category": s.category, "severity": s.severity} for s in services]
        click.echo(json.dumps({"ruleset": catalog.digest, "services": rows}, indent=2))
        return
    for service in services:
        click.echo(f"{service.id:28} {service.category:26} {service.severity:9} {service.name}")
    click.echo(f"{len(services)} services, rule set {catalog.digest[:12]}", err=True)
