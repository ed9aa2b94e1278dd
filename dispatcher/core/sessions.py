"""Who holds which session, and what waits: what attempts hold, joined with what replicas report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
            found[one.session] = _object(one.session, one, one.message_id, 0)
    for replica in replicas:
        for session, head, behind in replica.report.waiting:
            if session is not None:
                _add(found, session, head, behind)
    return list(found.values())


def session_now(
    session: str, held: Iterable[Held], replicas: Iterable[Replica], waiting: Sequence[str], ended: str | None
) -> dict[str, Any]:
    """One session just after something was ordered, when replicas may not have reported anew.

    ``waiting`` are its messages that are known to wait, the head first; ``ended`` the one that was its head until
    now, which a report may still name.
    """
    holds = next((one for one in held if one.session == session), None)
    gone = {ended, None if holds is None else holds.message_id}
    known = [message_id for message_id in waiting if message_id not in gone]
    count = len(known)
    for replica in replicas:
        for name, head, behind in replica.report.waiting:
            if name == session:
                count = max(count, behind if head in gone else behind + 1)
                known += [] if head in gone else [head]
    leads = next(iter(known), None) if holds is None else holds.message_id
    return _object(session, holds, leads, count)


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


def nothing_to_release(found: dict[str, Any]) -> ProblemError:
    """Why there was no attempt to end, and what would help instead."""
    return _nothing(
        found,
        "no attempt holds it, so there is nothing to release. If the first of them blocks the session or waits for its "
        "next attempt, it can be skipped; if none of them starts, see the queue's reason.",
    )


def nothing_to_skip(found: dict[str, Any]) -> ProblemError:
    """Why there was no head to skip, and what would help instead."""
    return _nothing(
        found,
        "the first of them has not been attempted yet, so that there is nothing to skip. A message that has not "
        "started can be cancelled; if none of them starts, see the queue's reason.",
    )


def _nothing(found: dict[str, Any], why: str) -> ProblemError:
    session, count = found["session"], found["waiting"]
    if not count and found["replica"] is None:
        return ProblemError(
            Problem.UNKNOWN_SESSION,
            f"No message holds session {session!r}, and none waits in it. Is it spelt as the sender spelt it?",
            session=session,
        )
    wait = "1 message waits" if count == 1 else f"{count} messages wait"
    return ProblemError(Problem.CONFLICT, f"{wait} in session {session!r}, and {why}", session=session, waiting=count)


def _object(session: str, holds: Held | None, message_id: str | None, waiting: int) -> dict[str, Any]:
    return {
        "session": session,
        "replica": None if holds is None else holds.replica,
        "message_id": message_id,
        "since": None if holds is None else format_time(holds.since),
        "waiting": waiting,
    }


def _add(found: dict[str, dict[str, Any]], session: str, head: str, behind: int) -> None:
    entry = found.get(session)
    if entry is None:
        entry = found[session] = _object(session, None, head, 0)
    runs = entry["replica"] is not None and entry["message_id"] == head
    entry["waiting"] = max(entry["waiting"], behind if runs else behind + 1)
