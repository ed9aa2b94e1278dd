"""What every verb is made of: options that may stand on either side of it, examples, and help in one order."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click

DEFAULT_URL = "http://127.0.0.1:8080"
DEFAULT_NAMESPACE = "default"
OUTPUTS = ("table", "json", "yaml")

_META = "kubedaemon.everywhere"
_EVERYWHERE = ("namespace", "url", "token", "output")


@dataclass(frozen=True)
class Where:
    """Which Kubedaemon is meant, and how answers are shown. ``given``: what stood on the command line itself."""

    url: str
    namespace: str
    token: str | None
    output: str
    given: tuple[tuple[str, str], ...] = ()

    def again(self, *words: str) -> str:
        """A command that can be pasted, to the same place as this one."""
        kept = [f"--{name}={value}" for name, value in self.given if name in ("namespace", "url")]
        return f"`kubedaemon {shlex.join([*words, *kept])}`"


def where() -> Where:
    """The options of every verb, as given before or after it; the environment fills in. Raises ``UsageError``."""
    given: dict[str, str] = click.get_current_context().meta.get(_META, {})
    url = given.get("url") or os.environ.get("KUBEDAEMON_URL") or DEFAULT_URL
    return Where(
        url=_check_url(url),
        namespace=_check_namespace(given.get("namespace", DEFAULT_NAMESPACE)),
        token=_check_token(given.get("token") or os.environ.get("KUBEDAEMON_TOKEN") or _token_file()),
        output=given.get("output", OUTPUTS[0]),
        given=tuple(given.items()),
    )


def refuse_everywhere(reasons: dict[str, str]) -> None:
    """For a verb to which these options mean nothing: says so, rather than ignore them."""
    for name, value in click.get_current_context().meta.get(_META, {}).items():
        if (name, value) != ("namespace", DEFAULT_NAMESPACE):
            raise click.UsageError(f"--{name}: {reasons[name]}.")


def _check_url(url: str) -> str:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:
        fine = False
    if not fine or " " in url or parts.query or parts.fragment:
        raise click.UsageError(f"--url: {url!r} is not an address; write http://HOST:PORT.")
    return url


def _check_namespace(namespace: str) -> str:
    from contracts.text import is_label

    if not is_label(namespace):
        raise click.UsageError(f"--namespace: {namespace!r}: use lower-case letters, digits and inner '-', at most 63.")
    return namespace


def _token_file() -> str | None:
    path = os.environ.get("KUBEDAEMON_TOKEN_FILE")
    if not path:
        return None
    try:
        return Path(path).read_text("utf-8").strip()
    except OSError as error:
        raise click.UsageError(f"KUBEDAEMON_TOKEN_FILE: {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise click.UsageError(
            f"KUBEDAEMON_TOKEN_FILE: {path} is not a text file; it holds the token alone."
        ) from error


def _check_token(token: str | None) -> str | None:
    if token and any(not 0x21 <= ord(character) <= 0x7E for character in token):
        raise click.UsageError("the token holds blanks or what is not ASCII; give the token alone, without 'Bearer'.")
    return token or None


def _keep(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.meta.setdefault(_META, {})[param.name] = value


def _options(hidden: bool) -> list[click.Parameter]:
    def option(name: str, text: str, **more: Any) -> click.Option:
        return click.Option([f"--{name}"], help=text, expose_value=False, callback=_keep, hidden=hidden, **more)

    return [
        option("namespace", f"Namespace of the queues.  [default: {DEFAULT_NAMESPACE}]", metavar="NAME"),
        option("url", f"Where Kubedaemon listens; or KUBEDAEMON_URL.  [default: {DEFAULT_URL}]", metavar="URL"),
        option("token", "Bearer token; or KUBEDAEMON_TOKEN, KUBEDAEMON_TOKEN_FILE.", metavar="TOKEN"),
        option("output", "How answers are shown.  [default: table]", type=click.Choice(OUTPUTS)),
    ]


class Verb(click.Command):
    """A command with the options of every verb, and with examples that can be pasted.

    ``local``: it asks no server, so that these options mean nothing to it; its help does not show them.
    """

    def __init__(self, *args: Any, examples: Sequence[str] = (), local: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.context_settings.setdefault("help_option_names", ["-h", "--help"])
        self.examples = tuple(examples)
        self.params.extend(_options(hidden=local))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples first, then what is this verb's own, then what goes everywhere."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}{example}\n")
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)
        own: list[tuple[str, str]] = []
        shared: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                (shared if param.name in _EVERYWHERE else own).append(record)
        for title, records in (("Options", own), ("Options of every verb, before or after it", shared)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class Family(Verb, click.Group):
    """A verb with verbs of its own, in the order in which they were added."""

    command_class = Verb

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, subcommand_metavar="VERB …", **kwargs)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, names = args[0], self.list_commands(ctx)
        if not name.startswith("-") and name not in names and not ctx.resilient_parsing:
            near = get_close_matches(name, names, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}."
            raise click.UsageError(f"there is no verb {name!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, self.purpose(ctx, name)) for name in self.list_commands(ctx)])

    def purpose(self, ctx: click.Context, name: str) -> str:
        command = self.get_command(ctx, name)
        return command.get_short_help_str(100) if command is not None else ""


def verb(*examples: str, local: bool = False) -> Callable[[Callable[..., Any]], Verb]:
    """Makes a verb of a function; its docstring is the help."""
    return click.command(cls=Verb, examples=examples, local=local)


def _check_queue(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    from contracts.text import MAX_QUEUE_NAME, is_label

    if value is not None and not is_label(value, MAX_QUEUE_NAME):
        raise click.UsageError(
            f"QUEUE: {value!r} cannot be a queue's name: lower-case letters, digits and inner '-',"
            f" at most {MAX_QUEUE_NAME}."
        )
    return value


def queue_argument(required: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """QUEUE, checked before anything is asked of a server."""
    return click.argument("queue", required=required, callback=_check_queue)
