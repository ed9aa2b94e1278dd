"""Queues over HTTP: making, changing, pausing, deleting them, and their live numbers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import pytest

from contracts.records import Report, Scale
from contracts.workqueue import Spec, spec_object
from tests.system.api_scene import QUEUE, Api, Worker, running


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running() as api:
        yield api


async def test_put_makes_a_queue_and_then_changes_it(api: Api) -> None:
    path = "/v1/namespaces/default/queues/new"
    made = await api.call("PUT", path, json={})
    assert (201, "new", "default", spec_object(Spec())) == (
        made.status,
        made.json["name"],
        made.json["namespace"],
        made.json["spec"],
    )
    changed = await api.call("PUT", path, json={"spec": {"partitions": 16, "delivery": {"maxAttempts": 9}}})
    assert (200, 16, 9) == (
        changed.status,
        changed.json["spec"]["partitions"],
        changed.json["spec"]["delivery"]["maxAttempts"],
    )
    assert changed.json["spec"] == (await api.call("GET", path)).json["spec"]
    assert 202 == (await api.call("POST", f"{path}/messages", data=b"x")).status


async def test_put_takes_the_whole_manifest(api: Api) -> None:
    manifest = {
        "apiVersion": "kubedaemon.io/v1alpha1",
        "kind": "WorkQueue",
        "metadata": {"name": "whole", "namespace": "team-a"},
        "spec": {"template": {"spec": {"containers": [{"image": "x"}]}}},
    }
    reply = await api.call("PUT", "/v1/namespaces/team-a/queues/whole", json=manifest)
    assert (201, "team-a", manifest["spec"]) == (
        reply.status,
        reply.json["namespace"],
        {"template": reply.json["spec"]["template"]},
    )
    assert ["whole"] == [item["name"] for item in (await api.call("GET", "/v1/namespaces/team-a/queues")).json["items"]]


@pytest.mark.parametrize(
    ("manifest", "field"),
    [
        ({"spec": {"partitions": 3}}, "spec.partitions"),
        ({"spec": {"partitions": "eight"}}, "spec.partitions"),
        ({"spec": {"delivery": {"maxAttempt": 3}}}, "spec.delivery.maxAttempt"),
        ({"spec": {"delivery": {"maxAttempts": 0}}}, "spec.delivery.maxAttempts"),
        ({"kind": "Deployment"}, "kind"),
        ({"metadata": {"name": "other"}}, "metadata.name"),
        ({"metadata": {"namespace": "other"}}, "metadata.namespace"),
        ({"metadata": 0}, "metadata"),
        ([], ""),
    ],
)
async def test_a_wrong_manifest_names_the_field(api: Api, manifest: Any, field: str) -> None:
    reply = await api.call("PUT", "/v1/namespaces/default/queues/new", json=manifest)
    assert (422, "not-allowed", field) == (reply.status, reply.problem, reply.json["field"])
    assert 404 == (await api.call("GET", "/v1/namespaces/default/queues/new")).status


async def test_a_name_that_no_queue_may_have_is_refused(api: Api) -> None:
    for path in ("default/queues/Upper", f"default/queues/{'x' * 53}", "No_Label/queues/fine"):
        reply = await api.call("PUT", f"/v1/namespaces/{path}", json={})
        assert (422, "not-allowed") == (reply.status, reply.problem)


@pytest.mark.parametrize(
    ("body", "line", "column"),
    [
        (b'{"spec": {\n  "partitions": }}', 2, 17),
        (b'{"spec": ', 1, 10),
        (b"", 1, 1),
        (b"spec:\n  partitions: 8\n", 1, 1),
        (b'{"a": "\xff"}', 1, 8),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_body_that_is_not_json_names_the_place(
    api: Api, method: str, body: bytes, line: int, column: int
) -> None:
    reply = await api.call(method, "", data=body)
    assert (400, "malformed-request", line, column) == (
        reply.status,
        reply.problem,
        reply.json["line"],
        reply.json["column"],
    )
    assert f"line {line}, column {column}" in reply.json["detail"]


async def test_json_that_is_nested_too_deep_is_refused(api: Api) -> None:
    for depth in (100, 100_000):
        reply = await api.call("PUT", "", data=b'{"spec": ' * depth + b"1" + b"}" * depth)
        assert (400, "malformed-request") == (reply.status, reply.problem)


async def test_a_manifest_has_a_largest_size(api: Api) -> None:
    reply = await api.call("PUT", "", data=BytesIO(b" " * (1024 * 1024 + 1)))
    assert (413, "payload-too-large") == (reply.status, reply.problem)


async def test_patch_is_a_merge_patch(api: Api) -> None:
    await api.make(delivery={"maxAttempts": 9, "timeoutSeconds": 5})
    patch = {"spec": {"delivery": {"maxAttempts": None}, "limits": {"maxLength": 7}}}
    reply = await api.call("PATCH", "", json=patch, headers={"Content-Type": "application/merge-patch+json"})
    spec = reply.json["spec"]
    assert (200, 5, 5, 7) == (
        reply.status,
        spec["delivery"]["maxAttempts"],
        spec["delivery"]["timeoutSeconds"],
        spec["limits"]["maxLength"],
    )
    assert spec == (await api.call("GET", "")).json["spec"]


@pytest.mark.parametrize(
    ("patch", "status", "problem"),
    [
        ([], 400, "malformed-request"),
        ({"spec": {"partitons": 2}}, 422, "not-allowed"),
        ({"metadata": {"name": "renamed"}}, 422, "not-allowed"),
        ({"spec": 3}, 422, "not-allowed"),
    ],
)
async def test_a_wrong_patch_changes_nothing(api: Api, patch: Any, status: int, problem: str) -> None:
    before = (await api.call("GET", "")).json["spec"]
    reply = await api.call("PATCH", "", json=patch)
    assert (status, problem) == (reply.status, reply.problem)
    assert before == (await api.call("GET", "")).json["spec"]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_partitions_are_only_ever_doubled(api: Api, method: str) -> None:
    assert 200 == (await api.call(method, "", json={"spec": {"partitions": 4}})).status
    reply = await api.call(method, "", json={"spec": {"partitions": 2}})
    assert (422, "not-allowed", "spec.partitions") == (reply.status, reply.problem, reply.json["field"])
    assert 4 == (await api.call("GET", "")).json["spec"]["partitions"]


async def test_delete_spares_messages_unless_it_is_forced(api: Api) -> None:
    await api.send()
    reply = await api.call("DELETE", "")
    assert (409, "conflict", 1) == (reply.status, reply.problem, reply.json["waiting"])
    Worker(api)
    assert 409 == (await api.call("DELETE", "")).status
    assert 204 == (await api.call("DELETE", "?force=true")).status
    assert (404, "unknown-queue") == ((gone := await api.call("GET", "")).status, gone.problem)
    assert 404 == (await api.call("DELETE", "")).status


async def test_a_queue_made_again_knows_nothing_of_the_old(api: Api) -> None:
    message_id = await api.send()
    await api.call("DELETE", "?force=true")
    await api.make()
    assert 404 == (await api.call("GET", f"messages/{message_id}")).status
    assert 0 == (await api.call("GET", "")).json["status"]["ready"]


async def test_force_is_true_or_false(api: Api) -> None:
    reply = await api.call("DELETE", "?force=yes")
    assert (400, "malformed-request", "force") == (reply.status, reply.problem, reply.json["parameter"])


async def test_pause_and_resume_set_the_definition(api: Api) -> None:
    paused = await api.call("POST", "pause")
    assert (200, True, True) == (paused.status, paused.json["spec"]["paused"], paused.json["status"]["paused"])
    await api.send()
    resumed = await api.call("POST", "resume")
    assert (200, False, 1) == (resumed.status, resumed.json["spec"]["paused"], resumed.json["status"]["ready"])
    found = await api.store.get("default", "orders")
    assert found is not None
    assert not found.spec.paused


async def test_every_resumption_counts_whether_it_was_paused_or_not(api: Api) -> None:
    for expected in (1, 2):
        await api.call("POST", "resume")
        found = await api.store.get("default", "orders")
        assert found is not None
        assert expected == found.resumes
    for method in ("PUT", "PATCH"):
        await api.call(method, "", json={"spec": {"partitions": 1}})
        found = await api.store.get("default", "orders")
        assert found is not None
        assert 2 == found.resumes, "a new definition is no resumption, and forgets none"


async def test_delete_spares_what_is_unacked_and_what_is_scheduled(api: Api) -> None:
    worker = Worker(api)
    await api.send()
    await api.send(Kubedaemon_Delay="1h")
    await worker.start()
    refused = await api.call("DELETE", "")
    assert (409, "conflict", 2) == (refused.status, refused.problem, refused.json["waiting"])
    assert "1 of them for their time" in refused.json["detail"]


async def test_the_numbers_are_live(api: Api) -> None:
    worker = Worker(api)
    began = api.clock
    await api.send(Kubedaemon_Session="a")
    delivered = await worker.start()
    worker.stop()
    api.clock += 5
    await api.send()
    await worker.report(
        Report(ready=True, running=1, lanes=3, oldest_enqueued_at=began - 2, reason="the handler is slow")
    )
    await api.store.put_scale(
        "default", "orders", Scale(observed=1, desired=2, reason="backlog", arrivals_per_second=0.5)
    )
    status = (await api.call("GET", "")).json["status"]
    assert delivered.message.session == "a"
    assert {
        "ready": 2,
        "unacked": 0,
        "in_flight": 1,
        "scheduled": 0,
        "dead": 0,
        "sessions": 3,
        "oldest_age_seconds": 7.0,
        "rates": {"arrivals_per_second": 0.5, "settled_per_second": 0.0},
        "replicas": {"observed": 1, "desired": 2},
        "paused": False,
        "reason": "backlog; the handler is slow",
    } == status


async def test_an_empty_queue_knows_no_oldest_age(api: Api) -> None:
    assert (await api.call("GET", "")).json["status"]["oldest_age_seconds"] is None


async def test_queues_are_listed_by_name_in_pages(api: Api) -> None:
    for name in ("b", "a", "zz"):
        await api.make(name)
    path = "/v1/namespaces/default/queues"
    first = (await api.call("GET", f"{path}?limit=3")).json
    second = (await api.call("GET", f"{path}?limit=3&after={first['next']}")).json
    assert [["a", "b", "orders"], ["zz"]] == [[item["name"] for item in page["items"]] for page in (first, second)]
    assert second["next"] is None


@pytest.mark.parametrize("cursor", ["!", "x", "bnVsbA", "WzFd", "%00", "é"])
async def test_a_cursor_that_was_never_given_is_refused(api: Api, cursor: str) -> None:
    reply = await api.call("GET", f"/v1/namespaces/default/queues?after={cursor}")
    assert (400, "malformed-request", "after") == (reply.status, reply.problem, reply.json["parameter"])


async def test_a_namespace_without_a_queue_is_unknown(api: Api) -> None:
    for path in ("queues", "queues/orders", "queues/orders/messages"):
        reply = await api.call("GET", f"/v1/namespaces/nowhere/{path}")
        assert (404, "unknown-namespace") == (reply.status, reply.problem)


async def test_the_default_namespace_is_there_even_when_it_is_empty(api: Api) -> None:
    await api.call("DELETE", "")
    assert {"items": [], "next": None} == (await api.call("GET", "/v1/namespaces/default/queues")).json
    assert "unknown-queue" == (await api.call("GET", QUEUE)).problem


async def test_the_series_of_a_deleted_queue_go_with_it(api: Api) -> None:
    await api.send()
    assert 'queue="orders"' in (await api.call("GET", "/metrics")).body.decode()
    await api.call("DELETE", "?force=true")
    assert 'queue="orders"' not in (await api.call("GET", "/metrics")).body.decode()
