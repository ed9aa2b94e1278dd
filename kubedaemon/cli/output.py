"""How answers and errors leave: JSON and YAML as the API said it, tables for people, sentences on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from kubedaemon.display.text import clean

if TYPE_CHECKING:
    from rich.console import RenderableType

Json = dict[str, Any]


def emit(value: Any, output: str, draw: Callable[[int], RenderableType]) -> None:
    """A value in the form that was asked for; ``draw`` makes the table for a width."""
    if output == "table":
        from kubedaemon.display.tables import console, show

        out = console()
        show(draw(out.width), out=out)
    else:
        data(value, output)


def data(value: Any, output: str) -> None:
    """A value as JSON or YAML."""
    if output == "json":
        text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    else:
        import yaml

        text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)
    sys.stdout.write(text)
    sys.stdout.flush()


def items(page: Json, output: str, draw: Callable[[Sequence[Json], int], RenderableType], empty: str) -> None:
    """A list; an empty one is a sentence beside the table, and one that goes on says how to see the rest."""
    if output != "table":
        data(page, output)
    elif page["items"]:
        emit(page, output, lambda width: draw(page["items"], width))
    else:
        note(empty)
    if page.get("next"):
        note(f"there are more; add --all, or --after {page['next']}")


def done(value: Any, output: str, sentence: str) -> None:
    """What a verb has done: a sentence, or the answer itself."""
    if output == "table":
        click.echo(sentence)
    else:
        data(value, output)


def raw(content: bytes) -> None:
    """A handler's own bytes, nothing added; on a terminal the prompt begins on a line of its own."""
    stream = sys.stdout.buffer
    stream.write(content)
    if content and not content.endswith(b"\n") and sys.stdout.isatty():
        stream.write(b"\n")
    stream.flush()


def note(text: str) -> None:
    """Something for people beside the output proper."""
    click.echo(clean(text), err=True)


def complain(text: str) -> None:
    """What went wrong, on one line."""
    click.echo(f"kubedaemon: {clean(text)}", err=True)
