"""The callback API without its sockets: who asks, for what, whether it may be, and what it is answered.

A call is taken in two steps, so that a body is read only once it is known to be wanted, and how long it may be.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, NamedTuple, Protocol
from urllib.parse import parse_qsl

import msgspec

from backends.http.callback_words import A_LITTLE, SAYINGS, Head, Reply, Saying, check, json_reply
from backends.ports import Attempts
from backends.sending import Accepted
from contracts.api import accepted_object, message_path
from contracts.enqueue import Enqueue, read_headers
from contracts.message import Message
from contracts.problems import Problem, ProblemError
from contracts.speech import MAX_EMITTED_BYTES, Emit, Heard, ReadSession, Refusal, Words
from contracts.timestamps import format_time
from contracts.tokens import (
    AttemptToken,
    Keys,
    Token,
    attempt_expiry,
    expired,
    read_token,
    replica_expiry,
    signer,
)
from contracts.workqueue import WorkQueue

STAGED: Final = "staged"
"""The state of a message that is sent if and only if another one is acked."""

_QUEUE: Final = re.compile(r"/queues/([^/]+)/messages")
_TOKEN: Final = "/token"
_OVER: Final = Heard(Refusal.OVER, detail="this attempt is over; what it says does not count any more")


class Outlet(Protocol):
    """Where the messages go that a handler sends. Each method raises ``ProblemError`` or ``TransientError``."""

    async def find(self, namespace: str, queue: str) -> WorkQueue:
        """The queue; 404 where there is none."""

    def compose(self, workqueue: WorkQueue, asked: Enqueue, body: bytes) -> Message:
        """The message, named, as it is to be sent later."""

    async def send(self, workqueue: WorkQueue, asked: Enqueue, body: bytes) -> Accepted:
        """Sends it now: the message, once the broker holds it, and where it is in its life."""


class Pending(NamedTuple):
    """A call whose head is in order. A body of more than ``limit_bytes`` is refused, for what ``limited_by`` says."""

    limit_bytes: int
    limited_by: str
    answer: Callable[[bytes], Awaitable[Reply]]


def read_head(method: str, path: str, query: str, headers: Iterable[tuple[str, str]]) -> Head:
    """``path`` below the prefix; ``query`` as it stands behind the question mark. Raises ``ProblemError``."""
    pairs = parse_qsl(query, keep_blank_values=True)
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ProblemError(Problem.MALFORMED_REQUEST, "A query parameter is given twice.")
    return Head(method, path, found, list(headers))


def too_large(pending: Pending) -> ProblemError:
    """The 413 for a longer body."""
    detail = f"The body is larger than {pending.limited_by}, {pending.limit_bytes} bytes."
    return ProblemError(Problem.PAYLOAD_TOO_LARGE, detail, limit=pending.limit_bytes)


class CallbackApi:
    """``keys`` are the installation's, ``wall`` is the clock."""

    def __init__(self, keys: Keys, attempts: Attempts, outlet: Outlet, wall: Callable[[], float]) -> None:
        self._keys = keys
        self._sign = signer(keys)
        self._attempts = attempts
        self._outlet = outlet
        self._wall = wall

    async def take(self, head: Head) -> Pending:
        """The call that this head begins. Raises ``ProblemError`` where it is none, or may not be."""
        queue = _QUEUE.fullmatch(head.path)
        if queue is not None:
            _only(head, "POST", "immediate")
            return await self._enqueue(head, queue[1], await self._token(head))
        if head.path == _TOKEN:
            _only(head, "POST")
            return self._renew(await self._token(head))
        sayings = SAYINGS.get(head.path)
        if sayings is None:
            raise ProblemError(Problem.UNKNOWN_ROUTE, "The callback API has nothing at this path; it may be misspelt.")
        saying = sayings.get(head.method)
        if saying is None:
            raise _not_allowed(head, *sayings)
        _known(head, *saying.parameters)
        return self._say(saying, head, await self._token(head))

    # Who asks

    async def _token(self, head: Head) -> Token:
        scheme, _, text = (head.header("authorization") or "").partition(" ")
        if scheme.lower() != "bearer":
            raise _unauthorized("Send the token of this call or of /init: 'Authorization: Bearer TOKEN'.")
        token = read_token(self._keys, text.strip())
        if token is None:
            raise _unauthorized("The token is not one of this installation's; send it as it came.", "invalid_token")
        if expired(token, self._wall()) and not (isinstance(token, AttemptToken) and await self._lasts(token)):
            raise _unauthorized("The token has expired. POST /token gives a fresh one in time.", "invalid_token")
        return token

    async def _lasts(self, token: AttemptToken) -> bool:
        """Work that beats outlives what its token was made for, which must not end it."""
        heard = await self._attempts.speak(token.namespace, token.queue, token.speaker, ReadSession())
        return heard.refusal is not Refusal.OVER

    def _renew(self, token: Token) -> Pending:
        async def answer(_: bytes) -> Reply:
            until = replica_expiry(self._wall())
            if isinstance(token, AttemptToken):
                await self._check_lasts(token)
                delivery = (await self._outlet.find(token.namespace, token.queue)).spec.delivery
                until = attempt_expiry(self._wall() + delivery.timeout_seconds, delivery.heartbeat_timeout_seconds)
            fresh = self._sign(msgspec.structs.replace(token, expires_at=until))
            return json_reply({"token": fresh, "token_expires_at": format_time(until)})

        return Pending(*A_LITTLE, answer)

    async def _check_lasts(self, token: AttemptToken) -> None:
        if not await self._lasts(token):
            check(_OVER)

    # What it says

    async def _speak(self, token: AttemptToken, words: Words) -> Heard:
        return check(await self._attempts.speak(token.namespace, token.queue, token.speaker, words))

    def _say(self, saying: Saying, head: Head, token: Token) -> Pending:
        if not isinstance(token, AttemptToken):
            raise _unauthorized("The token of /init speaks for no message; send that of the message.", "invalid_token")

        async def answer(body: bytes) -> Reply:
            words = saying.read(head, body)
            return saying.tell(words, await self._speak(token, words))

        return Pending(saying.limit_bytes, saying.limited_by, answer)

    # What it sends

    async def _enqueue(self, head: Head, queue: str, token: Token) -> Pending:
        at_once = _flag(head, "immediate") or not isinstance(token, AttemptToken)
        workqueue = await self._outlet.find(token.namespace, queue)
        asked = read_headers(head.headers)

        async def stage(body: bytes) -> Reply:
            assert isinstance(token, AttemptToken)
            message = self._outlet.compose(workqueue, asked, body)
            await self._speak(token, Emit(message))
            return _enqueued(message, STAGED)

        async def send(body: bytes) -> Reply:
            if isinstance(token, AttemptToken):
                await self._check_lasts(token)
            accepted = await self._outlet.send(workqueue, asked, body)
            return _enqueued(accepted.message, accepted.state)

        limit = workqueue.spec.limits.max_message_bytes
        if at_once or limit <= MAX_EMITTED_BYTES:
            return Pending(limit, "the queue's maxMessageBytes", send if at_once else stage)
        return Pending(MAX_EMITTED_BYTES, "all that a message may emit", stage)


def _enqueued(message: Message, state: str) -> Reply:
    location = message_path(message.namespace, message.queue, message.id)
    return json_reply(accepted_object(message, state), 202, Location=location)


def _only(head: Head, method: str, *parameters: str) -> None:
    if head.method != method:
        raise _not_allowed(head, method)
    _known(head, *parameters)


def _known(head: Head, *parameters: str) -> None:
    for name in head.query:
        if name not in parameters:
            known = f"known here: {', '.join(parameters)}" if parameters else "none is known here"
            detail = f"{name[:40]!a}: an unknown query parameter; {known}"
            raise ProblemError(Problem.MALFORMED_REQUEST, detail, parameter=name[:40])


def _flag(head: Head, name: str) -> bool:
    value = head.query.get(name, "false")
    if value not in ("true", "false"):
        raise ProblemError(
            Problem.MALFORMED_REQUEST, f"{name}: write true or false, got {value[:40]!a}", parameter=name
        )
    return value == "true"


def _not_allowed(head: Head, *allowed: str) -> ProblemError:
    detail = f"{head.method[:20]!a} is not served here; use one of: {', '.join(allowed)}."
    problem = ProblemError(Problem.METHOD_NOT_ALLOWED, detail)
    problem.headers["Allow"] = ", ".join(allowed)
    return problem


def _unauthorized(detail: str, error: str = "") -> ProblemError:
    problem = ProblemError(Problem.UNAUTHORIZED, detail)
    problem.headers["WWW-Authenticate"] = f'Bearer error="{error}"' if error else "Bearer"
    return problem
