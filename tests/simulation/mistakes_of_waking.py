"""Mistakes in how a queue falls asleep and wakes."""

from __future__ import annotations

from tests.simulation.mutations import Mutation

_RUNTIME = "scaler.runtime"

OF_WAKING = (
    Mutation(
        "doorbell armed after looking",
        _RUNTIME,
        "            await self._broker.arm(*self._where, self._ring)\n"
        "            if self._happen(Happening.ARMED) is not Step.LOOK:\n"
        "                return\n"
        "            found = self._work(await self._broker.depth(*self._where))\n",
        "            found = self._work(await self._broker.depth(*self._where))\n"
        "            await self._broker.arm(*self._where, self._ring)\n"
        "            if self._happen(Happening.ARMED) is not Step.LOOK:\n"
        "                return\n",
        "what comes between the look and the arming rings no bell",
    ),
    Mutation(
        "not looked once the bell is armed",
        _RUNTIME,
        "            found = self._work(await self._broker.depth(*self._where))\n",
        "            found = False\n",
        "what came before the bell was armed rings no bell",
    ),
    Mutation(
        "only what is ready counts",
        _RUNTIME,
        "        return bool(sum(depth.ready) + depth.unacked) and not self.workqueue.spec.paused",
        "        return bool(sum(depth.ready) > 1) and not self.workqueue.spec.paused",
        "a single message does not wake it",
    ),
    Mutation(
        "taken for asleep though arming failed",
        _RUNTIME,
        "            self._phase = Phase.AWAKE  # neither armed nor asleep for sure: all of it again\n",
        "            self._phase = Phase.ASLEEP\n",
        "a broker that was away for a moment leaves the queue asleep without a bell",
    ),
)
