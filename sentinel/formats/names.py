"""Names as DNS software writes them in text."""

from __future__ import annotations

from sentinel.formats.pattern import Pattern

_ESCAPED = Pattern(r"\\([\\.])")


def written_name(text: str) -> str:
    r"""Return a name in master-file form with the escapes of a dot and of a backslash in decimal (RFC 1035 5.1).

    A dot inside a label, `\.`, is no label boundary.
    """
    return _ESCAPED.sub(lambda escape: f"\\{ord(escape[1]):03d}", text) if "\\" in text else text
