"""Changes to a queue's definition, and what is not allowed among them."""

from __future__ import annotations

from typing import Any

import msgspec

from contracts.problems import Problem, ProblemError
from contracts.workqueue import WorkQueue, manifest_object, parse_manifest


def read_manifest(manifest: object, namespace: str, queue: str) -> WorkQueue:
    """The queue that a PUT to this path defines. Raises ``ManifestError`` or ``ProblemError`` that name the field."""
    workqueue = parse_manifest(manifest, name=queue, namespace=namespace)
    if workqueue.namespace != namespace:
        raise _refused("metadata.namespace", f"expected {namespace!r}, as in the path, got {workqueue.namespace!r}")
    return workqueue


def patched(workqueue: WorkQueue, patch: object) -> WorkQueue:
    """The queue after a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        raise ProblemError(Problem.MALFORMED_REQUEST, 'the body: a merge patch is an object, such as {"spec": {…}}')
    wanted = read_manifest(merge(manifest_object(workqueue), patch), workqueue.namespace, workqueue.name)
    return msgspec.structs.replace(wanted, resumes=workqueue.resumes)


def paused(workqueue: WorkQueue, value: bool) -> WorkQueue:
    """The same queue, paused or not. To resume it also starts the replicas that halted by themselves."""
    spec = msgspec.structs.replace(workqueue.spec, paused=value)
    return msgspec.structs.replace(workqueue, spec=spec, resumes=workqueue.resumes + (not value))


def check_change(old: WorkQueue | None, new: WorkQueue) -> None:
    """Raises ``ProblemError`` 422 for a change that would tear sessions apart."""
    if old is not None and new.spec.partitions < old.spec.partitions:
        raise _refused(
            "spec.partitions",
            f"the queue has {old.spec.partitions}; they are only ever doubled, got {new.spec.partitions}",
        )


def merge(target: Any, patch: Any) -> Any:
    """RFC 7396: members of ``patch`` replace those of ``target``, null takes one away."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def _refused(field: str, problem: str) -> ProblemError:
    return ProblemError(Problem.NOT_ALLOWED, f"{field}: {problem}", field=field)
