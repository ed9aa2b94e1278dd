"""Makes ``transfers.ndjson``: always the same transfers, between accounts of which a few are busy.

    python examples/ledger/make_transfers.py

Only ``Random.random`` is used, since Python promises its numbers for a seed, and not those of its other methods.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

TRANSFERS = 6000
ACCOUNTS = 300
SEED = 20_240_607
SKEW = 2.0  # 1 would make all accounts equally busy
LARGEST_CENTS = 250_000
OUTPUT = Path(__file__).resolve().parent / "transfers.ndjson"

NAMES = ("anna", "björn", "chloé", "дмитрий", "ελένη", "fatma", "gül", "李雷", "иван", "josé", "さくら", "zoë")
MEMOS = (
    "rent",
    "Miete für Mai",
    "loyer, 2ᵉ étage",
    "คืนเงิน",
    "家賃 五月分",
    "за обед",
    "τόκοι",
    "café ☕",
    "🎁",
    "100% back",
    'the "blue" one',
    "مرتب",
    "a\tb",
    "",
)


def account(number: int) -> str:
    """The name of the account with this number, from 0 (the busiest) on."""
    return f"{NAMES[number % len(NAMES)]}-{number:03d}"


def lines() -> list[str]:
    """The whole file, a transfer a line."""
    draw = Random(SEED).random
    made = []
    for number in range(1, TRANSFERS + 1):
        source = int(ACCOUNTS * draw() ** SKEW)
        to = (source + 1 + int((ACCOUNTS - 1) * draw())) % ACCOUNTS
        transfer = {
            "id": f"t-{number:06d}",
            "account": account(source),
            "to": account(to),
            "cents": 1 + int(LARGEST_CENTS * draw() ** 3),
            "memo": MEMOS[int(len(MEMOS) * draw())],
        }
        made.append(json.dumps(transfer, ensure_ascii=False, separators=(",", ":")) + "\n")
    return made


if __name__ == "__main__":
    OUTPUT.write_bytes("".join(lines()).encode())
    print(f"{TRANSFERS} transfers between {ACCOUNTS} accounts in {OUTPUT}")
