"""`sentinel rules show`, `explain`, `test`, `lint` and `coverage`: what the rules know, and whether it is so."""

from __future__ import annotations

import json
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from sentinel.activity.wording import defang, defang_all, printable
from sentinel.cli import shared
from sentinel.config.rules import RuleSources, checked_rules

if TYPE_CHECKING:
    from sentinel.problems import Problem
    from sentinel.signatures.service import Service
    from sentinel.signatures.visible import View

WIDTH = 118


@click.command()
@click.argument("service")
@shared.rules
@click.option("--json", "as_json", is_flag=True, help="Print the description as it is, names not defanged.")
def show(service: str, rules: tuple[Path, ...], as_json: bool) -> None:
    """Show a service: what of it is seen in DNS, handshakes, proxies' logs and mails, and what is not."""
    from sentinel.signatures.visible import views

    catalog = checked_rules(RuleSources(rules))
    if service not in catalog.services:
        raise click.BadParameter(f"no service is called {service!r}; see 'sentinel rules list'")
    found = catalog.services[service]
    if as_json:
        click.echo(json.dumps(found.described, indent=2, ensure_ascii=False))
        return
    click.echo("\n".join(_about(found)))
    for view in views(found):
        click.echo("\n".join(_shown(view)))
    click.echo("\n".join(_beside(found)))


def _about(service: Service) -> list[str]:
    told = service.described
    blinds = f", blinds: {service.blinds}" if service.blinds else ""
    lines = [
        f"{service.name} ({service.id})",
        f"{service.category}, severity {service.severity}, {told.get('confidence', 'confirmed')}{blinds}",
    ]
    dates = [f"from {told['valid_from']}"] if "valid_from" in told else []
    dates += [f"until {told['valid_until']}"] if "valid_until" in told else []
    by = [told[key] if key == "vendor" else "/".join(told[key]) for key in ("vendor", "country") if told.get(key)]
    lines += [", ".join([*by, *dates])] if by or dates else []
    return lines + textwrap.wrap(defang_all(told.get("note", "")), WIDTH)


def _shown(view: View) -> list[str]:
    lines = ["", view.observer]
    for sight in view.sights:
        lines.append(f"  {defang_all(sight.what):<76} {sight.stage.word} ({sight.basis.value})")
        lines += textwrap.wrap(defang_all(sight.note), WIDTH, initial_indent="      ", subsequent_indent="      ")
    return lines + [f"  not seen: {hidden}" for hidden in view.hidden]


def _beside(service: Service) -> list[str]:
    """Return what else is known and nothing observes, who says so, and the look-alikes that the cases keep apart."""
    apps = [defang_all(one.label) for one in service.indicators if one.android or one.ios or one.extension]
    addresses = service.described.get("addresses", [])
    lines = ["", "Known beside, and not matched"] if apps or addresses else []
    lines += [f"  {app}" for app in apps]
    lines += textwrap.wrap(f"addresses {', '.join(addresses)}", WIDTH, initial_indent="  ") if addresses else []
    return [*lines, "", "Sources", *(f"  {defang_all(reference)}" for reference in service.references)]


@click.command()
@click.argument("name_or_url")
@shared.rules
def explain(name_or_url: str, rules: tuple[Path, ...]) -> None:
    """Say which indicators match a host name, a URL ("POST https://…") or a sender, which nearly do, and why."""
    from sentinel.signatures.explain import explain as explained
    from sentinel.signatures.file import Case
    from sentinel.signatures.selftest import observed

    kind = "url" if "://" in name_or_url else "mail_from" if "@" in name_or_url else "sni"
    try:
        found = explained(checked_rules(RuleSources(rules)), observed(Case.model_validate({kind: name_or_url})))
    except ValueError as error:
        raise click.BadParameter(f"{name_or_url!r} is no URL: {error}") from error
    for match in found.matches:
        said = f"{match.service.id}: {defang_all(match.indicator)} proves {match.stage.word} ({match.basis.value})"
        click.echo(f"matches {said}")
    for near in found.near:
        click.echo(f"nearly  {near.service}: {defang_all(near.indicator)}: {near.why}")
    if not found.matches:
        click.echo("nothing matches", err=True)


@click.command()
@shared.rules
def test(rules: tuple[Path, ...]) -> None:
    """Try the rules: their files, what the lint says, and every case through the matcher that live traffic meets."""
    from sentinel.signatures.lint import lint as linted
    from sentinel.signatures.reading import read_what_holds
    from sentinel.signatures.selftest import run_tests

    read, problems = read_what_holds(RuleSources(rules).places())
    report = run_tests(read.files.values())
    _told([*problems, *linted(read), *read.failing(report.failures)])
    counts = f"{report.cases} cases, {report.negative} of them negative, {len(report.failures)} failed"
    click.echo(f"{len(read.files)} services, {counts}")


@click.command()
@shared.rules
def lint(rules: tuple[Path, ...]) -> None:
    """Look for what would match other people, or says more of them than is known: every mistake at once."""
    from sentinel.signatures.lint import lint as linted
    from sentinel.signatures.reading import read_what_holds

    read, problems = read_what_holds(RuleSources(rules).places())
    _told([*problems, *linted(read)])
    click.echo(f"{len(read.files)} services, nothing to mend")


def _told(problems: list[Problem]) -> None:
    """Print what is to be mended, if anything, and leave with 1."""
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        click.echo(f"sentinel: {len(problems)} thing{'s' * (len(problems) != 1)} to mend", err=True)
        sys.exit(1)


@click.command()
@click.argument("domains", metavar="LIST", type=click.Path(allow_dash=True, dir_okay=False, path_type=Path))
@shared.rules
@click.option("--json", "as_json", is_flag=True, help="Print JSON, names not defanged.")
def coverage(domains: Path, rules: tuple[Path, ...], as_json: bool) -> None:
    """Compare the rules with a list of domains: which of them are missing, and which are watched.

    LIST is plain, a hosts file, an adblock filter or CSV; "-" is standard input. Of a line the first name counts, of a line
    of a hosts file every one.
    """
    from sentinel.signatures.lists import How, Listed, Unread, compare, names_in

    catalog = checked_rules(RuleSources(rules))
    with click.open_file(str(domains), encoding="utf-8", errors="replace") as lines:
        read = list(names_in(lines))
    unread = [one for one in read if isinstance(one, Unread)]
    order = get_args(How)
    known = sorted(compare(catalog, [one for one in read if isinstance(one, Listed)]), key=lambda one: order.index(one.how))
    if as_json:
        rows = [{"name": k.listed.name, "line": k.listed.line, "how": k.how, "services": list(k.services)} for k in known]
        click.echo(json.dumps({"ruleset": catalog.digest, "names": rows, "unread": [u.line for u in unread]}, indent=2))
        return
    for one in known:
        click.echo(f"{one.how:8} {defang(printable(one.listed.name)):44} {', '.join(one.services)}".rstrip())
    for left in unread:
        click.echo(f"{domains}:{left.line}: {left.why}", err=True)
    count = Counter(one.how for one in known)
    counts = ", ".join(f"{count[how]} {how}" for how in order)
    click.echo(f"{len(known)} names: {counts}; {len(unread)} lines without a name", err=True)
