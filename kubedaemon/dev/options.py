"""What ``kubedaemon dev`` was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class DevOptions:
    """The options of ``kubedaemon dev``, as given. ``command`` is split already; ``files`` are manifests.

    ``data`` is the directory in which everything is kept; None keeps it in memory.
    """

    files: tuple[Path, ...] = ()
    queue: str | None = None
    command: tuple[str, ...] = ()
    handler_url: str | None = None
    port: int = 8080
    data: Path | None = None
    log_format: Literal["console", "json"] = "console"
