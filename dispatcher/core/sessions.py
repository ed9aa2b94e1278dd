"""Who holds which session, and what waits: what attempts hold, joined with what replicas report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from contracts.records import Held, Replica
from contracts.timestamps import format_time


def list_sessions(held: Iterable[Held], replicas: Iterable[Replica]) -> list[dict[str, Any]]:
    """One object a session. Messages without a session have none and are not here.

    ``message_id`` is the message that holds the session, or the head that waits where none does (then ``replica``
    and ``since`` are null); ``waiting`` counts the messages that wait, a waiting head among them.
    """
    found: dict[str, dict[str, Any]] = {}
    for one in held:
        if one.session is not None:
            found[one.session] = {
                "session": one.session,
                "replica": one.replica,
                "message_id": one.message_id,
                "since": format_time(one.since),
                "waiting": 0,
            }
    for replica in replicas:
        for session, head, behind in replica.report.waiting:
            if session is not None:
                _add(found, session, head, behind)
    return list(found.values())


def _add(found: dict[str, dict[str, Any]], session: str, head: str, behind: int) -> None:
    entry = found.get(session)
    if entry is None:
        entry = {"session": session, "replica": None, "message_id": head, "since": None, "waiting": 0}
        found[session] = entry
    runs = entry["replica"] is not None and entry["message_id"] == head
    entry["waiting"] = max(entry["waiting"], behind if runs else behind + 1)
