"""Shows the run while it runs: a live panel on a terminal, else a line now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

from rich.bar import Bar
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from examples.ledger.show.watch import Watch

WIDTH = 78
SPARKS = 32
LEVELS = "▁▂▃▄▅▆▇█"
LIVE_SECONDS = 0.2
LINE_SECONDS = 0.5
EVENTS_SHOWN = 5


def sparkline(values: Sequence[int], width: int = SPARKS) -> str:
    """The values as a row of bars, a dot for nought. Where there are too many, a bar is the highest of several."""
    if len(values) > width:
        before, shares, last = values[:-1], width - 1, values[-1]
        edges = [len(before) * n // shares for n in range(width)]
        values = [*(max(before[start:end]) for start, end in pairwise(edges)), last]
    top = max(values, default=0)
    return "".join(LEVELS[(value * len(LEVELS) - 1) // top] if value > 0 else "·" for value in values)


def panel(watch: Watch) -> Panel:
    """The run at this moment."""
    if not watch.samples:
        return Panel("…", title="ledger", width=WIDTH)
    now = watch.samples[-1]
    numbers = Table.grid(padding=(0, 2))
    numbers.add_column(style="bold", width=8)
    numbers.add_column(width=SPARKS)
    numbers.add_column()
    done = Bar(watch.total, 0, now.handled, width=SPARKS, color="green")
    backlog = Text(sparkline([one.backlog for one in watch.samples]), style="yellow")
    replicas = Text(sparkline([one.observed for one in watch.samples]), style="cyan")
    numbers.add_row("handled", done, f"{now.handled:,} of {watch.total:,}, {watch.rate():,.0f}/s")
    numbers.add_row("backlog", backlog, f"{now.waiting:,} waiting, {now.in_flight} in flight")
    numbers.add_row("replicas", replicas, f"{now.observed} observed, {now.desired} desired")
    numbers.add_row("sessions", "", f"{now.sessions} held or waiting")
    events = [Text(f"{seconds:6.1f} s  {event}") for seconds, event in watch.events[-EVENTS_SHOWN:]]
    title = f"[bold]ledger[/] {now.seconds:.1f} s"
    return Panel(Group(numbers, Rule(style="dim"), *events), title=title, title_align="left", width=WIDTH)


async def live(console: Console, watch: Watch) -> None:
    """Keep a panel up to date until cancelled."""
    with Live(panel(watch), console=console, auto_refresh=False) as shown:
        try:
            while True:
                shown.update(panel(watch), refresh=True)
                await asyncio.sleep(LIVE_SECONDS)
        finally:
            shown.update(panel(watch), refresh=True)


async def lines(console: Console, watch: Watch) -> None:
    """Print a line twice a second, and one for each event, until cancelled."""
    told = 0
    try:
        while True:
            told = _tell(console, watch, told)
            await asyncio.sleep(LINE_SECONDS)
    finally:
        _tell(console, watch, told)


def _tell(console: Console, watch: Watch, told: int) -> int:
    said = [(seconds, f"* {event}") for seconds, event in watch.events[told:]]
    if watch.samples:
        now = watch.samples[-1]
        numbers = (
            f"handled {now.handled}/{watch.total} ({watch.rate():.0f}/s)  waiting {now.waiting}"
            f"  in flight {now.in_flight}  sessions {now.sessions}  replicas {now.observed}/{now.desired}"
        )
        said.append((now.seconds, numbers))
    for seconds, line in sorted(said):
        console.out(f"{seconds:6.1f} s  {line}", highlight=False)
    return len(watch.events)
