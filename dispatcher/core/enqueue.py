"""From an HTTP request to a message: everything a sender may say, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from contracts.api import MAX_WAIT_SECONDS
from contracts.errors import PermanentError
from contracts.identity import check_key
from contracts.message import DEFAULT_CONTENT_TYPE, Message
from contracts.problems import Problem, ProblemError
from contracts.text import check_session, decode_header, is_token

_META = "kubedaemon-meta-"
_PASSED_ON = ("traceparent", "tracestate")
_LATER = ("kubedaemon-delay", "kubedaemon-deliver-at", "kubedaemon-ttl", "kubedaemon-result-url")


class Enqueue(msgspec.Struct, frozen=True):
    """What a sender asks for, before it has an id and a time."""

    session: str | None
    key: str | None
    content_type: str
    meta: dict[str, str]
    headers: dict[str, str]

    def message(self, namespace: str, queue: str, message_id: str, at: float, body: bytes) -> Message:
        return Message(
            namespace=namespace,
            queue=queue,
            id=message_id,
            body=body,
            session=self.session,
            content_type=self.content_type,
            enqueued_at=at,
            meta=self.meta,
            headers=self.headers,
        )


def malformed(error: PermanentError) -> ProblemError:
    return ProblemError(Problem.MALFORMED_REQUEST, str(error))


def read_headers(headers: Iterable[tuple[str, str]]) -> Enqueue:
    """The metadata of a message. Raises ``ProblemError`` that names the header and says what is wrong with it."""
    session, key, content_type = None, None, DEFAULT_CONTENT_TYPE
    meta: dict[str, str] = {}
    passed: dict[str, str] = {}
    seen: set[str] = set()
    try:
        for given, value in headers:
            name = given.lower()
            if name in ("kubedaemon-session", "idempotency-key") and name in seen:
                raise PermanentError(f"{given}: is given twice")
            seen.add(name)
            if name == "kubedaemon-session":
                session = check_session(decode_header(value, given), given)
            elif name == "idempotency-key":
                key = check_key(value)
            elif name == "content-type":
                content_type = _visible(value, given)
            elif name.startswith(_META):
                meta[_meta_name(name[len(_META) :], given)] = decode_header(value, given)
            elif name in _PASSED_ON or name.startswith("ce-"):
                passed[name] = decode_header(value, given)
            elif name in _LATER:
                raise ProblemError(Problem.NOT_IMPLEMENTED, f"{given} is not built yet; send the message without it")
    except ProblemError:
        raise
    except PermanentError as error:
        raise malformed(error) from error
    return Enqueue(session, key, content_type, meta, passed)


def _visible(value: str, name: str) -> str:
    if not value or any(not 0x20 <= ord(character) <= 0x7E for character in value):
        raise PermanentError(f"{name}: holds something other than printable ASCII")
    return value


def _meta_name(name: str, given: str) -> str:
    if not is_token(name):
        raise PermanentError(f"{given}: the name behind Kubedaemon-Meta- is missing or no HTTP token")
    return name


def read_prefer(values: Iterable[str]) -> float | None:
    """The seconds of ``Prefer: wait=N`` (RFC 7240), cut to the most that is served; None where it is not asked for."""
    for value in values:
        for preference in value.split(","):
            name, _, seconds = preference.partition(";")[0].strip().partition("=")
            if name.strip().lower() == "wait":
                return _wait(seconds.strip().strip('"'), "Prefer: wait")
    return None


def read_wait(query: Mapping[str, str]) -> float:
    """The seconds of ``?wait=N``, 0 where it is not asked for."""
    return _wait(query["wait"], "wait") if "wait" in query else 0.0


def _wait(text: str, name: str) -> float:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ProblemError(
            Problem.MALFORMED_REQUEST, f"{name}: write whole seconds, such as wait=30; got {text[:40]!r}"
        )
    return float(min(int(text), MAX_WAIT_SECONDS))
