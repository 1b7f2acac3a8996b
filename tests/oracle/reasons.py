"""Why the oracle and Sentinel may differ, by name: each reason covers the differences that it describes, and no others."""

from __future__ import annotations

from collections.abc import Container

from tests.oracle.facts import Ends, Explained, Facts

RETRYING_PORT = 444


def oracle_repeats(ours: Facts) -> dict[str, Explained]:
    """Return why the oracle may have more than Sentinel."""
    return {
        "tshark counts a hello again that a Retry has sent again, where the first one came twice": lambda fact: (
            fact.field.startswith("quic") and fact.ends.server_port == RETRYING_PORT and ours[fact] == 1
        ),
    }


def oracle_stops(offloaded: Container[Ends]) -> dict[str, Explained]:
    """Return why Sentinel may have more than the oracle; *offloaded* are the ends of `dissection.offloaded`."""
    return {
        "tshark 4.0 stops at the zeros between two Initials that were captured as one datagram": lambda fact: (
            fact.field.startswith("quic") and fact.ends in offloaded
        ),
    }
