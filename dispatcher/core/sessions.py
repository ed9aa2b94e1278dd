"""Who holds which session, and what waits: what attempts hold, joined with what replicas report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from contracts.errors import PermanentError
from contracts.problems import Problem, ProblemError
from contracts.records import Held, Replica
from contracts.text import check_session
from contracts.timestamps import format_time

SKIPPED = "skipped by an operator"


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


def idle_session(session: str) -> dict[str, Any]:
    """A session that nothing holds and in which nothing is known to wait."""
    return {"session": session, "replica": None, "message_id": None, "since": None, "waiting": 0}


def read_order(body: object) -> str:
    """The session of ``{"session": S}``. Raises ``ProblemError`` 400."""
    if not isinstance(body, dict) or set(body) != {"session"} or not isinstance(body["session"], str):
        raise ProblemError(
            Problem.MALFORMED_REQUEST,
            'the body: write {"session": "…"} with the session that is meant',
            field="session",
        )
    try:
        return check_session(body["session"], "session")
    except PermanentError as error:
        raise ProblemError(Problem.MALFORMED_REQUEST, str(error), field="session") from error


def nothing_to_order(what: str, session: str, known: dict[str, Any] | None) -> ProblemError:
    """Why a release or a skip found nothing: no such session, or none that is held."""
    if known is None:
        detail = f"No message holds session {session!r}, and none is known to wait in it."
        return ProblemError(Problem.UNKNOWN_SESSION, detail, session=session)
    return ProblemError(
        Problem.CONFLICT,
        f"{known['waiting']} messages wait in session {session!r}, and no attempt holds it: there is nothing to {what}.",
        session=session,
        waiting=known["waiting"],
    )


def _add(found: dict[str, dict[str, Any]], session: str, head: str, behind: int) -> None:
    entry = found.get(session)
    if entry is None:
        entry = {"session": session, "replica": None, "message_id": head, "since": None, "waiting": 0}
        found[session] = entry
    runs = entry["replica"] is not None and entry["message_id"] == head
    entry["waiting"] = max(entry["waiting"], behind if runs else behind + 1)
