"""Holds a ledger's books against the serial computation: was every transfer done once, whole and in its turn?

    python examples/ledger/check.py ledger.db [--transfers N]

Exits with 0 if so, with 1 if not.
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

if not __package__:  # run as a script: find this package from wherever that is
    sys.path[0] = str(Path(__file__).resolve().parents[2])
from examples.ledger.serial import Transfer, checksum, compute, read

SHOWN = 3


@dataclass(frozen=True, slots=True)
class Books:
    """What is in the database."""

    balances: dict[str, int]
    entries: list[tuple[str, str, int, str, int]]  # transfer, account, n, payee, cents; by account and n
    calls: Counter[str]  # by Idempotency-Key


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong, as sentences in groups that are empty when all is well; and the figures of a receipt."""

    missing: list[str]
    doubled: list[str]
    altered: list[str]
    disordered: list[str]
    unbalanced: list[str]
    transfers: int
    accounts: int
    calls: int
    called_again: int
    expected_checksum: str
    found_checksum: str

    @property
    def problems(self) -> list[str]:
        """Every finding."""
        return self.missing + self.doubled + self.altered + self.disordered + self.unbalanced

    @property
    def ok(self) -> bool:
        """Whether the books are exactly as if one hand had written them in order."""
        return not self.problems


def load(database: Path) -> Books:
    """Read the books of a ledger. Raises ``sqlite3.Error`` if there are none."""
    with contextlib.closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as books:
        return Books(
            dict(books.execute("SELECT account, balance FROM accounts")),
            books.execute("SELECT transfer, account, n, payee, cents FROM entries ORDER BY account, n").fetchall(),
            Counter(key for (key,) in books.execute("SELECT key FROM calls")),
        )


def compare(books: Books, transfers: Sequence[Transfer]) -> Findings:
    """Hold the books against the transfers done one after the other."""
    expected = compute(transfers)
    effects = Counter(transfer for transfer, *_ in books.entries)
    return Findings(
        missing=[f"{one.id} was never done" for one in transfers if one.id not in effects],
        doubled=[f"{transfer} was done {times} times" for transfer, times in effects.items() if times > 1],
        altered=_altered(books, transfers),
        disordered=_disordered(books, expected.order),
        unbalanced=_unbalanced(books.balances, expected.balances),
        transfers=len(transfers),
        accounts=len(expected.balances),
        calls=books.calls.total(),
        called_again=sum(times > 1 for times in books.calls.values()),
        expected_checksum=checksum(expected.balances),
        found_checksum=checksum(books.balances),
    )


def _altered(books: Books, transfers: Sequence[Transfer]) -> list[str]:
    asked = {one.id: (one.account, one.to, one.cents) for one in transfers}
    return [
        f"{transfer} is in the books as {account} → {payee}, {cents} cents; asked was {asked.get(transfer)}"
        for transfer, account, _, payee, cents in books.entries
        if asked.get(transfer) != (account, payee, cents)
    ]


def _disordered(books: Books, expected: dict[str, list[str]]) -> list[str]:
    found: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for transfer, account, n, _, _ in books.entries:
        found[account].append((n, transfer))
    return [
        f"{account}: its transfers are not in the file's order, without gaps, from 1 on"
        for account, order in expected.items()
        if found[account] != list(enumerate(order, start=1))
    ]


def _unbalanced(found: dict[str, int], expected: dict[str, int]) -> list[str]:
    return [
        f"{account} has {found.get(account)} cents, not {expected.get(account)}"
        for account in sorted(expected.keys() | found.keys())
        if found.get(account) != expected.get(account)
    ]


def check(database: Path, transfers: Sequence[Transfer]) -> Findings:
    """Compare the books in a database with the transfers that it should hold."""
    return compare(load(database), transfers)


def main() -> int:
    """Say what was found; 0 if all is well, 1 if not."""
    parser = argparse.ArgumentParser(description="Compare a ledger with the serial computation.")
    parser.add_argument("database", type=Path)
    parser.add_argument("--transfers", type=int, metavar="N", help="only the first N were sent")
    options = parser.parse_args()
    try:
        findings = check(options.database, read(limit=options.transfers))
    except sqlite3.Error as error:
        sys.exit(f"{options.database} cannot be read as a ledger: {error}")
    for group in fields(Findings)[:5]:
        found: list[str] = getattr(findings, group.name)
        print(f"{'✗' if found else '✓'} {group.name}: {len(found) or 'none'}")
        for sentence in found[:SHOWN]:
            print(f"    {sentence}")
    print(f"  {findings.transfers} transfers, {findings.accounts} accounts, {findings.calls} calls")
    print(f"  {findings.called_again} transfers were called more than once")
    print(f"  balances {findings.found_checksum}, serial {findings.expected_checksum}")
    return 0 if findings.ok else 1


if __name__ == "__main__":
    sys.exit(main())
