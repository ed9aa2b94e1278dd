"""Thousands of transfers through ``kubedaemon dev``, a handler killed half way, and a receipt of what came of it.

    python examples/ledger/demo.py [--transfers N] [--keep FILE] [--plain]

Exits with 0 only if every promise on the receipt was kept.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

from rich.console import Console

if not __package__:  # run as a script: find this package from wherever that is
    sys.path[0] = str(Path(__file__).resolve().parents[2])
from examples.ledger.serial import Transfer, read
from examples.ledger.show import display, receipt
from examples.ledger.show.errors import DemoError
from examples.ledger.show.story import perform

LONGEST_SECONDS = 120
INTERRUPTED = 130


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(description="Transfers through Kubedaemon, with a handler killed half way.")
    parser.add_argument("--transfers", type=int, metavar="N", help="only the first N of the file")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="write the receipt there as well")
    parser.add_argument("--plain", action="store_true", help="lines instead of a live display")
    return parser.parse_args()


async def bounded(transfers: list[Transfer], directory: Path, console: Console, live: bool) -> receipt.Run:
    """The run, within the time that it may take. Raises ``DemoError`` past it."""
    show = partial(display.live if live else display.lines, console)
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            return await perform(transfers, directory, show)
    except TimeoutError as error:
        raise DemoError(f"it was not done after {LONGEST_SECONDS} s") from error


def reasons(error: BaseException) -> list[str]:
    """What the errors in a group say. Raises them again if one is not ours to explain."""
    if isinstance(error, BaseExceptionGroup):
        ours, others = error.split(DemoError)
        if others is not None:
            raise others
        return [] if ours is None else [reason for one in ours.exceptions for reason in reasons(one)]
    return [str(error)]


def finish(run: receipt.Run, keep: Path | None, directory: Path, console: Console, live: bool) -> int:
    """Hand over the receipt; keep log and ledger only where they are needed."""
    if live:
        console.print(receipt.panel(run))
    else:
        console.out(receipt.text(run))
    if keep is not None:
        keep.write_text(receipt.text(run) + "\n", encoding="utf-8")
        console.out(f"the receipt is in {keep}")
    if not all(promise.kept for promise in receipt.promises(run)):
        print(f"not every promise was kept; log and ledger are in {directory}", file=sys.stderr)
        return 1
    shutil.rmtree(directory)
    return 0


def main() -> int:
    """Run it and show the receipt: 0 if every promise was kept, 1 if not."""
    options = arguments()
    console = Console(highlight=False)
    live = console.is_terminal and not options.plain
    directory = Path(tempfile.mkdtemp(prefix="ledger-"))
    try:
        run = asyncio.run(bounded(read(limit=options.transfers), directory, console, live))
    except KeyboardInterrupt:
        shutil.rmtree(directory)
        print("interrupted; everything is stopped", file=sys.stderr)
        return INTERRUPTED
    except (DemoError, BaseExceptionGroup) as error:
        for reason in reasons(error):
            print(f"the demonstration failed: {reason}", file=sys.stderr)
        print(f"log and ledger are in {directory}", file=sys.stderr)
        return 1
    return finish(run, options.keep, directory, console, live)


if __name__ == "__main__":
    sys.exit(main())
