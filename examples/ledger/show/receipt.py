"""What is left of a run: its figures, and each promise with whether it was kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich import box
from rich.console import Group
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from examples.ledger.check import Findings
from examples.ledger.show.display import WIDTH, sparkline
from examples.ledger.show.killing import Kill
from examples.ledger.show.watch import Sample

SENTENCES_SHOWN = 3
ENOUGH_REPLICAS = 2
LABEL = 18


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that a run came to."""

    ended: datetime
    wall_seconds: float
    first_call_seconds: float | None
    replaced_seconds: float | None
    peak_rate: float
    samples: Sequence[Sample]
    kill: Kill
    concurrency_per_replica: int
    dead_letters: Sequence[str]
    exit_status: int
    findings: Findings


@dataclass(frozen=True, slots=True)
class Promise:
    """One thing that had to hold, and what speaks against it."""

    text: str
    kept: bool
    against: Sequence[str] = ()


def promises(run: Run) -> list[Promise]:
    """All of them, kept or not."""
    found = run.findings
    most = max(one.observed for one in run.samples)
    ends = (run.samples[0].observed, run.samples[-1].observed)
    effects = [*found.missing, *found.doubled, *found.altered]
    balances = f"balances equal the serial computation, {found.accounts} accounts to the cent"
    limit = run.concurrency_per_replica
    return [
        Promise("every transfer had exactly one effect", not effects, effects),
        Promise("each account's transfers were done in order", not found.disordered, found.disordered),
        Promise(balances, not found.unbalanced, found.unbalanced),
        Promise("no message ended as a dead letter", not run.dead_letters, run.dead_letters),
        Promise("replicas: from zero and back to zero", ends == (0, 0), [f"they were {ends[0]}, then {ends[1]}"]),
        Promise(f"at least {ENOUGH_REPLICAS} replicas worked at once", most >= ENOUGH_REPLICAS, [f"at most {most}"]),
        Promise("a handler was killed under load", run.kill.under_load, [_load(run.kill)]),
        Promise(
            f"the kill repeated at most the {limit} calls that one replica has",
            found.called_again <= limit,
            [f"{found.called_again} transfers were called more than once"],
        ),
        Promise("kubedaemon dev stopped in order", run.exit_status == 0, [f"exit status {run.exit_status}"]),
    ]


def _load(kill: Kill) -> str:
    return f"its last call was {kill.last_called_seconds:.2f} s before, {kill.sample.backlog} messages waited"


def figures(run: Run) -> list[tuple[str, str]]:
    """The numbers, each with its name."""
    found, kill = run.findings, run.kill
    most = max(one.observed for one in run.samples)
    backlog = max(one.backlog for one in run.samples)
    first = "never" if run.first_call_seconds is None else f"after {run.first_call_seconds:.2f} s"
    replaced = "" if run.replaced_seconds is None else f", a new handler after {run.replaced_seconds:.2f} s"
    return [
        ("transfers", f"{found.transfers:,} between {found.accounts} accounts"),
        ("wall time", f"{run.wall_seconds:.1f} s; from zero, the first call {first}"),
        ("peak rate", f"{run.peak_rate:,.0f} transfers/s"),
        ("backlog", f"{sparkline([one.backlog for one in run.samples])}  at most {backlog:,}"),
        ("replicas", f"{sparkline([one.observed for one in run.samples])}  at most {most}"),
        ("killed", f"handler {kill.pid} at {kill.sample.seconds:.1f} s, {kill.sample.in_flight} calls in flight"),
        (
            "what it cost",
            f"{found.called_again} {'transfer' if found.called_again == 1 else 'transfers'} called again{replaced}",
        ),
        ("balances", found.found_checksum),
        ("serial", found.expected_checksum),
    ]


def text(run: Run) -> str:
    """The receipt for a file or a pipe."""
    line = "─" * WIDTH
    date = f"{run.ended:%Y-%m-%d %H:%M:%S UTC}"
    parts = [line, f"  KUBEDAEMON · ledger{date:>{WIDTH - 22}}", line]
    parts += [f"  {name:<{LABEL}}{value}" for name, value in figures(run)]
    parts.append(line)
    for promise in promises(run):
        parts.append(f"  {'✓' if promise.kept else '✗'} {promise.text}")
        parts += [] if promise.kept else [f"      {reason}" for reason in promise.against[:SENTENCES_SHOWN]]
    return "\n".join([*parts, line])


def panel(run: Run) -> Panel:
    """The receipt for a terminal."""
    numbers = Table.grid(padding=(0, 2))
    numbers.add_column(style="bold", width=LABEL - 4)
    numbers.add_column()
    for name, value in figures(run):
        numbers.add_row(name, Text(value))
    kept = Table.grid(padding=(0, 1))
    for promise in promises(run):
        kept.add_row(Text("✓", "bold green") if promise.kept else Text("✗", "bold red"), Text(promise.text))
        for reason in () if promise.kept else promise.against[:SENTENCES_SHOWN]:
            kept.add_row("", Text(reason, "red"))
    held = all(promise.kept for promise in promises(run))
    return Panel(
        Group(numbers, Rule(style="dim"), kept),
        box=box.DOUBLE,
        title="[bold]KUBEDAEMON · ledger[/]",
        subtitle=f"{run.ended:%Y-%m-%d %H:%M:%S UTC}",
        border_style="green" if held else "red",
        padding=(1, 2),
        width=WIDTH,
    )
