"""`sentinel run`: the daemon."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import click

from sentinel.cli import shared


@click.command()
@shared.config
def run(config: Path) -> None:
    """Watch the configured sources and send alerts until told to stop (SIGTERM, Ctrl-C); SIGHUP reloads."""
    from sentinel.daemon import Daemon

    set_up_logging()
    daemon = Daemon(config)
    daemon.take_signals()
    sys.exit(daemon.run())


def set_up_logging() -> None:
    """Write structured logs to standard error: lines for people on a terminal, JSON elsewhere."""
    import structlog

    terminal = sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if terminal else [structlog.processors.format_exc_info]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
