"""What a capture shows, in facts that two programs can agree on; how they are compared, and how a difference is explained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Field = Literal["dns query", "dns address", "sni", "alpn", "ja4", "quic sni", "quic alpn", "quic ja4", "http"]
NONE = "(none)"


class Ends(NamedTuple):
    """Who asked whom: addresses and ports."""

    client: str
    client_port: int
    server: str
    server_port: int


class Fact(NamedTuple):
    """One thing seen: a field's value, between these two."""

    field: Field
    ends: Ends
    value: str


Facts = Counter[Fact]
Explained = Callable[[Fact], bool]


@dataclass(frozen=True)
class Score:
    """How one field fared."""

    agreed: int
    missed: int  # the oracle has it, Sentinel has not
    extra: int  # Sentinel has it, the oracle has not

    @property
    def recall(self) -> float:
        """The share of what the oracle has."""
        return self.agreed / max(1, self.agreed + self.missed)

    @property
    def precision(self) -> float:
        """The share of what Sentinel has."""
        return self.agreed / max(1, self.agreed + self.extra)


@dataclass(frozen=True)
class Comparison:
    """Where the two agree and where not; `unexplained`: "missed" or "extra", how often, and the fact that no reason covers."""

    scores: Mapping[str, Score]
    reasons: Counter[str]
    unexplained: list[tuple[str, int, Fact]]

    def table(self) -> str:
        """Return the figures, a line a field."""
        lines = [
            f"{name:<12} {one.agreed:>6} agreed {one.missed:>4} missed {one.extra:>4} extra  "
            f"recall {one.recall:.4%} precision {one.precision:.4%}"
            for name, one in sorted(self.scores.items())
        ]
        return "\n".join([*lines, *(f"explained: {reason}: {count}" for reason, count in self.reasons.items())])


def compare(
    oracle: Facts, ours: Facts, missed: Mapping[str, Explained] | None = None, extra: Mapping[str, Explained] | None = None
) -> Comparison:
    """Compare; *missed* and *extra* give the reasons, each with the differences that it covers and no others.

    What a reason covers is the oracle's own limit, and counts for neither side.
    """
    reasons: Counter[str] = Counter()
    unexplained: list[tuple[str, int, Fact]] = []
    wrong: dict[str, Counter[str]] = {"missed": Counter(), "extra": Counter()}
    for side, differences, known in (("missed", oracle - ours, missed or {}), ("extra", ours - oracle, extra or {})):
        for fact, count in sorted(differences.items()):
            reason = next((name for name, covers in known.items() if covers(fact)), None)
            if reason is not None:
                reasons[reason] += count
            else:
                unexplained.append((side, count, fact))
                wrong[side][fact.field] += count
    agreed: Counter[str] = Counter()
    for fact, count in (oracle & ours).items():
        agreed[fact.field] += count
    fields = set(agreed) | set(wrong["missed"]) | set(wrong["extra"])
    scores = {name: Score(agreed[name], wrong["missed"][name], wrong["extra"][name]) for name in fields}
    return Comparison(scores, reasons, unexplained)


def values(facts: Iterable[Fact], *fields: Field) -> set[str]:
    """Return the different values of some fields."""
    return {fact.value for fact in facts if fact.field in fields}
