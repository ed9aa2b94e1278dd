"""What a handler says, brought before the core, and back what the core answers: an awaitable face on events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count

from contracts.errors import TransientError
from contracts.speech import Heard, Refusal, Speaker, Words
from sidecar.core.effects import AnswerSpeech
from sidecar.core.events import Event, Spoken


class Speaking:
    """``backends.ports.Attempts`` for the attempts of one replica, while it lives."""

    def __init__(self, namespace: str, queue: str, happen: Callable[[Event], None]) -> None:
        self._where = (namespace, queue)
        self._happen = happen
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, asyncio.Future[Heard]] = {}
        self._refs = count(1)
        self._stopped = False

    async def speak(self, namespace: str, queue: str, speaker: Speaker, words: Words) -> Heard:
        if (namespace, queue) != self._where:
            return Heard(Refusal.OVER, detail=f"no attempt of queue {queue} is at work here")
        if self._stopped:
            raise TransientError("This replica has stopped")
        ref = next(self._refs)
        heard: asyncio.Future[Heard] = self._loop.create_future()
        self._waiting[ref] = heard
        self._happen(Spoken(ref, speaker, words))
        try:
            return await heard
        finally:
            del self._waiting[ref]

    def answer(self, effect: AnswerSpeech) -> None:
        heard = self._waiting.get(effect.ref)
        if heard is not None and not heard.done():
            heard.set_result(effect.heard)

    def stop(self) -> None:
        """Nobody is left to answer. Harmless to repeat."""
        self._stopped = True
        for heard in self._waiting.values():
            if not heard.done():
                heard.set_exception(TransientError("This replica stops, and it is not known whether that counts"))
