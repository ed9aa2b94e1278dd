"""``kubedaemon apply``: queues from manifests."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kubedaemon.cli.calling import call
from kubedaemon.cli.output import data
from kubedaemon.cli.verb import Where, verb, where

if TYPE_CHECKING:
    from contracts.workqueue import WorkQueue


@verb(
    "kubedaemon apply -f queue.yaml",
    "kubedaemon apply -f queues.yaml -f more.yaml --namespace shop",
    "cat queue.yaml | kubedaemon apply -f -",
)
@click.option(
    "-f", "--file", "files", multiple=True, required=True, metavar="FILE", type=click.Path(path_type=Path),
    help="A manifest, or - for standard input; may be repeated, and hold several queues.",
)  # fmt: skip
def apply(files: tuple[Path, ...]) -> None:
    """Create or change queues from manifests.

    All manifests are checked before the first queue is touched.
    """
    from kubedaemon.dev.manifest import read_manifests

    here = where()
    found = read_manifests(files, namespace=here.namespace)
    named = dict(here.given).get("namespace")
    for workqueue in found:
        if named is not None and workqueue.namespace != named:
            raise click.UsageError(
                f"the manifest of queue {workqueue.name!r} is for namespace {workqueue.namespace!r},"
                f" and --namespace says {named!r}; leave one of them out."
            )
    answers = [_put(here, workqueue) for workqueue in found]
    if here.output != "table":
        data({"items": answers, "next": None}, here.output)


def _put(here: Where, workqueue: WorkQueue) -> dict[str, Any]:
    from contracts.workqueue import manifest_object

    there = dataclasses.replace(here, namespace=workqueue.namespace)
    answer = call(there, lambda client: client.put(workqueue.name, manifest_object(workqueue)))
    if here.output == "table":
        click.echo(f"queue {workqueue.name} is {'created' if answer.status == 201 else 'configured'}")
    return answer.json()
