"""What people see: words and numbers, tables that fit, and the live board."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from contracts.timestamps import format_time
from kubedaemon.display import views
from kubedaemon.display.live import HISTORY_SECONDS, Board, History
from kubedaemon.display.tables import Column, fit
from kubedaemon.display.text import ago, between, clean, number, rate, size, span, sparkline


def drawn(what: RenderableType, width: int = 200, color: bool = False) -> str:
    """As it would be printed."""
    file = io.StringIO()
    Console(file=file, width=width, force_terminal=color, color_system="standard" if color else None).print(what)
    return file.getvalue()


def queue(name: str = "words", **status: Any) -> dict[str, Any]:
    numbers: dict[str, Any] = {
        "ready": 1200,
        "unacked": 12,
        "in_flight": 8,
        "dead": 0,
        "sessions": 12,
        "oldest_age_seconds": 4.2,
        "rates": {"arrivals_per_second": 31, "settled_per_second": 29.5},
        "replicas": {"observed": 2, "desired": 2},
        "paused": False,
        "reason": "all is well",
    }
    return {"name": name, "namespace": "default", "status": numbers | status}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain zoë 日本", "plain zoë 日本"),
        ("one\ntwo\r\n  three\n", "one two three"),
        ("  kept  ", "  kept  "),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\u202eright to left", "\\u202eright to left"),
        ("\udcff", "\\udcff"),
        (None, "None"),
    ],
)
def test_text_from_outside_cannot_act_on_a_terminal(text: object, expected: str) -> None:
    assert expected == clean(text)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "-"),
        (-3, "0ms"),
        (0.25, "250ms"),
        (0.9999, "1.0s"),
        (4.2, "4.2s"),
        (9.97, "10s"),
        (59.4, "59s"),
        (59.7, "1m"),
        (185, "3m 5s"),
        (7800, "2h 10m"),
        (86400 * 4 + 3600 * 3, "4d 3h"),
    ],
)
def test_spans(seconds: float | None, expected: str) -> None:
    assert expected == span(seconds)


def test_numbers_rates_and_sizes() -> None:
    assert ["1,204", "-", "-"] == [number(1204), number(None), number("x")]
    assert ["0", "0.31", "4.2", "42.0", "1,204", "-"] == [rate(x) for x in (0, 0.31, 4.2, 42, 1204.4, None)]
    assert ["1 byte", "17 bytes", "1.5 KiB", "3.0 MiB", "-"] == [size(x) for x in (1, 17, 1536, 3 << 20, None)]


def test_times() -> None:
    assert "5m" == ago(format_time(time.time() - 300))
    assert ["-", "-"] == [ago(None), ago("yesterday")]
    assert "1.5s" == between("2026-01-02T03:04:05Z", "2026-01-02T03:04:06.500Z")


def test_sparklines() -> None:
    assert "▁▄█" == sparkline([1, 4, 9], 3)
    assert " █" == sparkline([7, 0, 3], 2)
    assert "" == sparkline([], 5) == sparkline([1], 0)
    assert "   " == sparkline([0, 0, 0], 3)


COLUMNS = (Column("NAME", least=6), Column("COUNT", right=True), Column("LESS", keep=3), Column("WHY", keep=5, least=5))
ROWS = [["a-long-name", "1", "x", "because of everything"], ["日本", "20", "y", ""]]


def test_a_table_with_room_shows_everything() -> None:
    expected = [
        "NAME         COUNT  LESS  WHY",
        "a-long-name      1  x     because of everything",
        "日本            20  y",
    ]
    assert expected == [line.rstrip() for line in drawn(fit(COLUMNS, ROWS, 200)).splitlines()]


@pytest.mark.parametrize("width", range(1, 60))
def test_a_table_never_exceeds_its_width_and_keeps_the_first_column(width: int) -> None:
    lines = drawn(fit(COLUMNS, ROWS, width), width).splitlines()
    assert 3 == len(lines)
    assert all(cell_len(line) <= width for line in lines)
    assert lines[0].startswith("NAME"[: max(width - 1, 0)])


def test_what_matters_least_goes_first() -> None:
    def heads(width: int) -> list[str]:
        return drawn(fit(COLUMNS, ROWS, width)).splitlines()[0].split()

    assert ["NAME", "COUNT", "LESS", "WHY"] == heads(26)
    assert ["NAME", "COUNT", "WHY"] == heads(25)
    assert ["NAME", "COUNT"] == heads(18)
    assert ["NAME"] == heads(8)


def test_markup_in_names_is_text() -> None:
    assert "[red]x[/red]" in drawn(views.queues([queue("[red]x[/red]")], 200))


def test_colours_are_few_and_mean_something() -> None:
    calm = drawn(views.queues([queue()], 200), color=True)
    assert not any(f"\x1b[{code}m" in calm for code in (31, 32, 33, 34, 35, 36))
    alarm = drawn(views.queues([queue(dead=3, paused=True, replicas={"observed": 1, "desired": 4})], 200), color=True)
    assert all(f"\x1b[{code}m" in alarm for code in (31, 33, 36))


def test_what_a_server_leaves_out_is_a_dash() -> None:
    bare: dict[str, Any] = {"name": "words"}
    assert ["words", "-", "-", "-", "-", "-/-", "-", "no"] == drawn(views.queues([bare], 200)).splitlines()[1].split()
    for what in (
        views.queue(bare),
        views.message({"id": "x"}, 80),
        views.sessions([{}], 80),
        views.dead_letters([{}], 80),
    ):
        assert "-" in drawn(what)


def test_history_keeps_the_highest_of_each_second_and_fills_gaps() -> None:
    history = History()
    for now, value in ((10.0, 1), (10.25, 8), (10.5, 2), (11.0, 4), (14.2, 8)):
        history.add(now, value)
    assert "█▄▄▄█" == history.bars(60)
    history.add(10_000.0, 8)
    assert HISTORY_SECONDS == len(history.bars(1000))


def frame(board: Board, width: int, height: int) -> list[str]:
    return [line.rstrip() for line in drawn(board.frame(width, height), width).splitlines()]


def test_the_board_of_all_queues() -> None:
    board = Board("namespace default")
    board.update([queue(ready=0, in_flight=0), queue("mails", paused=True)], now=1.0)
    board.update([queue(ready=100, in_flight=0), queue("mails", paused=True)], now=2.0)
    head, _, titles, words, mails = frame(board, 140, 24)
    assert head.startswith("kubedaemon  namespace default")
    assert head.endswith("q quits")
    assert titles.split()[:2] == ["NAME", "BACKLOG"]
    assert "█" in words
    assert words.endswith("all is well")
    assert mails.endswith("paused")


@pytest.mark.parametrize("queue_name", [None, "words"])
@pytest.mark.parametrize(("width", "height"), [(20, 5), (40, 10), (60, 24), (80, 24), (160, 50)])
def test_the_board_fits_every_terminal(queue_name: str | None, width: int, height: int) -> None:
    board = Board("namespace default  http://127.0.0.1:8080", queue_name)
    held = [
        {"session": f"s-{n}", "replica": "words-1", "message_id": "m", "since": None, "waiting": n} for n in range(99)
    ]
    items = [queue()] if queue_name else [queue(f"queue-{n}") for n in range(99)]
    board.update(items, held if queue_name else (), now=1.0)
    lines = frame(board, width, height)
    assert all(cell_len(line) <= width for line in lines)
    assert len(lines) <= max(height, 11)
    if queue_name is None:
        assert lines[-1].startswith("and ")


def test_the_board_of_one_queue_shows_its_sessions() -> None:
    board = Board("queue words", "words")
    held = {"session": "zoë", "replica": "words-1", "message_id": "m", "since": None, "waiting": 2}
    board.update([queue(paused=True)], [held], now=1.0)
    shown = "\n".join(frame(board, 100, 30))
    for part in ("1,204 waiting, 8 in flight", "31.0/s", "2 observed, 2 desired", "paused; all is well", "zoë"):
        assert part in shown


def test_a_long_reason_is_cut_and_pushes_nothing_away() -> None:
    board = Board("queue words", "words")
    board.update([queue(reason="because " * 40)], now=1.0)
    lines = frame(board, 60, 24)
    assert ["oldest", "dead", "reason"] == [line.split()[0] for line in lines[-3:]]
    assert lines[-1].endswith("…")


def test_trouble_takes_the_place_of_the_title_until_there_is_news() -> None:
    board = Board("namespace default")
    board.update([queue()], now=1.0)
    board.trouble = "no answer from http://127.0.0.1:8080; trying again"
    lines = frame(board, 80, 24)
    assert lines[0].endswith(board.trouble)
    assert any(line.startswith("words") for line in lines)
    board.update([queue()], now=2.0)
    assert frame(board, 80, 24)[0].endswith("q quits")


def test_a_namespace_without_queues_says_what_to_do() -> None:
    board = Board("namespace default")
    board.update([], now=1.0)
    assert "no queues here yet; make one with `kubedaemon apply -f queue.yaml`" == frame(board, 80, 24)[-1]
