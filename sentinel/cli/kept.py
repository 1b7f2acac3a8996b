"""`sentinel rules kept`: the rule sets by which a store's findings were made."""

from __future__ import annotations

import json
from pathlib import Path

import click

from sentinel.cli import shared
from sentinel.cli.storage import open_store


@click.command()
@click.argument("digest", required=False)
@shared.maybe_config
@shared.store
def kept(digest: str | None, config: Path | None, store: Path | None) -> None:
    """List the rule sets that made a store's findings, or print the one of a digest (its beginning is enough) as JSON."""
    with open_store(config, store) as opened:
        rulesets = opened.rulesets()
    if digest is None:
        for key, text in rulesets.items():
            click.echo(f"{key}  {len(json.loads(text))} services")
        return
    found = [key for key in rulesets if key.startswith(digest)]
    if len(found) != 1:
        raise click.BadParameter(f"{'several rule sets begin' if found else 'no rule set is kept that begins'} with {digest!r}")
    click.echo(json.dumps({"ruleset": found[0], "services": json.loads(rulesets[found[0]])}, indent=2))
