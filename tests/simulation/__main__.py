"""``python -m tests.simulation``: many seeds on all cores, or one seed with its trace."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Collection

from tests.simulation.mutations import MUTATIONS, applied
from tests.simulation.world import World


def replay_command(seed: int) -> str:
    return f"make simulate SEED={seed}"


def play(seed: int, force: Collection[str] = ()) -> tuple[int, str | None]:
    """The seed, and what went wrong with it if anything did."""
    try:
        World(seed, force=force).play()
    except Exception as error:  # whatever a seed does, its number must be told
        return seed, f"{type(error).__name__}: {error}"
    return seed, None


def _one(seed: int) -> int:
    world = World(seed, keep_trace=True)
    print(f"seed {seed}; faults: {', '.join(sorted(world.faults)) or 'none'}")
    try:
        world.play()
    except Exception as error:
        print(*(world.trace or ()), sep="\n")
        print(f"{type(error).__name__}: {error}")
        return 1
    print(*(world.trace or ())[-40:], sep="\n")
    print(f"holds: {len(world.checker.accepted)} messages, {len(world.checker.calls)} calls")
    return 0


def _many(first: int, count: int) -> int:
    started, failed = time.monotonic(), 0
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for done, (seed, trouble) in enumerate(pool.imap_unordered(play, range(first, first + count), 50), 1):
            if trouble is not None:
                failed += 1
                print(f"seed {seed}: {trouble}\n  replay: {replay_command(seed)}")
            if done % 2000 == 0 or done == count:
                rate = done / (time.monotonic() - started)
                print(f"{done}/{count} seeds, {failed} failed, {rate:.0f} seeds/s", flush=True)
            if failed >= 10:
                pool.terminate()
                print("ten seeds failed; stopping")
                return 1
    return 1 if failed else 0


def _hunt(name: str, bound: int = 3000) -> int | None:
    """The first seed that notices the mutation."""
    mutation = next(one for one in MUTATIONS if one.name == name)
    with applied(mutation):
        return next((seed for seed in range(bound) if play(seed, mutation.needs)[1] is not None), None)


def _mutations(only: str) -> int:
    names = [mutation.name for mutation in MUTATIONS if only in mutation.name]
    missed = 0
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for name, seed in zip(names, pool.imap(_hunt, names, 1), strict=True):
            missed += seed is None
            print(f"{name:40} {'NOBODY NOTICED' if seed is None else seed}", flush=True)
    print(f"{len(names) - missed} of {len(names)} mutations are noticed")
    return 1 if missed else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="replay this one, with its trace")
    parser.add_argument("--mutations", action="store_true", help="look for a seed that notices each mutation")
    parser.add_argument("--only", default="", help="the mutations with this in their name")
    arguments = parser.parse_args()
    if arguments.mutations:
        return _mutations(arguments.only)
    if arguments.seed is not None:
        return _one(arguments.seed)
    return _many(arguments.first, arguments.seeds)


if __name__ == "__main__":
    sys.exit(main())
