"""``python -m tests.simulation``: many seeds on all cores, or one seed with its story, shrunk if it fails."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Collection
from functools import partial
from pathlib import Path

from tests.simulation.mistakes_of_calls import OF_CALLS
from tests.simulation.mistakes_of_doubling import OF_DOUBLING
from tests.simulation.mistakes_of_endings import OF_ENDINGS
from tests.simulation.mistakes_of_the_store import OF_THE_STORE
from tests.simulation.mutations import applied, record
from tests.simulation.trace import diagram
from tests.simulation.world import KINDS, World

KEPT = Path("build/simulation")
MOST_FAILURES = 10
MUTATIONS = (*OF_THE_STORE, *OF_ENDINGS, *OF_CALLS, *OF_DOUBLING)


def replay_command(seed: int, force: Collection[str] = ()) -> str:
    return f"make simulate SEED={seed}" + (f" FORCE='{','.join(force)}'" if force else "")


def play(seed: int, force: Collection[str] = ()) -> tuple[int, str | None]:
    """The seed, and what went wrong with it if anything did."""
    try:
        World(seed, force=force).play()
    except Exception as error:  # whatever a seed does, its number must be told
        return seed, f"{type(error).__name__}: {error}"
    return seed, None


def _fails(seed: int, force: Collection[str], without: Collection[str], most_messages: int) -> bool:
    try:
        World(seed, force=force, without=without, most_messages=most_messages).play()
    except Exception:  # whatever it is: it fails
        return True
    return False


def shrink(seed: int, force: Collection[str]) -> World:
    """The smallest world of this seed that still fails: with fewer kinds of faults, then with fewer messages."""
    without: list[str] = []
    most = 1000
    for kind in sorted(World(seed, force=force).faults):
        if _fails(seed, force, [*without, kind], most):
            without.append(kind)
    for fewer in (40, 30, 20, 15, 10, 7, 5, 3, 2, 1):
        if _fails(seed, force, without, fewer):
            most = fewer
    return World(seed, keep_trace=True, force=force, without=without, most_messages=most)


def _one(seed: int, force: Collection[str], draw: bool, about: str) -> int:
    """Plays a seed and tells its story; one that fails is shrunk first."""
    world = World(seed, keep_trace=True, force=force)
    if _fails(seed, force, (), 1000):
        world = shrink(seed, force)
    trouble = None
    try:
        world.play()
    except Exception as error:
        trouble = f"{type(error).__name__}: {error}"
    lines = world.trace or []
    if draw:
        print(diagram(lines, about))
    else:
        print(f"seed {seed}; faults: {', '.join(sorted(world.faults)) or 'none'}")
        print(*(line for line in lines if not about or line.about in ("", about)), sep="\n")
    calls, messages = len(world.checker.calls), len(world.checker.accepted)
    print(trouble or f"holds: {messages} messages, {calls} calls", file=sys.stderr)
    return 1 if trouble else 0


def _many(first: int, count: int, force: Collection[str]) -> int:
    started, failed = time.monotonic(), 0
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for done, (seed, trouble) in enumerate(
            pool.imap_unordered(partial(play, force=force), range(first, first + count), 50), 1
        ):
            if trouble is not None:
                failed += 1
                print(f"seed {seed}: {trouble}\n  replay: {replay_command(seed, force)}\n  kept: {_keep(seed, force)}")
            if done % 2000 == 0 or done == count:
                rate = done / (time.monotonic() - started)
                left = f", {(count - done) / rate / 60:.0f} min left" if done < count else ""
                print(f"{done}/{count} seeds, {failed} failed, {rate:.0f} seeds/s{left}", flush=True)
            if failed >= MOST_FAILURES:
                pool.terminate()
                print(f"{MOST_FAILURES} seeds failed; stopping")
                return 1
    return 1 if failed else 0


def _keep(seed: int, force: Collection[str]) -> Path:
    """The story of a seed that failed, shrunk, in a file of its own."""
    world, trouble = shrink(seed, force), ""
    try:
        world.play()
    except Exception as error:
        trouble = f"{type(error).__name__}: {error}"
    lines = world.trace or []
    told = [replay_command(seed, force), trouble, f"faults: {', '.join(sorted(world.faults))}", *map(str, lines)]
    KEPT.mkdir(parents=True, exist_ok=True)
    path = KEPT / f"seed-{seed}.txt"
    path.write_text("\n".join([*told, "", diagram(lines, ""), ""]))
    return path


def bugs() -> str:
    """What was in the code once and was found by playing seeds: a Markdown table."""
    rows = [f"| {one.name} | {one.why} | {one.seed} |" for one in MUTATIONS if one.real]
    return "\n".join(["| mistake | what came of it | seed |", "|---|---|---|", *rows])


def _hunt(name: str, bound: int = 3000) -> int | None:
    """The first seed that notices the mutation."""
    mutation = next(one for one in MUTATIONS if one.name == name)
    with applied(mutation):
        return next((seed for seed in range(bound) if play(seed, mutation.needs)[1] is not None), None)


def _mutations(only: str, *, write: bool) -> int:
    names = [mutation.name for mutation in MUTATIONS if only in mutation.name]
    found = {}
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for name, seed in zip(names, pool.imap(_hunt, names, 1), strict=True):
            if seed is not None:
                found[name] = seed
            print(f"{name:40} {'NOBODY NOTICED' if seed is None else seed}", flush=True)
    print(f"{len(found)} of {len(names)} mutations are noticed")
    if write:
        record(Path(__file__).parent, found)
    return 0 if len(found) == len(names) else 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="replay this one, with its trace")
    parser.add_argument("--force", default="", help="kinds of faults that each seed has, separated by commas")
    parser.add_argument("--diagram", action="store_true", help="with --seed: a Mermaid sequence diagram")
    parser.add_argument("--about", default="", metavar="ID", help="with --seed: only what is about this message")
    parser.add_argument(
        "--bugs", action="store_true", help="the real bugs that it found, as a table for the documentation"
    )
    parser.add_argument("--mutations", action="store_true", help="look for a seed that notices each mutation")
    parser.add_argument("--write", action="store_true", help="with --mutations: keep the seeds where they stand")
    parser.add_argument("--only", default="", help="the mutations with this in their name")
    arguments = parser.parse_args()
    if arguments.bugs:
        print(bugs())
        return 0
    if arguments.mutations:
        return _mutations(arguments.only, write=arguments.write)
    force = tuple(kind for kind in arguments.force.split(",") if kind)
    if set(force) - set(KINDS):
        parser.error(f"--force: choose from {', '.join(KINDS)}")
    if arguments.seed is not None:
        return _one(arguments.seed, force, arguments.diagram, arguments.about)
    return _many(arguments.first, arguments.seeds, force)


if __name__ == "__main__":
    sys.exit(main())
