"""Which replica is at work on an attempt: whoever speaks for it through the dispatcher need not know."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from backends.ports import Attempts, Fence
from contracts.fence import Recall
from contracts.replies import Recalled
from contracts.speech import HEARD, Complete, GiveUp, Heard, Refusal, Speaker, Words
from sidecar.core.staging import outcome_of

_ASKER = "callbacks#0"
_OVER = Heard(Refusal.OVER, detail="this attempt is over; what it says does not count any more")


class LocalAttempts:
    """``backends.ports.Attempts`` over the replicas of this process, and over none: then the store knows the end."""

    def __init__(self, replicas: Callable[[str, str], Sequence[Attempts]], store: Fence) -> None:
        self._replicas = replicas
        self._store = store

    async def speak(self, namespace: str, queue: str, speaker: Speaker, words: Words) -> Heard:
        replicas = self._replicas(namespace, queue)
        for replica in replicas:
            heard = await replica.speak(namespace, queue, speaker, words)
            if heard.refusal is not Refusal.OVER:
                return heard
        if isinstance(words, Complete | GiveUp) and not replicas:
            asked = Recall(speaker.id, speaker.generation, speaker.attempt, speaker.epoch)
            (reply,) = await self._store.turn(namespace, queue, _ASKER, [asked])
            if isinstance(reply, Recalled) and reply.outcome == outcome_of(words):
                return HEARD
        return _OVER
