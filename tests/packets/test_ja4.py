"""JA4 against what its authors publish: whoever looks a fingerprint up in a list has to find the same one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sentinel.packets import tls
from tests.packets.made_packets import hello

PUBLISHED = json.loads((Path(__file__).parents[1] / "data" / "ja4" / "foxio.json").read_text())


@pytest.mark.parametrize("one", PUBLISHED, ids=[f"{one['capture']}-{one['ja4'][:10]}" for one in PUBLISHED])
def test_a_hello_has_the_fingerprint_that_its_authors_compute(one):
    """Hellos of real programs, over TCP and QUIC, and what FoxIO's own program says of them."""
    assert tls.ja4(tls.read(bytes.fromhex(one["hello"])), one["over"]) == one["ja4"]


@pytest.mark.parametrize(
    ("protocol", "mark"),
    [
        (b"h2", "h2"), (b"http/1.1", "h1"), (b"\xab", "ab"), (b"\xab\xcd", "ad"), (b"\x30\xab", "3b"),
        (b"\x30\x31\xab\xcd", "3d"), (b"\x30\xab\xcd\x31", "01"), (b"h", "hh"),
    ],
)  # fmt: skip
def test_a_protocol_that_is_no_text_is_marked_by_its_hexadecimal_digits(protocol, mark):
    """The examples of the specification, section "ALPN extension value" of JA4.md; GREASE is sent in ALPN too."""
    found = tls.ja4(tls.read(hello(alpn=(protocol,))), "t")
    assert found is not None
    assert found[8:10] == mark
