"""Which replica owns which partition: balanced, and moving as few partitions as possible."""

from __future__ import annotations

from collections.abc import Sequence


def assign(owners: Sequence[str | None], members: Sequence[str], partitions: int) -> tuple[str | None, ...]:
    """Owners of ``partitions`` partitions, given who owned them before and who lives now.

    Nobody owns more than one partition more than anybody else; a partition moves only where its owner is gone or
    has too many. The same input gives the same output, whoever computes it.
    """
    if not members:
        return (None,) * partitions
    low, more = divmod(partitions, len(members))
    before = [owners[p] if p < len(owners) else None for p in range(partitions)]
    counts = dict.fromkeys(sorted(members), 0)
    for owner in before:
        if owner in counts:
            counts[owner] += 1
    # Those who have the most keep the extra partitions, so that fewer move.
    ranked = sorted(counts, key=lambda member: (-counts[member], member))
    quota = {member: low + (place < more) for place, member in enumerate(ranked)}
    kept: list[str | None] = []
    for owner in before:
        if owner in quota and quota[owner] > 0:
            quota[owner] -= 1
            kept.append(owner)
        else:
            kept.append(None)
    free = [member for member in ranked for _ in range(quota[member])]
    return tuple(owner if owner is not None else free.pop(0) for owner in kept)


def standby(owner: str | None, members: Sequence[str], partition: int) -> str | None:
    """Who subscribes to the partition behind its owner; None where there is nobody else. Spread over all."""
    others = [member for member in sorted(members) if member != owner]
    return others[partition % len(others)] if others and owner is not None else None
