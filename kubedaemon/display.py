"""Tables, sparklines and the live view of queues."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int) -> str:
    """The last ``width`` values as bars, the highest full."""
    shown = list(values)[-width:]
    top = max(shown, default=0) or 1
    return "".join(_BARS[min(7, int(value / top * 7.999))] if value else " " for value in shown)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A plain table; columns whose name ends in ``#`` hold numbers."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        number = column.endswith("#")
        made.add_column(column.rstrip("#"), justify="right" if number else "left", overflow="fold")
    for row in rows:
        made.add_row(*("" if cell is None else str(cell) for cell in row))
    return made


def queues_table(queues: Sequence[dict[str, Any]], history: dict[str, list[float]] | None = None) -> Table:
    """One line a queue; with ``history`` the backlog of the last seconds as bars."""
    columns = ["QUEUE", "READY#", "IN FLIGHT#", "SESSIONS#", "DEAD#", "REPLICAS#", "SETTLED/S#", "STATE"]
    if history is not None:
        columns.insert(1, "BACKLOG")
    rows = []
    for queue in queues:
        status = queue["status"]
        replicas = status["replicas"]
        row = [
            queue["name"],
            status["ready"],
            status["in_flight"],
            status["sessions"],
            status["dead"],
            f"{replicas['observed']}/{replicas['desired']}",
            f"{status['rates'].get('settled_per_second', 0):.4g}",
            "paused" if status["paused"] else status["reason"],
        ]
        if history is not None:
            row.insert(1, sparkline(history.get(queue["name"], []), 24))
        rows.append(row)
    return table(columns, rows)


def show(what: object) -> None:
    """Prints to standard output, as wide as the terminal, or as wide as it needs to be in a pipe."""
    console = Console(highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=200)
    console.print(what)
