"""What the documentation points to is there: pages, headings, files of the source."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, prose

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`[^`\n]+`")
NAMED_FILE = re.compile(r"`((?:docs|examples|scripts|tests)/[\w./-]*\w/?)`")


def anchors(path: Path) -> set[str]:
    """The names that the headings of a page get."""
    headings = re.findall(r"^#+ +(.+)$", prose(path.read_text()), re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}


def broken(page: Path) -> list[str]:
    """The links of a page to what is not there; what has a scheme lies outside and is not asked for."""
    found = []
    for target in LINK.findall(CODE.sub("", prose(page.read_text()))):
        place, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", place):
            continue
        path = page.parent / place if place else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            found.append(target)
    return found


def test_pages_are_found() -> None:
    assert {"README.md", "docs/handlers.md", "docs/decisions/README.md", "examples/go/README.md"} <= set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    assert [] == broken(ROOT / page)


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_are_there(page: str) -> None:
    named = NAMED_FILE.findall(prose((ROOT / page).read_text()))
    assert [] == [name for name in named if not (ROOT / name).exists()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a](gone.md)", ["gone.md"]),
        ("[a](#one)", []),
        ("[a](#two)", ["#two"]),
        ("[a](https://example.com/x)", []),
        ("[a](page.md#one)", []),
        ("```\n[a](gone.md)\n```", []),
        ("`[a](gone.md)`", []),
    ],
)
def test_a_broken_link_is_seen(text: str, expected: list[str], tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# One\n\n{text}\n")
    assert expected == broken(page)
