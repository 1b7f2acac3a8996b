"""The report for people: one HTML page that says what was found, how sure that is, and what could not be seen.

The page loads nothing and runs nothing. What came off the wire is text in it and nothing else: markup is escaped, control
characters are spelled out, host names are defanged (`app.clearview[.]ai`, `hxxps://`), so that no preview of the page causes
the look-up it reports.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from sentinel.activity.records import Finding, Session
from sentinel.activity.wording import defang, printable
from sentinel.coverage import Coverage
from sentinel.investigate.charts import Bar, Timeline, bars, timeline
from sentinel.investigate.result import Result
from sentinel.observation import ip_address
from sentinel.policy.policy import Policy
from sentinel.terms import Basis, Stage, Verdict

SESSIONS_SHOWN = 1000
RECORDS_SHOWN = 6
INPUTS_SHOWN = 1000
"""A page that no browser opens helps nobody; the page says what it leaves out, and that JSON and CSV have all of it."""

PROVES = {
    Stage.LOOKUP: "a device asked for the address of a service; browsers do that for links nobody clicked",
    Stage.CONTACT: "a device connected to a service",
    Stage.VISIT: "a page of a service was opened",
    Stage.LOGIN: "somebody logged in, or used a host that serves members only",
    Stage.UPLOAD: "a photo was sent",
    Stage.SEARCH: "a face search was run",
    Stage.RESULT: "results of a face search were viewed",
}

BLINDS = {
    "doh": ("DNS over HTTPS", "names asked there are in no DNS log"),
    "dot": ("DNS over TLS", "names asked there are in no DNS log"),
    "ech": ("Encrypted Client Hello", "the site's name is hidden in the connection"),
    "relay": ("a private relay", "neither names nor sites are visible"),
    "vpn": ("a VPN service", "neither names nor sites are visible"),
    "tor": ("the Tor network", "neither names nor sites are visible"),
}

SCHEME = re.compile(r"\bhttp(?=s?://)", re.IGNORECASE)
AUTHORITY = re.compile(r"(?<=://)[^/\s?#\[\]]+")


def html(result: Result, *, title: str, policy: Policy, version: str, generated: datetime) -> str:
    """Return the report as one self-contained page.

    Args:
        result: What the inquiry found, and what it read.
        title: The page's heading.
        policy: What was allowed, for the section on method.
        version: Sentinel's own.
        generated: When the report is made; aware.
    """
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_harmless(result),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = (files("sentinel.investigate") / "report.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        title=title,
        version=version,
        generated=generated,
        policy=policy,
        result=result,
        answer=_answer(result),
        limits=_limits(result.coverage),
        rungs=_rungs(result.sessions),
        charts=_charts(result.sessions),
        sessions=_sessions(result),
        inputs=sorted(result.coverage, key=_worst_first)[:INPUTS_SHOWN],
        Stage=Stage,
        proves=PROVES,
        moment=_moment,
        plural=_plural,
        defang=defang,
    )


@dataclass(frozen=True, slots=True)
class Answer:
    """The numbers that the page begins with."""

    unsanctioned: int
    allowed: int  # sanctioned or excepted
    reached: int  # of the unsanctioned ones: a service was reached,
    lookups: int  # or nothing but look-ups is known,
    refused: int  # or every access was refused
    clients: int
    unnamed: int  # sessions whose client no record names
    people: tuple[str, ...]
    services: tuple[str, ...]
    searches: int
    allowed_searches: int
    first: datetime | None
    last: datetime | None


@dataclass(frozen=True, slots=True)
class Row:
    """One session with its evidence."""

    number: int
    session: Session
    who: tuple[str, ...]
    identity: str | None
    records: tuple[Finding, ...]

    @property
    def refused(self) -> bool:
        """Whether no access of the session got through."""
        return _refused(self.session)

    @property
    def more(self) -> int:
        """How many records are not shown."""
        return max(0, self.session.findings - len(self.records))


def _answer(result: Result) -> Answer:
    against = [s for s in result.sessions if s.verdict is Verdict.UNSANCTIONED]
    allowed = [s for s in result.sessions if s.verdict is not Verdict.UNSANCTIONED]
    refused = sum(map(_refused, against))
    lookups = sum(s.stage is Stage.LOOKUP and not _refused(s) for s in against)
    firsts = [one.first for one in result.coverage if one.first]
    lasts = [one.last for one in result.coverage if one.last]
    return Answer(
        unsanctioned=len(against),
        allowed=len(allowed),
        reached=len(against) - refused - lookups,
        lookups=lookups,
        refused=refused,
        clients=len({s.client for s in against if s.client}),
        unnamed=sum(s.client is None for s in against),
        people=tuple(sorted({user for s in against for user in (*s.users, *([s.user] if s.user else []))})),
        services=tuple(sorted({s.service_name for s in against})),
        searches=sum(s.searches for s in against if s.category != "reverse-image"),  # no face is known to be in those
        allowed_searches=sum(s.searches for s in allowed),
        first=min(firsts, default=None),
        last=max(lasts, default=None),
    )


def _refused(session: Session) -> bool:
    return session.findings > 0 and session.attempts >= session.findings


def _rungs(sessions: Sequence[Session]) -> list[tuple[Stage, int, int]]:
    """Return how many sessions against policy got how far: observed, inferred. The furthest stage first."""
    counts = Counter((s.stage, s.basis) for s in sessions if s.verdict is Verdict.UNSANCTIONED)
    return [
        (stage, counts[stage, Basis.OBSERVED], counts[stage, Basis.INFERRED])
        for stage in sorted(Stage, reverse=True)
        if counts[stage, Basis.OBSERVED] or counts[stage, Basis.INFERRED]
    ]


def _limits(coverage: Sequence[Coverage]) -> list[tuple[str, str]]:
    """Return what was not seen, as (what, so what), the gravest first. Empty only when everything was read and parsed."""
    if not coverage:
        return [("Nothing was read.", "This report says nothing about anybody.")]
    said = []
    broken = [one for one in coverage if not one.complete]
    if broken:
        said.append(
            (
                f"{_plural(len(broken), 'input was', 'inputs were')} not read to the end.",
                "What lies further on is not in this report.",
            )
        )
    foreign = [one for one in coverage if not one.understood]
    if foreign:
        said.append(
            (
                f"The format of {_plural(len(foreign), 'input', 'inputs')} was not understood.",
                "Nothing found there does not mean that nothing happened.",
            )
        )
    unparsed = sum(one.unparsed for one in coverage)
    if unparsed:
        tried = unparsed + sum(one.parsed for one in coverage)
        said.append((f"{unparsed:,} of {tried:,} records tried could not be parsed.", "An access among them is missed."))
    excluded = sum(one.excluded for one in coverage)
    if excluded:
        said.append(
            (
                f"{_plural(excluded, 'observation was', 'observations were')} dropped: policy excludes the address.",
                "Nothing of these addresses is kept or counted further.",
            )
        )
    unreadable = sum((one.unreadable for one in coverage), Counter[str]())
    for kind, count in sorted(unreadable.items(), key=lambda item: -item[1]):
        name, effect = BLINDS.get(kind, (f"another way around ({kind})", "what went that way is not visible"))
        if count:
            said.append(
                (f"{_plural(count, 'record shows', 'records show')} {name}.", f"Use behind it cannot be seen: {effect}.")
            )
    sampled = sum(one.sampled for one in coverage)
    if sampled:
        said.append(
            (
                f"{_plural(sampled, 'input was', 'inputs were')} searched in full but parsed by sample.",
                "Time spans and the share that could not be parsed are those of the sample; --thorough parses every record.",
            )
        )
    return said


def _charts(sessions: Sequence[Session]) -> dict[str, Timeline | list[Bar] | None]:
    return {
        "time": timeline([(s.started, s.verdict is Verdict.UNSANCTIONED) for s in sessions]),
        "services": bars((s.service_name, s.verdict is Verdict.UNSANCTIONED) for s in sessions),
        "clients": bars((_label(s), s.verdict is Verdict.UNSANCTIONED) for s in sessions),
        "networks": bars((s.network, s.verdict is Verdict.UNSANCTIONED) for s in sessions if s.network),
    }


def _label(session: Session) -> str:
    """Return the shortest name for whoever a session is about."""
    return session.user or (defang(session.device) if session.device else None) or session.client or "unknown client"


def _sessions(result: Result) -> list[Row]:
    telling: dict[str, list[Finding]] = {}
    for finding in result.findings:
        best = telling.setdefault(result.belongs.get(finding.id, ""), [])
        best.append(finding)
        best.sort(key=_proof)
        del best[RECORDS_SHOWN:]
    against_first = sorted(result.sessions, key=lambda s: (s.verdict is not Verdict.UNSANCTIONED, -s.stage, s.started, s.id))
    return [
        Row(
            number=number,
            session=session,
            who=_who(session),
            identity=session.identity,
            records=tuple(sorted(telling.get(session.id, []), key=lambda f: f.observation.time)),
        )
        for number, session in enumerate(against_first[:SESSIONS_SHOWN], 1)
    ]


def _who(session: Session) -> tuple[str, ...]:
    """Return the lines that say who, the most telling first."""
    several = f"several users: {', '.join(session.users)}" if len(session.users) > 1 else None
    device = defang(session.device) if session.device else None
    lines = [session.user or several, device, session.client, session.network]
    return tuple(line for line in lines if line) or ("unknown client",)


def _proof(finding: Finding) -> tuple[bool, int, bool, datetime]:
    """Return what records are sorted by so that those that prove most come first."""
    return not finding.reached, -finding.stage, finding.basis is Basis.INFERRED, finding.observation.time


def _worst_first(one: Coverage) -> tuple[bool, bool, bool, str]:
    return one.complete, one.understood, not one.unparsed, one.path


def _moment(time: datetime | None) -> str:
    """Return a time to the second in UTC, as tables show it."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if time else "—"


def _plural(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _harmless(result: Result) -> Callable[[Any], Any]:
    """Return what every value passes through on its way into the page, before it is escaped."""
    dots = _watched_dots(result)

    def finalize(value: Any) -> Any:
        if not isinstance(value, str) or hasattr(value, "__html__"):
            return value
        text = SCHEME.sub("hxxp", printable(value))
        text = AUTHORITY.sub(lambda found: defang(found[0]), text)
        return dots.sub("[.]", text) if dots else text

    return finalize


def _watched_dots(result: Result) -> re.Pattern[str] | None:
    """Return a pattern of the dots that make a watched name in any text, a path or a user's name too, into a link."""
    ends = set()
    hosts = [name for s in result.sessions for name in s.names]
    hosts += [name for f in result.findings for name in (f.name, f.observation.name, *f.observation.names) if name]
    hosts += [s.service_name for s in result.sessions]  # some call themselves by their host: FaceCheck.ID
    for host in hosts:
        labels = printable(host).rsplit(".", 2)[-2:]
        if len(labels) == 2 and all(labels) and not labels[1].isdigit() and ip_address(host) is None:
            ends.add((labels[0].lower(), labels[1].lower()))
    # Looking around each dot finds overlapping names as well: "a.a.a" has two.
    pairs = (f"(?<={re.escape(before)})\\.(?={re.escape(after)})" for before, after in sorted(ends))
    return re.compile("|".join(pairs), re.IGNORECASE) if ends else None
