"""What ``kubedaemon dev`` shows: a welcome that can be tried at once, decisions, and the handlers' own output."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO
from zlib import crc32

from contracts.workqueue import WorkQueue
from kubedaemon.dev.options import DevOptions
from kubedaemon.dev.writing import Writer

_COLOURS = (36, 33, 35, 32, 34, 31)
_CLOSING_SECONDS = 1.0


def _program() -> str:
    """What starts the command line, as it can be pasted: by its path, where PATH does not lead to it."""
    called = sys.argv[0]
    found = shutil.which("kubedaemon") or Path(called).name != "kubedaemon"
    return "kubedaemon" if found else shlex.quote(called)


class Console:
    """Lines on one stream, coloured where somebody looks at it."""

    def __init__(self, stream: TextIO) -> None:
        self._writer = Writer(stream)
        self._colours = stream.isatty() and "NO_COLOR" not in os.environ

    def close(self) -> None:
        """What was said is shown, unless nobody reads it."""
        self._writer.close(_CLOSING_SECONDS)

    def _paint(self, text: str, colour: int) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours else text

    def say(self, text: str) -> None:
        self._writer.put(text)

    def output(self, replica: str, line: str) -> None:
        """A line of a handler's, behind its replica's name."""
        colour = _COLOURS[crc32(replica.encode()) % len(_COLOURS)]
        self._writer.put(f"{self._paint(f'{replica} |', colour)} {line}", important=False)

    def decision(self, queue: str, desired: int, reason: str) -> None:
        word = "replica" if desired == 1 else "replicas"
        self.say(self._paint(f"{queue} -> {desired} {word}: {reason}", 2))

    def welcome(self, url: str, queues: Sequence[WorkQueue], options: DevOptions, *, tokens: bool = False) -> None:
        """``tokens``: it is not open, so that what can be tried takes one from the environment."""
        names = ", ".join(queue.name for queue in queues)
        first = queues[0]
        self.say(f"{self._paint('Kubedaemon', 1)} listens on {url}   queues: {names}   (Ctrl-C stops)")
        if options.handler_url:
            self.say(f"handler: {options.handler_url}, one replica that is not scaled")
        elif options.command:
            self.say(f"handler: {' '.join(options.command)}, started on a $PORT of its own when there is work")
        else:
            self.say("no handler: messages are accepted and wait; add --exec 'COMMAND' or --handler URL")
        if options.data is not None:
            self.say(f"data: {options.data}, on disk before it is confirmed")
        else:
            self.say("data: in memory, and gone when this ends; --data DIR keeps it")
        path = f"/v1/namespaces/{first.namespace}/queues/{first.name}/messages"
        waits = options.command or options.handler_url
        prefer = " -H 'Prefer: wait=10'" if waits else ""
        self.say("")
        self.say("try:")
        prefer += ' -H "Authorization: Bearer $KUBEDAEMON_TOKEN"' if tokens else ""
        self.say(f"  curl -i {url}{path} -H 'Content-Type: text/plain' -H 'Kubedaemon-Session: me'{prefer} -d 'hello'")
        where = "" if url.endswith(":8080") else f" --url {url}"
        where += "" if first.namespace == "default" else f" --namespace {first.namespace}"
        self.say(f"  {_program()} send {first.name} hello --session me{' --wait' if waits else ''}{where}")
        self.say("")
