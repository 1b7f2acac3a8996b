"""Ports that decide how a packet is read, apart from the decoder so that settings load without it."""

from __future__ import annotations

DNS_PORTS = frozenset({53})
NEIGHBOURS = frozenset({5353, 5355})
"""mDNS and LLMNR: neighbours asking each other for printers, not a resolver for a name."""
