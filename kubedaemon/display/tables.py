"""Tables that fit: on a narrow terminal what matters least goes first; in a pipe everything is there in full."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from kubedaemon.display.text import clean

GAP = 2
_ENDLESS = 100_000

Cell = str | Text


@dataclass(frozen=True)
class Column:
    """``keep``: the higher, the longer it stays when room gets scarce. ``least``: it may be cut to so many cells."""

    title: str
    right: bool = False
    keep: int = 9
    least: int | None = None


def console() -> Console:
    """Standard output, as wide as its terminal; in a pipe, as wide as COLUMNS says or as it takes."""
    width = None if sys.stdout.isatty() else int(_columns() or _ENDLESS)
    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False, soft_wrap=False, width=width)


def _columns() -> str:
    text = os.environ.get("COLUMNS", "")
    return text if text.isdecimal() and int(text) > 0 else ""


def show(*parts: RenderableType, out: Console | None = None) -> None:
    """Prints, without blanks at the ends of lines."""
    out = out or console()
    with out.capture() as captured:
        for part in parts:
            out.print(part)
    sys.stdout.write("".join(line.rstrip(" ") + "\n" for line in captured.get().split("\n")[:-1]))
    sys.stdout.flush()


def fit(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int) -> Table:
    """A table of at most ``width`` cells."""
    texts = [[cell if isinstance(cell, Text) else Text(clean(cell)) for cell in row] for row in rows]
    natural = [
        max([cell_len(column.title), *(text.cell_len for text in (row[n] for row in texts))])
        for n, column in enumerate(columns)
    ]
    chosen, widths = _choose(columns, natural, width)
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, show_edge=False, header_style="dim")
    for n in chosen:
        side: Literal["left", "right"] = "right" if columns[n].right else "left"
        table.add_column(columns[n].title, justify=side, no_wrap=True, overflow="ellipsis", width=widths[n])
    for row in texts:
        table.add_row(*(row[n] for n in chosen))
    return table


def _choose(columns: Sequence[Column], natural: Sequence[int], width: int) -> tuple[list[int], dict[int, int]]:
    """Which columns there is room for, and how wide each is."""
    chosen = list(range(len(columns)))
    least = [
        size if column.least is None else min(size, column.least) for column, size in zip(columns, natural, strict=True)
    ]
    while len(chosen) > 1 and sum(least[n] for n in chosen) + GAP * (len(chosen) - 1) > width:
        chosen.remove(min(chosen, key=lambda n: (columns[n].keep, -n)))
    room = width - GAP * (len(chosen) - 1) - sum(least[n] for n in chosen)
    widths = {}
    for n in sorted(chosen, key=lambda n: natural[n] - least[n]):
        more = max(0, min(natural[n] - least[n], room))
        widths[n] = min(least[n] + more, max(width, 1))
        room -= more
    return chosen, widths


def fields(pairs: Sequence[tuple[str, Cell]]) -> Table:
    """Names and values, one pair a line; long values wrap."""
    table = Table.grid(padding=(0, GAP, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(name, value if isinstance(value, Text) else Text(clean(value)))
    return table
