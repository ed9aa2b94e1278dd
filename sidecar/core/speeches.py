"""The callback API without its HTTP: what a handler says for an attempt, and what it is answered.

While the attempt lasts, what it says is staged and counts with its ack. How it ends is told to the store before the
answer where the handler had accepted the work; before that it wins over the answer of the call that still runs.
"""

from __future__ import annotations

from contracts.fence import Advance, ReadState, Recall
from contracts.records import SessionState
from contracts.replies import Forgotten, Recalled, Reply, StateFound
from contracts.speech import (
    HEARD,
    Beat,
    Complete,
    Emit,
    GiveUp,
    Heard,
    ReadSession,
    Refusal,
    Speaker,
    WriteSession,
)
from sidecar.core.calls import Calls
from sidecar.core.effects import AnswerSpeech
from sidecar.core.events import Now, Spoken
from sidecar.core.lanes import Lane, Phase
from sidecar.core.outbox import RESEND_SECONDS, Outbox
from sidecar.core.staging import Staged, holds, outcome_of

_OVER = Heard(Refusal.OVER, detail="this attempt is over; what it says does not count any more")
_NO_SESSION = Heard(Refusal.NO_SESSION, detail="the message has no session, so there is no state to keep")
_MISMATCH = Heard(Refusal.MISMATCH, detail="the state is not the one that the condition names")


class Speeches:
    """Takes what is said, and sees to it that everything is answered."""

    def __init__(self, calls: Calls, outbox: Outbox) -> None:
        self._calls = calls
        self._outbox = outbox
        self._ending: dict[Speaker, list[Spoken]] = {}
        """What was said while the end of its attempt was on its way to the store."""

    def spoken(self, event: Spoken, now: Now) -> None:
        """The handler speaks for an attempt."""
        lane, words = self._calls.speaks(event.speaker), event.words
        if lane is None:
            self._too_late(event)
        elif isinstance(words, Complete | GiveUp):
            self._finish(lane, words, event, now)
        elif isinstance(words, Beat):
            self._calls.heard_of(lane, now)
            self._outbox.ask(Advance(lane.message, lane.epoch, lane.phase is Phase.ACCEPTED, words.progress))
            self._answer(event, HEARD)
        elif isinstance(words, Emit):
            self._answer(event, _staged(lane).emit(words.message))
        else:
            self._session(lane, words, event)

    def _answer(self, event: Spoken, heard: Heard) -> None:
        self._outbox.emit(AnswerSpeech(event.ref, heard))

    # How it ends

    def _finish(self, lane: Lane, finish: Complete | GiveUp, event: Spoken, now: Now) -> None:
        heard = _staged(lane).end(finish)
        if heard.refusal is None and lane.phase is Phase.ACCEPTED:
            self._ending.setdefault(event.speaker, []).append(event)
            self._calls.finish(lane, finish, now)
        else:
            self._answer(event, heard)

    def _too_late(self, event: Spoken) -> None:
        """The attempt is over, or is ending right now: how it ended decides whether the same is said again."""
        if event.speaker in self._ending:
            self._ending[event.speaker].append(event)
        elif isinstance(event.words, Complete | GiveUp):
            self._recall(event)
        else:
            self._answer(event, _OVER)

    def _recall(self, event: Spoken) -> None:
        speaker = event.speaker
        self._outbox.ask(Recall(speaker.id, speaker.generation, speaker.attempt, speaker.epoch), event)

    def ended(self, speaker: Speaker | None) -> None:
        """The store has heard how the attempt ended: whoever waited for that is answered by what it knows."""
        for event in self._ending.pop(speaker, ()) if speaker is not None else ():
            if isinstance(event.words, Complete | GiveUp):
                self._recall(event)
            else:
                self._answer(event, _OVER)

    def recalled(self, event: Spoken, reply: Reply) -> None:
        """How the attempt ended, as the store knows it: the same again is harmless, anything else is too late."""
        same = (
            isinstance(reply, Recalled)
            and isinstance(event.words, Complete | GiveUp)
            and reply.outcome == outcome_of(event.words)
        )
        self._answer(event, HEARD if same else _OVER)

    # The session's state

    def _session(self, lane: Lane, words: ReadSession | WriteSession, event: Spoken) -> None:
        staged = _staged(lane)
        if lane.message.session is None:
            self._answer(event, _NO_SESSION)
        elif staged.wrote:
            self._answer(event, _apply(staged, words, staged.state))
        elif isinstance(words, ReadSession) or words.if_match is not None or words.if_none_match is not None:
            self._outbox.ask(ReadState(lane.message, lane.epoch), event)
        else:
            self._answer(event, _apply(staged, words, None))

    def found(self, event: Spoken, reply: Reply, now: Now) -> None:
        """The state as it is committed; what the attempt has written meanwhile goes before it."""
        lane, words = self._calls.speaks(event.speaker), event.words
        assert isinstance(words, ReadSession | WriteSession)
        if lane is None:
            self._answer(event, _OVER)
        elif isinstance(reply, StateFound):
            staged = _staged(lane)
            self._answer(event, _apply(staged, words, staged.state if staged.wrote else reply.state))
        elif isinstance(reply, Forgotten):
            self._outbox.at(now.monotonic + RESEND_SECONDS, lambda later: self.spoken(event, later))
        else:
            self._answer(event, _OVER)


def _staged(lane: Lane) -> Staged:
    if lane.staged is None:
        lane.staged = Staged()
    return lane.staged


def _apply(staged: Staged, words: ReadSession | WriteSession, state: SessionState | None) -> Heard:
    if isinstance(words, ReadSession):
        return Heard(state=state)
    if not holds(state, words.if_match, words.if_none_match):
        return _MISMATCH
    return staged.write(words.state)
