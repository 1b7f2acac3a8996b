"""`sentinel rules`: what is looked for, and whether it does what it says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from sentinel.activity.wording import defang
from sentinel.cli import exchange, packs, shared
from sentinel.config.rules import RuleSources, load_rules

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def rules() -> None:
    """The signatures of face-search services."""


rules.add_command(exchange.export)
rules.add_command(packs.pack)
rules.add_command(packs.verify)
rules.add_command(packs.update)


@rules.command("list")
@shared.rules
@as_json_option
def list_rules(rules: tuple[Path, ...], as_json: bool) -> None:
    """List the services that are looked for."""
    catalog = load_rules(rules)
    services = sorted(catalog.services.values(), key=lambda s: (s.category, s.id))
    if as_json:
        rows = [{"id": s.id, "name": s.name, "category": s.category, "severity": s.severity} for s in services]
        click.echo(json.dumps({"ruleset": catalog.digest, "services": rows}, indent=2))
        return
    for service in services:
        click.echo(f"{service.id:28} {service.category:14} {service.severity:9} {service.name}")
    click.echo(f"{len(services)} services, rule set {catalog.digest[:12]}", err=True)


@rules.command()
@click.argument("service")
@shared.rules
@as_json_option
def show(service: str, rules: tuple[Path, ...], as_json: bool) -> None:
    """Show one service: its indicators, what each proves, and the references."""
    catalog = load_rules(rules)
    if service not in catalog.services:
        raise click.BadParameter(f"no service is called {service!r}; see 'sentinel rules list'")
    found = catalog.services[service]
    if as_json:
        click.echo(json.dumps(found.described, indent=2, ensure_ascii=False))
        return
    click.echo(f"{found.name} ({found.id})\n{found.category}, severity {found.severity}")
    for indicator in found.indicators:
        known = f"{indicator.stage} ({indicator.basis})" if indicator.basis else indicator.stage
        click.echo(f"  {defang(indicator.label):60} proves {known}" + (f"  # {indicator.note}" if indicator.note else ""))
    for reference in found.references:
        click.echo(f"  see {reference}")


@rules.command()
@shared.rules
def test(rules: tuple[Path, ...]) -> None:
    """Run the cases that each service file brings, through the matcher that live traffic meets."""
    from sentinel.signatures.selftest import run_tests

    files = RuleSources(rules).read().files.values()
    report = run_tests(files)
    for failure in report.failures:
        click.echo(failure, err=True)
    failed = len(report.failures)
    click.echo(f"{len(files)} services, {report.cases} cases, {report.negative} of them negative, {failed} failed")
    if report.failures:
        sys.exit(1)


@rules.command()
@click.argument("name_or_url")
@shared.rules
def explain(name_or_url: str, rules: tuple[Path, ...]) -> None:
    """Say which indicators match a host name or a URL ("POST https://…"), which nearly do, and why."""
    from sentinel.signatures.explain import explain as explained
    from sentinel.signatures.file import Case
    from sentinel.signatures.selftest import observed

    case = Case(url=name_or_url) if "://" in name_or_url else Case(sni=name_or_url)
    try:
        found = explained(load_rules(rules), observed(case))
    except ValueError as error:
        raise click.BadParameter(f"{name_or_url!r} is no URL: {error}") from error
    for match in found.matches:
        said = f"{match.service.id}: {defang(match.indicator)} proves {match.stage.word} ({match.basis.value})"
        click.echo(f"matches {said}")
    for near in found.near:
        click.echo(f"nearly  {near.service}: {defang(near.indicator)}: {near.why}")
    if not found.matches:
        click.echo("nothing matches", err=True)
