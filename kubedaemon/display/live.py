"""The live board of ``top``: what is asked for four times a second, a minute of history, and one frame of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kubedaemon.display import views
from kubedaemon.display.tables import GAP, Cell, Column, fit
from kubedaemon.display.text import clean, number, rate, span, sparkline

Json = dict[str, Any]

HISTORY_SECONDS = 60
_BARS = 30
_QUIT = "q quits"


class History:
    """The highest value of each of the last seconds: bars that move once a second and do not flicker."""

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=HISTORY_SECONDS)
        self._second = -1

    def add(self, now: float, value: float) -> None:
        second = int(now)
        if second == self._second and self._values:
            self._values[-1] = max(self._values[-1], value)
            return
        missed = second - self._second - 1 if self._second >= 0 else 0
        last = self._values[-1] if self._values else 0.0
        self._values.extend([last] * min(missed, HISTORY_SECONDS))
        self._values.append(value)
        self._second = second

    def bars(self, width: int) -> str:
        return sparkline(tuple(self._values), width)

    @property
    def top(self) -> float:
        return max(self._values, default=0.0)


class Board:
    """What is known now, and how it came to be. ``trouble`` is why there is nothing newer, empty while there is."""

    def __init__(self, title: str, queue: str | None = None) -> None:
        self.trouble = ""
        self._title = title
        self._queue = queue
        self._items: Sequence[Json] = ()
        self._sessions: Sequence[Json] = ()
        self._history: dict[tuple[str, str], History] = {}

    def update(self, items: Sequence[Json], sessions: Sequence[Json] = (), *, now: float) -> None:
        self._items, self._sessions, self.trouble = items, sessions, ""
        for item in items:
            status = item.get("status") or {}
            rates, replicas = status.get("rates") or {}, status.get("replicas") or {}
            for kind, value in (
                ("backlog", views.backlog(status) or 0),
                ("in", rates.get("arrivals_per_second") or 0),
                ("out", rates.get("settled_per_second") or 0),
                ("replicas", replicas.get("observed") or 0),
            ):
                self._past(item, kind).add(now, value)
        there = {str(item.get("name")) for item in items}
        self._history = {key: kept for key, kept in self._history.items() if key[0] in there}

    def _past(self, item: Json, kind: str) -> History:
        return self._history.setdefault((str(item.get("name")), kind), History())

    def frame(self, width: int, height: int) -> RenderableType:
        """What the screen shows: the top line, and as much below it as fits."""
        room = max(1, height - 4)
        one = self._queue is not None and len(self._items) == 1
        body = self._detail(self._items[0], width, room) if one else self._overview(width, room)
        return Group(self._head(width), Text(), body)

    def _head(self, width: int) -> Text:
        note = Text(clean(self.trouble), style="yellow") if self.trouble else Text(_QUIT, style="dim")
        left = Text.assemble(("kubedaemon", "bold"), ("  " + clean(self._title), "dim"))
        if self.trouble:
            left = Text("kubedaemon", style="bold")
        left.truncate(max(0, width - note.cell_len - 2), overflow="ellipsis")
        line = left + Text(" " * max(2, width - left.cell_len - note.cell_len)) + note
        line.truncate(width, overflow="ellipsis")
        return line

    def _overview(self, width: int, room: int) -> RenderableType:
        if not self._items:
            return Text("no queues here yet; make one with `kubedaemon apply -f queue.yaml`", style="dim")
        bars = max(8, min(_BARS, width - 60))
        columns = (
            views.QUEUE_COLUMNS[0],
            Column("BACKLOG", keep=6),
            *views.QUEUE_COLUMNS[1:6],
            Column("IN/S", right=True, keep=4),
            Column("OUT/S", right=True, keep=5),
            Column("OLDEST", right=True, keep=4),
            Column("REASON", keep=2, least=16),
        )
        rows = [self._line(item, bars) for item in self._items[:room]]
        table = fit(columns, rows, width)
        more = len(self._items) - room
        if more <= 0:
            return table
        rest = Text(f"and {more} more; a taller terminal or `kubedaemon top QUEUE` shows them", style="dim")
        rest.truncate(width, overflow="ellipsis")
        return Group(table, rest)

    def _line(self, item: Json, bars: int) -> list[Cell]:
        status = item.get("status") or {}
        rates = status.get("rates") or {}
        cells = views.queue_cells(item)
        reason = Text("paused", style="yellow") if status.get("paused") else Text(clean(status.get("reason") or ""))
        return [
            cells[0],
            Text(self._past(item, "backlog").bars(bars).rjust(bars), style="cyan"),
            *cells[1:6],
            rate(rates.get("arrivals_per_second")),
            rate(rates.get("settled_per_second")),
            span(status.get("oldest_age_seconds")),
            reason,
        ]

    def _detail(self, item: Json, width: int, room: int) -> RenderableType:
        parts: list[RenderableType] = [self._charts(item, width), _facts(item.get("status") or {}, width)]
        if self._sessions and room > 10:
            parts += [Text(), views.sessions(self._sessions[: room - 10], width)]
        return Group(*parts)

    def _charts(self, item: Json, width: int) -> RenderableType:
        status = item.get("status") or {}
        rates, counts = status.get("rates") or {}, status.get("replicas") or {}
        bars = max(8, min(HISTORY_SECONDS, width - 46))
        table = Table.grid(padding=(0, GAP, 0, 0))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(style="cyan", no_wrap=True, width=bars)
        table.add_column(no_wrap=True, overflow="ellipsis")
        for kind, name, value in (
            ("backlog", "backlog", views.waiting(status)),
            ("in", "arrive", f"{rate(rates.get('arrivals_per_second'))}/s"),
            ("out", "settle", f"{rate(rates.get('settled_per_second'))}/s"),
            (
                "replicas",
                "replicas",
                f"{number(counts.get('observed'))} observed, {number(counts.get('desired'))} desired",
            ),
        ):
            table.add_row(name, self._past(item, kind).bars(bars).rjust(bars), value)
        return table


def _facts(status: Json, width: int) -> RenderableType:
    reason = Text("paused; " if status.get("paused") else "", style="yellow")
    reason.append(clean(status.get("reason") or "-"), style="default")
    table = Table.grid(padding=(0, GAP, 0, 0))
    names = len("replicas")
    table.add_column(style="dim", no_wrap=True, width=names)
    table.add_column(no_wrap=True, overflow="ellipsis", width=max(1, width - names - GAP))
    table.add_row("oldest", span(status.get("oldest_age_seconds")))
    table.add_row("dead", views.dead(status))
    table.add_row("reason", reason)
    return table


def clock() -> float:
    """The clock of the history."""
    return time.monotonic()
