"""What the transfers come to when they are done one after the other: the measure for everything else."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

TRANSFERS = Path(__file__).resolve().parent / "transfers.ndjson"


@dataclass(frozen=True, slots=True)
class Transfer:
    """So many cents from one account to another."""

    id: str
    account: str
    to: str
    cents: int
    memo: str


@dataclass(frozen=True, slots=True)
class Books:
    """Balances in cents (all begin at nought), and the ids of each account's own transfers in their order."""

    balances: dict[str, int]
    order: dict[str, list[str]]


def read(path: Path = TRANSFERS, limit: int | None = None) -> list[Transfer]:
    """The transfers of the file, in its order; the first ``limit`` of them."""
    with path.open(encoding="utf-8") as lines:
        return [Transfer(**json.loads(line)) for line in lines][:limit]


def compute(transfers: Iterable[Transfer]) -> Books:
    """Do them one after the other."""
    balances: defaultdict[str, int] = defaultdict(int)
    order: defaultdict[str, list[str]] = defaultdict(list)
    for transfer in transfers:
        balances[transfer.account] -= transfer.cents
        balances[transfer.to] += transfer.cents
        order[transfer.account].append(transfer.id)
    return Books(dict(balances), dict(order))


def checksum(balances: Mapping[str, int]) -> str:
    """A short name for exactly these balances."""
    text = "".join(f"{account} {cents}\n" for account, cents in sorted(balances.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
