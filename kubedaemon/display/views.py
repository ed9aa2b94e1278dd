"""Queues, messages, sessions and dead letters as tables and as details."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from contracts.duration import format_duration
from kubedaemon.display.tables import Cell, Column, fields, fit
from kubedaemon.display.text import ago, between, clean, number, rate, size, span

Json = dict[str, Any]

_STATES = {"dead": "red", "expired": "red", "retrying": "yellow", "running": "cyan", "succeeded": "green"}

QUEUE_COLUMNS = (
    Column("NAME", least=12),
    Column("BACKLOG", right=True),
    Column("IN FLIGHT", right=True, keep=6),
    Column("SESSIONS", right=True, keep=3),
    Column("DEAD", right=True, keep=7),
    Column("REPLICAS", right=True, keep=8),
    Column("RATE/S", right=True, keep=5),
    Column("PAUSED", keep=4),
    Column("REASON", keep=2, least=16),
)


def state(name: object) -> Text:
    return Text(clean(name), style=_STATES.get(str(name), ""))


def queue_cells(queue: Json) -> list[Cell]:
    """One line of ``queues``."""
    status = queue.get("status") or {}
    return [
        clean(queue.get("name")),
        number(backlog(status)),
        number(status.get("in_flight")),
        number(status.get("sessions")),
        dead(status),
        replicas(status),
        rate((status.get("rates") or {}).get("settled_per_second")),
        Text("yes", style="yellow") if status.get("paused") else "no",
        clean(status.get("reason") or ""),
    ]


def backlog(status: Json) -> int | None:
    """Messages ready or unacked: what waits in a replica's window has left the broker's count, and still waits."""
    ready, held = status.get("ready"), status.get("unacked", status.get("in_flight"))
    return None if ready is None else ready + (held or 0)


def waiting(status: Json) -> str:
    """The backlog in words: how many wait, and how many are being handled."""
    whole, in_flight = backlog(status), status.get("in_flight")
    behind = None if whole is None else max(0, whole - (in_flight or 0))
    return f"{number(behind)} waiting, {number(in_flight)} in flight"


def dead(status: Json) -> Text:
    count = status.get("dead")
    return Text(number(count), style="red" if count else "")


def replicas(status: Json) -> Text:
    """Observed of desired; what is still to come stands out."""
    counts = status.get("replicas") or {}
    observed, desired = counts.get("observed"), counts.get("desired")
    return Text(f"{number(observed)}/{number(desired)}", style="" if observed == desired else "cyan")


def queues(items: Sequence[Json], width: int) -> Table:
    return fit(QUEUE_COLUMNS, [queue_cells(queue) for queue in items], width)


def queue(item: Json) -> RenderableType:
    """One queue in full: how it is, and how it is meant to be."""
    status, spec = item.get("status") or {}, item.get("spec") or {}
    rates, scaling = status.get("rates") or {}, spec.get("scaling") or {}
    counts = status.get("replicas") or {}
    oldest = status.get("oldest_age_seconds")
    age = "" if oldest is None else f"; the oldest is {span(oldest)} old"
    bounds = f"{number(scaling.get('minReplicas'))} to {number(scaling.get('maxReplicas'))} allowed"
    now: list[tuple[str, Cell]] = [
        ("queue", Text(clean(item.get("name")), style="bold")),
        ("namespace", clean(item.get("namespace"))),
        ("deliveries", Text("paused", style="yellow") if status.get("paused") else "on"),
        ("messages", f"{waiting(status)}{age}"),
        ("scheduled", number(status.get("scheduled"))),
        ("sessions", f"{number(status.get('sessions'))} held or waiting in a replica"),
        ("dead letters", dead(status)),
        ("replicas", f"{number(counts.get('observed'))} observed, {number(counts.get('desired'))} desired; {bounds}"),
        (
            "rates",
            f"{rate(rates.get('arrivals_per_second'))}/s arrive, {rate(rates.get('settled_per_second'))}/s settle",
        ),
        ("reason", clean(status.get("reason") or "-")),
    ]
    return Group(fields(now), Text(), fields(_policy(spec))) if spec else fields(now)


def _policy(spec: Json) -> list[tuple[str, Cell]]:
    delivery, sessions = spec.get("delivery") or {}, spec.get("sessions") or {}
    limits, results = spec.get("limits") or {}, spec.get("results") or {}
    most, pace = limits.get("maxLength"), limits.get("ratePerSecond")
    return [
        ("partitions", number(spec.get("partitions"))),
        (
            "at a time",
            f"{number(sessions.get('maxConcurrent'))} sessions, {number(sessions.get('concurrencyPerReplica'))} a replica",
        ),
        (
            "attempts",
            f"{number(delivery.get('maxAttempts'))}, of {_exact(delivery.get('timeoutSeconds'))} each;"
            f" when dead: {clean(delivery.get('onDead'))}",
        ),
        (
            "limits",
            f"{number(most) if most else 'any number of'} messages, {size(limits.get('maxMessageBytes'))} each,"
            f" {f'{rate(pace)} starts/s' if pace else 'any rate'}",
        ),
        ("results", f"kept for {_exact(results.get('retentionSeconds'))}"),
    ]


def _exact(seconds: Any) -> str:
    return format_duration(seconds) if isinstance(seconds, int | float) else "-"


def messages(items: Sequence[Json], width: int) -> Table:
    columns = (
        Column("ID"),
        Column("STATE"),
        Column("SESSION", keep=7, least=8),
        Column("ATTEMPT", right=True, keep=4),
        Column("AGE", right=True, keep=6),
        Column("TOOK", right=True, keep=3),
        Column("REASON", keep=5, least=12),
    )
    rows: list[list[Cell]] = [
        [
            clean(item.get("id")),
            state(item.get("state")),
            _session(item),
            number(item.get("attempt")),
            ago(item.get("enqueued_at")),
            between(item.get("enqueued_at"), item.get("ended_at")),
            clean(item.get("reason") or ""),
        ]
        for item in items
    ]
    return fit(columns, rows, width)


def _session(item: Json) -> str:
    session = item.get("session")
    return "-" if session is None else clean(session)


def message(item: Json, width: int) -> RenderableType:
    """One message with every attempt at it."""
    result, progress = item.get("result"), item.get("progress")
    ended = item.get("ended_at")
    pairs: list[tuple[str, Cell]] = [
        ("message", Text(clean(item.get("id")), style="bold")),
        ("queue", f"{clean(item.get('queue'))} in namespace {clean(item.get('namespace'))}"),
        ("session", _session(item)),
        ("state", state(item.get("state"))),
        ("enqueued", f"{clean(item.get('enqueued_at'))}, {ago(item.get('enqueued_at'))} ago"),
    ]
    if item.get("deliver_at"):
        pairs.append(("due", clean(item["deliver_at"])))
    if ended:
        pairs.append(("ended", f"{clean(ended)}, after {between(item.get('enqueued_at'), ended)}"))
    if progress:
        pairs.append(("progress", f"{clean(progress.get('percent'))} %  {clean(progress.get('note') or '')}"))
    pairs += [(f"meta {clean(name)}", clean(value)) for name, value in (item.get("meta") or {}).items()]
    if result:
        pairs.append(("result", f"{clean(result.get('content_type'))}, {size(result.get('size'))}"))
    if item.get("reason"):
        pairs.append(("reason", clean(item["reason"])))
    attempts = item.get("attempts") or []
    return Group(fields(pairs), Text(), _attempts(attempts, width)) if attempts else fields(pairs)


def _attempts(items: Sequence[Json], width: int) -> Table:
    columns = (
        Column("ATTEMPT", right=True),
        Column("REPLICA", keep=5, least=8),
        Column("OUTCOME", keep=8),
        Column("STATUS", right=True, keep=7),
        Column("TOOK", right=True, keep=6),
        Column("BODY", keep=4, least=12),
    )
    rows: list[list[Cell]] = [
        [
            number(item.get("attempt")),
            clean(item.get("replica") or "-"),
            clean(item.get("outcome") or "running"),
            clean(item.get("status") or "-"),
            between(item.get("started_at"), item.get("ended_at")),
            clean(item.get("body") or ""),
        ]
        for item in items
    ]
    return fit(columns, rows, width)


def sessions(items: Sequence[Json], width: int) -> Table:
    columns = (
        Column("SESSION", least=12),
        Column("REPLICA", keep=7, least=8),
        Column("MESSAGE", keep=4),
        Column("HELD", right=True, keep=6),
        Column("WAITING", right=True, keep=8),
    )
    rows: list[list[Cell]] = [
        [
            _session(item),
            clean(item.get("replica") or "-"),
            clean(item.get("message_id") or "-"),
            ago(item.get("since")),
            number(item.get("waiting")),
        ]
        for item in items
    ]
    return fit(columns, rows, width)


def dead_letters(items: Sequence[Json], width: int) -> Table:
    columns = (
        Column("ID"),
        Column("SESSION", keep=7, least=8),
        Column("ATTEMPTS", right=True, keep=4),
        Column("DEAD FOR", right=True, keep=5),
        Column("REASON", keep=8, least=12),
    )
    rows: list[list[Cell]] = [
        [
            clean(item.get("id")),
            _session(item),
            number(item.get("attempt")),
            ago(item.get("dead_at")),
            clean(item.get("reason") or ""),
        ]
        for item in items
    ]
    return fit(columns, rows, width)
