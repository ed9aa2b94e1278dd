"""Structured logs: a constant message and key-values, for people or as JSON lines, on standard error."""

from __future__ import annotations

import logging
import os
import sys
from typing import Literal

import structlog


class _Lines(structlog.WriteLogger):
    """Writes lines to standard error, and knows which component's they are."""

    def __init__(self, *names: str) -> None:
        super().__init__(sys.stderr)
        self.name = ".".join(names) or "kubedaemon"


def set_up_logging(form: Literal["console", "json"]) -> None:
    """Every structlog logger of this process writes so from now on, and what libraries log looks the same."""
    as_json = form == "json"
    processors: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso" if as_json else "%H:%M:%S", utc=as_json),
    ]
    renderer: structlog.typing.Processor
    if as_json:
        processors.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer()
    else:
        # Plain: the prettier one shows local variables, and with them people's payloads.
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty() and "NO_COLOR" not in os.environ,
            pad_event_to=0,
            sort_keys=False,
            exception_formatter=structlog.dev.plain_traceback,
        )
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=_Lines,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=processors,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
