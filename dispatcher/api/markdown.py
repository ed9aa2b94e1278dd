"""``docs/api.md`` from the OpenAPI document: ``python -m dispatcher.api.markdown`` writes it to standard output."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from contracts.problems import BASE, MEDIA_TYPE
from dispatcher.api.app import all_routes
from dispatcher.api.reference import document

_ABOUT = """# The HTTP API

Made by `scripts/reference` from `/openapi.json`, which every dispatcher serves, with a page for people at `/docs`.
Do not edit it: the words stand beside the routes, in `dispatcher/api/`.
"""


def as_markdown(api: dict[str, Any]) -> str:
    """The document as a page of Markdown, one heading an operation."""
    lines = [_ABOUT, api["info"]["description"], ""]
    operations = [(path, method, one) for path, item in api["paths"].items() for method, one in item.items()]
    for tag in api["tags"]:
        lines += [f"## {tag['name'].capitalize()}", "", tag["description"], ""]
        for path, method, operation in operations:
            if tag["name"] in operation["tags"]:
                lines += _operation(path, method, operation)
    lines += ["## Shapes", ""]
    for name, schema in sorted(api["components"]["schemas"].items()):
        lines += _shape(name, schema)
    return "\n".join(lines).rstrip() + "\n"


def _operation(path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    yield from (f"### {operation['summary']}", "", f"`{method.upper()} {path}`", "")
    if "description" in operation:
        yield from (operation["description"], "")
    if operation["security"] and {} not in operation["security"]:
        yield from ("Wants `Authorization: Bearer` with a token.", "")
    given = [one for one in operation["parameters"] if one["in"] != "path"]
    if given:
        yield from ("| parameter | in | type | says |", "|---|---|---|---|")
        yield from (_row(f"`{one['name']}`", one["in"], kind(one["schema"]), one["description"]) for one in given)
        yield ""
    if "requestBody" in operation:
        body = operation["requestBody"]
        yield from (f"Body: {_content(body['content'])}. {body['description']}".rstrip(), "")
        yield from _examples(body["content"])
    yield from ("| answer | |", "|---|---|")
    for status, answer in operation["responses"].items():
        yield _row(f"`{status}`", _told(answer))
    yield ""


def _told(answer: dict[str, Any]) -> str:
    content = dict(answer.get("content", {}))
    problem = content.pop(MEDIA_TYPE, None)
    if problem is None:
        return f"{answer['description']} {_content(content)}".rstrip()
    slugs = [one.removeprefix(BASE) for one in problem["schema"]["properties"]["type"]["enum"]]
    links = ", ".join(f"[{slug}](problems.md#{slug})" for slug in slugs)
    first = answer["description"].partition(" Or: ")[0]
    return f"{first} {_content(content)} Or {links}" if content else links


def _examples(content: dict[str, Any]) -> Iterator[str]:
    for media in content.values():
        if "example" in media:
            yield from ("```json", json.dumps(media["example"], ensure_ascii=False), "```", "")


def _content(content: dict[str, Any]) -> str:
    shapes = [f"`{media}`" + (f" ({kind(one['schema'])})" if "schema" in one else "") for media, one in content.items()]
    return ", ".join(shapes)


def _shape(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield from (f"### {name}", "")
    if "description" in schema:
        yield from (schema["description"].replace("``", "`"), "")
    needed = schema.get("required", [])
    yield from ("| member | type | |", "|---|---|---|")
    for member, one in schema["properties"].items():
        said = [] if member in needed else ["may be left out"]
        if not isinstance(one.get("default"), dict | None):
            said.append(f"default `{json.dumps(one['default'])}`")
        yield _row(f"`{member}`", kind(one), "; ".join(said))
    yield ""


def kind(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(kind(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(one)}`" for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {kind(schema.get('items', {}))}"
    words = [schema.get("format") or schema.get("type", "anything")]
    if "minimum" in schema or "maximum" in schema:
        words.append(f"{schema.get('minimum', '…')} to {schema.get('maximum', '…')}")
    if "exclusiveMinimum" in schema:
        words.append(f"more than {schema['exclusiveMinimum']}")
    if "pattern" in schema:
        words.append(f"`{schema['pattern']}`")
    return ", ".join(words)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    print(as_markdown(document(all_routes())), end="")
