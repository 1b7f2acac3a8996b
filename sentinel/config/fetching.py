"""Gets a pack from where it is offered: a file, a folder that mirrors what was published, or a web server.

The web is asked as sinks ask it: no redirect is followed, and no address that is link-local or hands out a cloud's credentials
is connected to, whatever a name leads to. What comes back proves nothing until the signature is checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from sentinel.signatures.pack import LARGEST, SUFFIX, BadPackError, Pack, opened
from sentinel.sinks.web import UnreachedError, Web, WebSettings


def fetched(source: str, trusted: Mapping[str, Ed25519PublicKey], reach: WebSettings) -> tuple[bytes, Pack]:
    """Return the bytes of the pack at *source*, a URL, file or folder, and the pack itself, signature and digests checked.

    Of a folder it is the one of the highest version among those that a trusted key signed.

    Raises:
        BadPackError: There is none that may be used, or the server does not give it.
        OSError: The file cannot be read.
    """
    if "://" in source:
        data = _downloaded(source, reach)
        return data, opened(data, trusted, urlsplit(source).path.rpartition("/")[2] or source)
    path = Path(source)
    if path.is_dir():
        return _newest(path, trusted)
    data = _read(path)
    return data, opened(data, trusted, str(path))


def _downloaded(url: str, reach: WebSettings) -> bytes:
    web = Web(reach)
    try:
        answer = web.request("GET", url, b"", {}, read=LARGEST + 1)
    except UnreachedError as error:
        raise BadPackError(f"cannot be fetched: {error}") from error
    finally:
        web.close()
    if 300 <= answer.status < 400:
        raise BadPackError(
            f"cannot be fetched: HTTP {answer.status}, a redirect, which is not followed: give where it leads to"
        )
    if not answer.taken:
        raise BadPackError(f"cannot be fetched: HTTP {answer.status}")
    return answer.body


def _newest(folder: Path, trusted: Mapping[str, Ed25519PublicKey]) -> tuple[bytes, Pack]:
    best: tuple[bytes, Pack] | None = None
    refused: list[str] = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            data = _read(path)
            pack = opened(data, trusted, str(path))
        except BadPackError as error:
            refused.append(f"{path.name} {error}")
            continue
        if best is None or pack.version > best[1].version:
            best = data, pack
    if best is None:
        raise BadPackError("; ".join(refused) if refused else f"is not there: the folder holds no *{SUFFIX} file")
    return best


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST + 1)
