"""The ledger's data is what makes it, and its checker can fail."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from contracts.workqueue import parse_manifest
from examples.ledger import check as checker
from examples.ledger.check import Findings, check
from examples.ledger.handler import Ledger, parse
from examples.ledger.make_transfers import OUTPUT, lines
from examples.ledger.serial import Transfer, compute, read
from examples.ledger.show.display import sparkline
from examples.ledger.show.killing import descends
from examples.ledger.show.sending import shard

TRANSFERS = read(limit=300)
BUSY = "anna-000"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A ledger in which all is well."""
    path = tmp_path / "ledger.db"
    with contextlib.closing(Ledger(path)) as ledger:
        for one in TRANSFERS:
            ledger.transfer(f"k-{one.id}", one.id, one.account, one.to, one.cents)
    return path


def tampered(database: Path, *statements: str) -> Findings:
    """What the checker finds after somebody has been at the books."""
    with contextlib.closing(sqlite3.connect(database)) as books:
        for statement in statements:
            assert books.execute(statement).rowcount > 0, "the tampering changed nothing"
        books.commit()
    return check(database, TRANSFERS)


def kinds(findings: Findings) -> set[str]:
    """Which groups of findings are not empty."""
    names = ("missing", "doubled", "altered", "disordered", "unbalanced")
    return {name for name in names if getattr(findings, name)}


def test_the_file_is_what_its_maker_makes() -> None:
    assert "".join(lines()).encode() == OUTPUT.read_bytes()


def test_the_transfers_are_between_different_accounts_of_which_some_are_busy() -> None:
    transfers = read()
    order = compute(transfers).order
    assert (6000, 300, 6000) == (len(transfers), len(order), len({one.id for one in transfers}))
    assert all(one.account != one.to and one.cents > 0 for one in transfers)
    assert len(order[BUSY]) > 10 * len(transfers) / len(order)


def test_what_one_pays_another_gets() -> None:
    assert 0 == sum(compute(read()).balances.values())


def test_the_queue_is_a_valid_manifest() -> None:
    queue = parse_manifest(yaml.safe_load((OUTPUT.parent / "queue.yaml").read_text(encoding="utf-8")))
    assert ("ledger", 0, 4) == (queue.name, queue.spec.scaling.min_replicas, queue.spec.scaling.max_replicas)


def test_good_books_are_found_good(database: Path) -> None:
    findings = check(database, TRANSFERS)
    assert findings.ok
    assert findings.expected_checksum == findings.found_checksum
    assert (300, 300, 0) == (findings.transfers, findings.calls, findings.called_again)


def test_a_repeated_call_gets_the_first_answer_and_is_counted(database: Path) -> None:
    one = TRANSFERS[0]
    with contextlib.closing(Ledger(database)) as ledger:
        again = ledger.transfer(f"k-{one.id}", one.id, one.account, one.to, one.cents)
    assert {"id": one.id, "account": one.account, "n": 1, "balance": -one.cents} == again
    findings = check(database, TRANSFERS)
    assert ([], 301, 1) == (findings.problems, findings.calls, findings.called_again)


def test_a_second_effect_under_another_key_is_found(database: Path) -> None:
    one = TRANSFERS[0]
    with contextlib.closing(Ledger(database)) as ledger:
        ledger.transfer("another-key", one.id, one.account, one.to, one.cents)
    findings = check(database, TRANSFERS)
    assert [f"{one.id} was done 2 times"] == findings.doubled
    assert {"doubled", "disordered", "unbalanced"} == kinds(findings)


def test_a_transfer_that_is_missing_is_found(database: Path) -> None:
    findings = tampered(database, f"DELETE FROM entries WHERE transfer = '{TRANSFERS[-1].id}'")
    assert [f"{TRANSFERS[-1].id} was never done"] == findings.missing
    assert {"missing", "disordered"} == kinds(findings)


def test_two_transfers_in_the_wrong_order_are_found(database: Path) -> None:
    findings = tampered(database, f"UPDATE entries SET n = 3 - n WHERE account = '{BUSY}' AND n IN (1, 2)")
    assert {"disordered"} == kinds(findings)
    assert 1 == len(findings.disordered)


def test_a_gap_in_an_account_is_found(database: Path) -> None:
    findings = tampered(database, f"UPDATE entries SET n = n + 1 WHERE account = '{BUSY}'")
    assert {"disordered"} == kinds(findings)


def test_a_cent_too_much_is_found(database: Path) -> None:
    findings = tampered(database, f"UPDATE accounts SET balance = balance + 1 WHERE account = '{BUSY}'")
    assert {"unbalanced"} == kinds(findings)
    assert findings.expected_checksum != findings.found_checksum


def test_an_account_from_nowhere_is_found(database: Path) -> None:
    assert {"unbalanced"} == kinds(tampered(database, "INSERT INTO accounts VALUES ('nobody', 0, 0)"))


def test_money_that_went_elsewhere_is_found(database: Path) -> None:
    findings = tampered(database, f"UPDATE entries SET payee = 'thief' WHERE transfer = '{TRANSFERS[4].id}'")
    assert {"altered"} == kinds(findings)


@pytest.mark.parametrize(("sent", "expected"), [("300", 0), ("299", 1)])
def test_the_script_says_it_with_its_exit_code(
    database: Path, sent: str, expected: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["check.py", str(database), "--transfers", sent])
    assert expected == checker.main()
    assert ("✗" in capsys.readouterr().out) == (expected == 1)


def test_the_shares_keep_each_accounts_order() -> None:
    sent = [one for share in shard(TRANSFERS, 16) for one in share]
    assert sorted(one.id for one in TRANSFERS) == sorted(one.id for one in sent)
    assert compute(TRANSFERS).order == compute(sent).order


def test_no_account_is_shared() -> None:
    accounts = [{one.account for one in share} for share in shard(TRANSFERS, 16)]
    assert len(set().union(*accounts)) == sum(len(some) for some in accounts)


def test_a_transfer_is_read_from_a_message() -> None:
    one = Transfer("t-1", "zoë", "иван", 5, "☕")
    assert ("t-1", "zoë", "иван", 5) == parse(
        f'{{"id": "{one.id}", "account": "{one.account}", "to": "{one.to}", "cents": 5, "memo": "☕"}}'.encode()
    )
    with pytest.raises(ValueError, match="cents"):
        parse(b'{"id": "t-1", "account": "a", "to": "b", "cents": 1.5}')


@pytest.mark.parametrize(
    ("values", "expected"), [([], ""), ([0, 0], "··"), ([1, 4, 8, 0], "▁▄█·"), ([0, 9, 1, 1, 1, 0], "·█▁·")]
)
def test_a_row_of_bars(values: list[int], expected: str) -> None:
    assert expected == sparkline(values, 4)


def test_only_ones_own_offspring_may_be_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert descends(child.pid, os.getpid())
        assert not descends(os.getpid(), child.pid)
        assert not descends(child.pid, 2**22)
        child.communicate(b"\n")
    assert not descends(child.pid, os.getpid())
