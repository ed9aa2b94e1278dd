"""What ``mkdocs.yml`` cannot say: the first page and the order of the others. A page that is not named here comes last."""

from __future__ import annotations

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
ORDER = {
    "Start": ["README", "index", "quickstart"],
    "Write a handler": ["handlers", "callbacks", "auth"],
    "Rely on it": ["guarantees", "durability", "problems"],
    "Look it up": ["api", "cli", "settings", "protocol", "glossary"],
    "Understand it": ["architecture", "simulation"],
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Names the pages that are there, so that a new one needs no change here."""
    docs = Path(config.docs_dir)
    there = {path.stem for path in docs.glob("*.md")}
    if "README" not in there:
        there.add("index")
    nav: list[dict[str, list[str]]] = []
    for title, names in ORDER.items():
        pages = [f"{name}.md" for name in names if name in there]
        nav += [{title: pages}] if pages else []
    named = {name for names in ORDER.values() for name in names}
    others = [f"{name}.md" for name in sorted(there - named)]
    nav += [{"More": others}] if others else []
    decisions = sorted(path.relative_to(docs).as_posix() for path in docs.glob("decisions/*.md"))
    decisions.sort(key=lambda path: not path.endswith("README.md"))
    config.nav = [*nav, {"Decisions": decisions}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Without a first page of its own the site opens with the README of the project."""
    if files.get_file_from_path("README.md") is None:
        opening = (ROOT / "README.md").read_text().replace("](docs/", "](")
        files.append(File.generated(config, "index.md", content=opening))
    return files
