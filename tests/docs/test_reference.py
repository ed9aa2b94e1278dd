"""The pages that are written from the code say what the code says."""

from __future__ import annotations

from pathlib import Path

from kubedaemon.cli.reference import page

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_command_line_is_written_down_as_it_is() -> None:
    assert page() == (DOCS / "cli.md").read_text(), "run: make reference"
