"""`sentinel rules pack|verify|update`: a catalog that travels, signed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sentinel.cli import shared
from sentinel.config.rules import PackAt, RuleSources, installed_pack, load_rules, sources_of
from sentinel.problems import Problems

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sentinel.signatures.pack import Pack

file = click.Path(exists=True, dir_okay=False, path_type=Path)
public_key = click.option("--key", "keys", multiple=True, type=file, help="A public key (Ed25519, PEM) that is trusted.")


@click.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--key", required=True, type=file, help="The private key (Ed25519, PEM) to sign with.")
@shared.rules
@click.option("--builtin/--no-builtin", default=True, help="Whether the built-in catalog goes in.", show_default=True)
@click.option("--version", "number", type=click.IntRange(1), help="Its number; left out, the time in UTC: 202603011400.")
@click.option("--days", type=click.IntRange(1, 3660), default=90, show_default=True, help="How long it may be installed.")
@click.option("--name", default="sentinel-rules", show_default=True, help="What it is called.")
def pack(out: Path, key: Path, rules: tuple[Path, ...], builtin: bool, number: int | None, days: int, name: str) -> None:
    """Write a catalog into one signed file."""
    from sentinel.signatures.pack import build

    sources = RuleSources(rules, builtin)
    sources.load()  # with its cases: what does not load is not signed
    read = sources.read()
    now = datetime.now(UTC).replace(microsecond=0)
    documents = {f"{read.files[one].category}/{one}.yaml": path.read_bytes() for one, path in read.paths.items()}
    with _words(out):
        data = build(
            documents,
            _private(key),
            name=name,
            version=number or int(f"{now:%Y%m%d%H%M}"),
            created=now,
            expires=now + timedelta(days=days),
        )
    out.write_bytes(data)
    click.echo(f"{out}: {len(documents)} services, good until {now + timedelta(days=days):%Y-%m-%d}")


@click.command()
@click.argument("path", type=file)
@public_key
@shared.maybe_config
def verify(path: Path, keys: tuple[Path, ...], config: Path | None) -> None:
    """Check a pack: who signed it, that nothing in it was changed, its date, and every case of its services."""
    from sentinel.signatures.installing import refuse_expired
    from sentinel.signatures.pack import read_pack
    from sentinel.signatures.reading import load_catalog
    from sentinel.signatures.trust import public_keys

    trusted = public_keys(_keys(keys, _configured(config)))
    with _words(path):
        found = read_pack(path, trusted)
        refuse_expired(found, datetime.now(UTC))
    catalog = load_catalog([found])
    click.echo(f"{_described(found)}\nsigned by {', '.join(found.signers)}, rule set {catalog.digest}")


@click.command()
@click.argument("source")
@public_key
@shared.maybe_config
@click.option("--into", type=click.Path(dir_okay=False, path_type=Path), help="The file to install it as, without --config.")
@click.option("--yes", is_flag=True, help="Install it also when much of the catalog goes with it.")
@click.option("--ca-file", type=file, help="Certificates (PEM) to trust for an https:// source; left out, the machine's.")
@click.option("--proxy", help="An http:// or https:// proxy to ask through.")
@click.option("--allow-link-local", is_flag=True, help="Ask also a server with a link-local address.")
def update(
    source: str,
    keys: tuple[Path, ...],
    config: Path | None,
    into: Path | None,
    yes: bool,
    ca_file: Path | None,
    proxy: str | None,
    allow_link_local: bool,
) -> None:
    """Install a pack from a file, a folder (the newest in it) or a URL. A daemon takes it up by itself."""
    from sentinel.config.fetching import fetched
    from sentinel.signatures.installing import install, loss, refuse_expired
    from sentinel.signatures.reading import load_catalog
    from sentinel.signatures.trust import public_keys
    from sentinel.sinks.web import WebSettings

    sources = _configured(config)
    at = sources.pack if sources else None
    target = into or (at.path if at else None)
    if target is None:
        raise click.BadParameter("name the file with --into, or give a settings file that has `rules_pack`")
    trusted = public_keys(_keys(keys, sources))
    now = datetime.now(UTC)
    with _words(source):
        data, found = fetched(
            source, trusted, WebSettings(name="rules", ca_file=ca_file, proxy=proxy, allow_link_local=allow_link_local)
        )
        refuse_expired(found, now)
        catalog = load_catalog([found])
        held = _held(target, _keys(keys, sources))
        before = load_catalog([held]) if held else load_rules([])
        gone = loss(before, catalog)
        if gone.large and not yes:
            _confirm(gone.services, gone.indicators, gone.of_services, gone.of_indicators)
        fresh = install(data, found, target, now, installed=held.version if held else None)
    click.echo(f"{target}: {_described(found)}" + ("" if fresh else "; it was installed already"))


def _held(target: Path, keys: list[Path]) -> Pack | None:
    """Return the pack in force; a damaged one is told of, and no reason not to install a good one."""
    try:
        return installed_pack(PackAt(target, keys))
    except Problems as problems:
        click.echo(f"warning: {problems.problems[0].file}: {problems.problems[0].what}", err=True)
        return None


def _described(found: Pack) -> str:
    manifest = found.manifest
    return f"{manifest.name} version {manifest.version}, {len(manifest.files)} services, good until {manifest.expires:%Y-%m-%d}"


def _confirm(services: list[str], indicators: int, of_services: int, of_indicators: int) -> None:
    some = ", ".join(services[:10]) + (", …" if len(services) > 10 else "")
    said = f"{len(services)} of {of_services} services and {indicators} of {of_indicators} indicators would go"
    click.echo(said + (f": {some}" if some else ""), err=True)
    if not sys.stdin.isatty():
        click.echo("sentinel: more than a third of the catalog would go; say --yes if that is meant", err=True)
        sys.exit(1)
    click.confirm("Install it all the same?", abort=True, err=True)


def _configured(config: Path | None) -> RuleSources | None:
    if config is None:
        return None
    from sentinel.config.loading import examine

    settings = examine(config).settings  # the pack in force may be what is wrong with the rest
    return sources_of(settings, config.resolve().parent) if settings is not None else None


def _keys(keys: tuple[Path, ...], sources: RuleSources | None) -> list[Path]:
    trusted = [*keys, *(sources.pack.keys if sources and sources.pack else [])]
    if not trusted:
        raise click.BadParameter("name a public key with --key, or give a settings file that has `rules_pack`")
    return trusted


def _private(path: Path) -> Ed25519PrivateKey:
    from sentinel.signatures.trust import LockedKeyError, private_key

    try:
        return private_key(path)
    except LockedKeyError:
        passphrase = click.prompt(f"Passphrase of {path}", hide_input=True, err=True)
    try:
        return private_key(path, passphrase)
    except LockedKeyError as error:
        raise click.BadParameter(f"{path}: {error}") from error


@contextmanager
def _words(what: object) -> Iterator[None]:
    """Say why a pack is refused, and end with status 1."""
    from sentinel.signatures.pack import BadPackError

    try:
        yield
    except BadPackError as error:
        click.echo(f"sentinel: {what}: the pack {error}", err=True)
        sys.exit(1)
