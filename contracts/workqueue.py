"""The WorkQueue resource: its shape, defaults and limits, and errors that name the field."""

from __future__ import annotations

import re
from difflib import get_close_matches
from reprlib import Repr
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from contracts.errors import PermanentError
from contracts.text import MAX_QUEUE_NAME, is_label, printable

API_VERSION: Final = "kubedaemon.io/v1alpha1"
KIND: Final = "WorkQueue"

Seconds = Annotated[float, Meta(gt=0, le=31_536_000)]
SecondsOrZero = Annotated[float, Meta(ge=0, le=31_536_000)]
Partitions = Literal[1, 2, 4, 8, 16, 32, 64, 128, 256]


class Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A part of a spec: camelCase outside, frozen, and what it does not know is refused."""


class Sessions(Part, frozen=True):
    max_concurrent: Annotated[int, Meta(ge=1, le=100_000)] = 64
    concurrency_per_replica: Annotated[int, Meta(ge=1, le=10_000)] = 8
    state_ttl_seconds: Seconds = 604_800


class Backoff(Part, frozen=True):
    initial_seconds: Seconds = 1
    max_seconds: Seconds = 300
    multiplier: Annotated[float, Meta(ge=1, le=100)] = 2


class DeliveryPolicy(Part, frozen=True):
    timeout_seconds: Seconds = 60
    heartbeat_timeout_seconds: Seconds = 60
    init_timeout_seconds: Seconds = 120
    max_attempts: Annotated[int, Meta(ge=1, le=1000)] = 5
    max_interruptions: Annotated[int, Meta(ge=0, le=1000)] = 20
    on_dead: Literal["continue", "block"] = "continue"
    backoff: Backoff = Backoff()


class Deduplication(Part, frozen=True):
    window_seconds: SecondsOrZero = 600


class Results(Part, frozen=True):
    retention_seconds: SecondsOrZero = 3600


class Limits(Part, frozen=True):
    max_length: Annotated[int, Meta(ge=0)] = 0
    max_message_bytes: Annotated[int, Meta(ge=1, le=134_217_728)] = 1_048_576
    rate_per_second: Annotated[float, Meta(ge=0)] = 0


class Scaling(Part, frozen=True):
    """``max_replicas`` left out is 8, or the number of partitions where that is smaller."""

    min_replicas: Annotated[int, Meta(ge=0, le=256)] = 0
    max_replicas: Annotated[int, Meta(ge=1, le=256)] = 8
    target_delay_seconds: Seconds = 10
    idle_seconds: SecondsOrZero = 60


class Spec(Part, frozen=True):
    partitions: Partitions = 8
    sessions: Sessions = Sessions()
    delivery: DeliveryPolicy = DeliveryPolicy()
    deduplication: Deduplication = Deduplication()
    results: Results = Results()
    limits: Limits = Limits()
    scaling: Scaling = Scaling()
    paused: bool = False
    template: dict[str, Any] | None = None


class WorkQueue(msgspec.Struct, frozen=True, kw_only=True):
    """A queue in a namespace, as its owner wants it. ``resumes`` counts its resumptions: each starts halted replicas.

    ``older`` are the sizes of its sets of partitions that are not known to be empty yet, from the smallest; the newest
    set has ``spec.partitions``. It is kept by whoever sees to the broker, and no part of the manifest.
    """

    name: str
    namespace: str = "default"
    spec: Spec = Spec()
    resumes: int = 0
    older: tuple[int, ...] = ()


class ManifestError(PermanentError):
    """A manifest that cannot be a WorkQueue. ``path`` are the keys that lead to the place, ``problem`` says why."""

    def __init__(self, path: tuple[str, ...], problem: str) -> None:
        super().__init__(f"{printable('.'.join(path)) or 'the manifest'}: {problem}")
        self.path = path
        self.problem = problem


def spec_object(spec: Spec) -> dict[str, Any]:
    """The spec as a JSON-like object, every default written out; without ``template`` where there is none."""
    built: dict[str, Any] = msgspec.to_builtins(spec)
    if built["template"] is None:
        del built["template"]
    return built


def manifest_object(workqueue: WorkQueue) -> dict[str, Any]:
    """The whole resource as a JSON-like object, the inverse of ``parse_manifest``."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": workqueue.name, "namespace": workqueue.namespace},
        "spec": spec_object(workqueue.spec),
    }


def parse_manifest(manifest: object, *, name: str | None = None, namespace: str = "default") -> WorkQueue:
    """A WorkQueue from a decoded YAML or JSON document.

    ``name`` and ``namespace`` are what the caller expects or assumes; where the manifest names others than the
    expected name, and wherever it is wrong, ``ManifestError`` names the field and says what is allowed.
    """
    if not isinstance(manifest, dict):
        raise ManifestError((), f"expected a mapping with apiVersion, kind, metadata and spec, got {_kind(manifest)}")
    _only(manifest, ("apiVersion", "kind", "metadata", "spec", "status"), ())
    for key, expected in (("apiVersion", API_VERSION), ("kind", KIND)):
        if manifest.get(key, expected if name else None) != expected:
            got = _shown(manifest[key]) if key in manifest else "nothing"
            raise ManifestError((key,), f"expected {expected}, got {got}")
    metadata = manifest.get("metadata")
    metadata = {} if metadata is None else metadata
    if not isinstance(metadata, dict):
        raise ManifestError(("metadata",), f"expected a mapping, got {_kind(metadata)}")
    found = metadata.get("name", name)
    if not isinstance(found, str) or not is_label(found, MAX_QUEUE_NAME):
        raise ManifestError(
            ("metadata", "name"),
            f"expected lower-case letters, digits and inner '-', at most {MAX_QUEUE_NAME} characters, got {_shown(found)}",
        )
    if name is not None and found != name:
        raise ManifestError(("metadata", "name"), f"expected {name!r}, as in the path, got {_shown(found)}")
    where = metadata.get("namespace", namespace)
    if not isinstance(where, str) or not is_label(where):
        raise ManifestError(
            ("metadata", "namespace"), f"expected a DNS label of at most 63 characters, got {_shown(where)}"
        )
    return WorkQueue(name=found, namespace=where, spec=parse_spec(manifest.get("spec")))


def parse_spec(value: object) -> Spec:
    """The ``spec`` of a manifest; None is all defaults. Raises ``ManifestError`` with a path that begins at spec."""
    given = {} if value is None else value
    try:
        spec = msgspec.convert(given, Spec)
    except msgspec.ValidationError as error:
        raise _located(str(error), given) from error
    return _consistent(spec, given)


def _consistent(spec: Spec, given: Any) -> Spec:
    scaling = spec.scaling
    if "maxReplicas" not in (given.get("scaling") or {}):
        scaling = msgspec.structs.replace(scaling, max_replicas=min(scaling.max_replicas, spec.partitions))
        spec = msgspec.structs.replace(spec, scaling=scaling)
    at = ("spec", "scaling")
    if scaling.max_replicas > spec.partitions:
        raise ManifestError(
            (*at, "maxReplicas"),
            f"at most spec.partitions, which is {spec.partitions}, got {scaling.max_replicas}; raise spec.partitions",
        )
    if scaling.min_replicas > scaling.max_replicas:
        raise ManifestError(
            (*at, "minReplicas"), f"at most maxReplicas, which is {scaling.max_replicas}, got {scaling.min_replicas}"
        )
    backoff = spec.delivery.backoff
    if backoff.initial_seconds > backoff.max_seconds:
        raise ManifestError(
            ("spec", "delivery", "backoff", "initialSeconds"), f"at most maxSeconds, which is {backoff.max_seconds:g}"
        )
    return spec


_PLACE = re.compile(r"(?P<problem>.*?)(?: - at `\$(?P<path>[^`]*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>.*)`", re.DOTALL)


def _located(text: str, given: Any) -> ManifestError:
    """The decoder's error, told with the path from ``spec`` on and with what is allowed there."""
    match = _PLACE.fullmatch(text)
    problem, dotted = (match["problem"], match["path"] or "") if match else (text, "")
    inner = [key for key in dotted.split(".") if key]
    path = ("spec", *inner)
    unknown = _UNKNOWN.fullmatch(problem)
    if unknown is not None:
        allowed = _fields(inner)
        near = get_close_matches(unknown["field"], allowed, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return ManifestError((*path, unknown["field"]), f"unknown field; {hint}allowed: {', '.join(allowed)}")
    value = given
    for key in inner:
        value = value.get(key) if isinstance(value, dict) else None
    if problem.startswith("Invalid enum value"):
        problem = f"Expected one of {', '.join(_choices(inner))}"
    problem = re.sub(r", got `.*`$", "", problem).replace("`", "")
    return ManifestError(path, f"{problem[:1].lower()}{problem[1:]}, got {_shown(value)}")


_repr = Repr()
_repr.maxlevel, _repr.maxstring, _repr.maxother = 2, 80, 80


def _shown(value: object) -> str:
    """What was given, cut: a manifest may hold much, and with aliases more than memory."""
    try:
        return _repr.repr(value)
    except ValueError:
        return "a number of more digits than can be shown"


def _type_at(path: list[str]) -> Any:
    found: Any = Spec
    for key in path:
        field = next((f for f in msgspec.structs.fields(found) if f.encode_name == key), None)
        if field is None:
            return None
        found = field.type
    return found


def _fields(path: list[str]) -> list[str]:
    found = _type_at(path)
    return [field.encode_name for field in msgspec.structs.fields(found)] if found is not None else []


def _choices(path: list[str]) -> list[str]:
    return [str(choice) for choice in getattr(_type_at(path), "__args__", ())]


def _only(mapping: dict[str, Any], allowed: tuple[str, ...], path: tuple[str, ...]) -> None:
    for key in mapping:
        if key not in allowed:
            raise ManifestError((*path, str(key)), f"unknown field; allowed: {', '.join(allowed)}")


def _kind(value: object) -> str:
    return {list: "a list", str: "a string", type(None): "nothing"}.get(type(value), type(value).__name__)
