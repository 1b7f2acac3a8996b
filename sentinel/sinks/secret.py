"""Secrets, which settings only point at: a file, an environment variable or a command. Settings get copied, shown and mailed.

A file is read at each use, so that a renewed secret counts at once (systemd's credentials are files, too). What a command
printed is kept for some minutes: asking a vault for every alert would be a burden on both.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LARGEST = 64 * 1024
"""Bytes of a secret's file that are read."""

COMMAND_SECS = 10.0
"""How long a command may take."""

KEPT_SECS = 300.0
"""How long what a command printed is taken as current."""

_printed: dict[tuple[str, ...], tuple[float, str]] = {}


class UnreadableSecretError(Exception):
    """There is no secret where the settings say. The message names the place, never what is there."""


def secret_of(settings: Any, name: str) -> str:
    """Return the secret called *name* of a sink's settings, from its `…_file`, `…_env` or `…_command`.

    Raises:
        UnreadableSecretError: None is to be had there.
    """
    command = getattr(settings, f"{name}_command")
    return read_secret(getattr(settings, f"{name}_file"), getattr(settings, f"{name}_env"), command)


def has_secret(settings: Any, name: str) -> bool:
    """Return whether the settings point at a secret called *name*."""
    return any(getattr(settings, f"{name}_{place}") is not None for place in ("file", "env", "command"))


def read_secret(file: Path | None, variable: str | None, command: Sequence[str] | None = None) -> str:
    """Return the secret in *file*, in the environment's *variable* or that *command* prints, without white space around it.

    Raises:
        UnreadableSecretError: None of them gives one.
    """
    if file is not None:
        text, place = _from_file(file), str(file)
    elif command is not None:
        text, place = _from_command(tuple(command)), f"the command {command[0]}"
    else:
        text, place = os.environ.get(variable or "", ""), f"the variable {variable}"
    if not text.strip():
        raise UnreadableSecretError(f"{place} is not set" if place.startswith("the variable") else f"{place}: empty")
    return text.strip()


def _from_file(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(LARGEST).decode()
    except OSError as error:
        raise UnreadableSecretError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise UnreadableSecretError(f"{file}: not text") from None  # the error would quote the secret


def _from_command(command: tuple[str, ...]) -> str:
    """Return what a command prints; what it says on standard error is not passed on, as it may quote the secret."""
    asked, text = _printed.get(command, (0.0, ""))
    if text and time.monotonic() - asked < KEPT_SECS:
        return text
    try:
        done = subprocess.run(  # noqa: S603 - the administrator's own command, and no shell
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_SECS, check=False
        )
        text = done.stdout[:LARGEST].decode()
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnreadableSecretError(f"the command {command[0]}: {type(error).__name__}") from None
    except UnicodeDecodeError:
        raise UnreadableSecretError(f"the command {command[0]}: not text") from None
    if done.returncode != 0:
        raise UnreadableSecretError(f"the command {command[0]} ended with {done.returncode}")
    _printed[command] = (time.monotonic(), text)
    return text


def forget_printed() -> None:
    """Ask commands anew: what they printed last was refused."""
    _printed.clear()
