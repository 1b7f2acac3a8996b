"""Secrets, which settings only point at: a file or an environment variable. Settings get copied, shown and mailed."""

from __future__ import annotations

import os
from pathlib import Path

LARGEST = 64 * 1024
"""Bytes of a secret's file that are read."""


class UnreadableSecretError(Exception):
    """There is no secret where the settings say. The message names the place, never what is there."""


def read_secret(file: Path | None, variable: str | None) -> str:
    """Return the secret in *file*, or else in the environment's *variable*, without white space around it.

    Raises:
        UnreadableSecretError: Neither gives one.
    """
    try:
        if file is not None:
            with file.open("rb") as opened:
                text = opened.read(LARGEST).decode()
        else:
            text = os.environ.get(variable or "", "")
    except OSError as error:
        raise UnreadableSecretError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise UnreadableSecretError(f"{file}: not text") from None  # the error would quote the secret
    if not text.strip():
        raise UnreadableSecretError(f"{file}: empty" if file is not None else f"the variable {variable} is not set")
    return text.strip()
