"""`sentinel rules`: what is looked for, and whether it does what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sentinel.activity.wording import defang
from sentinel.config.rules import load_rules, rule_folders

app = typer.Typer(no_args_is_help=True, help="The signatures of face-search services.")

Folders = Annotated[list[Path] | None, typer.Option("--rules", help="A further folder of rules; may be given several times.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_rules(rules: Folders = None, as_json: AsJson = False) -> None:
    """List the services that are looked for."""
    catalog = load_rules(rules or [])
    services = sorted(catalog.services.values(), key=lambda s: (s.category, s.id))
    if as_json:
        rows = [{"id": s.id, "name": s.name, "category": s.category, "severity": s.severity} for s in services]
        typer.echo(json.dumps({"ruleset": catalog.digest, "services": rows}, indent=2))
        return
    for service in services:
        typer.echo(f"{service.id:28} {service.category:14} {service.severity:9} {service.name}")
    typer.echo(f"{len(services)} services, rule set {catalog.digest[:12]}", err=True)


@app.command()
def show(service: str, rules: Folders = None, as_json: AsJson = False) -> None:
    """Show one service: its indicators, what each proves, and the references."""
    catalog = load_rules(rules or [])
    if service not in catalog.services:
        raise typer.BadParameter(f"no service is called {service!r}; see 'sentinel rules list'")
    found = catalog.services[service]
    if as_json:
        typer.echo(json.dumps(found.described, indent=2, ensure_ascii=False))
        return
    typer.echo(f"{found.name} ({found.id})\n{found.category}, severity {found.severity}")
    for indicator in found.indicators:
        known = f"{indicator.stage} ({indicator.basis})" if indicator.basis else indicator.stage
        typer.echo(f"  {defang(indicator.label):60} proves {known}" + (f"  # {indicator.note}" if indicator.note else ""))
    for reference in found.references:
        typer.echo(f"  see {reference}")


@app.command()
def test(rules: Folders = None) -> None:
    """Run the cases that each service file brings, through the matcher that live traffic meets."""
    from sentinel.signatures.reading import read_files
    from sentinel.signatures.selftest import run_tests

    files = read_files(rule_folders(rules or [])).files.values()
    report = run_tests(files)
    for failure in report.failures:
        typer.echo(failure, err=True)
    failed = len(report.failures)
    typer.echo(f"{len(files)} services, {report.cases} cases, {report.negative} of them negative, {failed} failed")
    if report.failures:
        raise typer.Exit(1)
