"""Flow control as tasks declare it: what is refused at once, what is stored for senders."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from cgk_jobs import Batch, Debounce, Event, InvalidTask, Latest, Limit, Throttle, Unique
from cgk_jobs.engine.flow import keys_of, pack_runs, stored_of, unpack_runs
from cgk_jobs.engine.records import NewEvent, Stored
from cgk_jobs.engine.subscribing import subscription_of
from cgk_jobs.tasks.flow import Flow
from cgk_jobs.tasks.group import TaskGroup
from cgk_jobs.tasks.task import Task
from cgk_jobs.wire.json import dumps


class Changed(Event, name="flow.changed"):
    order_id: str
    customer: str = ""


class Row(BaseModel):
    path: str


def declare(**options: Any) -> Task[Any]:
    async def handler(event: Any) -> None: ...

    decorate: Callable[..., Task[Any]] = TaskGroup().task(on=Changed, **options)
    return decorate(handler)


ALL: dict[str, Any] = {
    "unique": Unique(by="order_id", period=timedelta(minutes=5)),
    "debounce": Debounce(timedelta(seconds=5), by="order_id", max_wait=60),
    "throttle": Throttle(10, 60, by=("order_id", "customer")),
    "batch": Batch(100, 5),
    "ordered_by": "order_id",
    "latest": Latest(by="order_id"),
}
CLASHES = [
    ("unique", "debounce"),
    ("unique", "batch"),
    ("unique", "latest"),
    ("debounce", "batch"),
    ("debounce", "throttle"),
    ("debounce", "ordered_by"),
    ("debounce", "latest"),
    ("batch", "latest"),
    ("batch", "ordered_by"),
    ("throttle", "latest"),
]


@pytest.mark.parametrize(("first", "second"), CLASHES)
def test_options_that_contradict_each_other_are_refused(first: str, second: str) -> None:
    with pytest.raises(InvalidTask, match=rf"{first}= and {second}= contradict.*Choose one"):
        declare(**{first: ALL[first], second: ALL[second]})


@pytest.mark.parametrize("first", ALL)
def test_every_other_pair_is_taken(first: str) -> None:
    for second, value in ALL.items():
        if second != first and (first, second) not in CLASHES and (second, first) not in CLASHES:
            assert declare(**{first: ALL[first], second: value}).flow


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unique": Unique(by="colour")}, "unique by 'colour': it must be a field of Changed: tenant_id, order_id"),
        ({"ordered_by": ("order_id", "nope")}, "ordered_by by 'nope'"),
        ({"latest": Latest(by="tenant_id")}, "the tenant is part of every key"),
        ({"batch": Batch(2, 5), "concurrency": Limit(1, per="order_id")}, "batch by 'order_id' too"),
    ],
)
def test_fields_are_those_of_the_event(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidTask, match=re.escape(message)):
        declare(**options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Unique(by=["order_id"]), "an event field or a tuple"),  # type: ignore[arg-type]
        (lambda: Unique(while_="running"), "choose unfinished or queued"),  # type: ignore[arg-type]
        (lambda: Unique(period=0), "more than 0 seconds"),
        (lambda: Debounce(0), "more than 0 seconds"),
        (lambda: Debounce(10, max_wait=5), "at least the seconds waited"),
        (lambda: Throttle(0, 5), "at least 1"),
        (lambda: Throttle(1, -5), "more than 0 seconds"),
        (lambda: Batch(1, 5), "2 to 1,000"),
        (lambda: Batch(5_000, 5), "2 to 1,000"),
        (lambda: Batch(5, timedelta(0)), "more than 0 seconds"),
        (lambda: Latest(by=""), "an event field or a tuple"),
        (lambda: declare(ordered_by=()), "name the field"),
        (lambda: declare(ordered_by=5), "an event field or a tuple"),
    ],
)
def test_values_that_can_not_work_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidTask, match=message):
        make()


@pytest.mark.parametrize("name", ALL)
def test_what_senders_read_is_what_was_declared(name: str) -> None:
    task = declare(**{name: ALL[name]})
    text = subscription_of(task).flow
    assert Flow.read(text) == task.flow
    assert Flow.read(text).stored() == text


def test_a_task_without_such_options_stores_nothing() -> None:
    assert subscription_of(declare()).flow == ""
    assert not declare().flow


def test_options_of_newer_code_are_left_out() -> None:
    text = dumps(
        {"unique": {"by": "order_id", "while_": "unfinished", "period": None, "colour": 1}, "shuffle": {"n": 5}}
    )
    assert Flow.read(text) == Flow(unique=Unique(by="order_id"))


def test_a_batch_of_payloads_takes_its_model_from_the_list() -> None:
    group = TaskGroup()

    @group.task(batch=Batch(10, 5, by="path"))
    async def load(rows: list[Row]) -> None: ...

    assert load.payload is Row
    with pytest.raises(InvalidTask, match=re.escape("annotate the first parameter with list[Model]")):

        @group.task(batch=Batch(10, 5))
        async def loads(rows: list[Any]) -> None: ...


def test_keys_tell_values_and_types_apart_and_stay_short() -> None:
    flow = Flow(unique=Unique(by=("a", "b")), ordered_by=("a",))
    values: list[dict[str, Any]] = [
        {"a": "1", "b": "2"}, {"a": 1, "b": 2}, {"a": "1", "b": None}, {"a": "1,2"}, {}, {"a": "x" * 1_000}, {"a": "x" * 1_001},
    ]  # fmt: skip
    keys = [keys_of(flow, "task", NewEvent("acme", "e", 1, dumps(value))) for value in values]
    assert len({key.flow for key in keys}) == len(values)
    assert all(len(key.flow or "") < 300 for key in keys)
    assert keys[0].order == keys[2].order
    assert keys_of(flow, "other", NewEvent("acme", "e", 1, "{}")).flow != keys[4].flow


def test_a_payload_that_is_no_object_has_a_key_all_the_same() -> None:
    assert keys_of(Flow(unique=Unique(by="a")), "task", NewEvent("acme", "e", 1, "[1]")).flow == "unique:task:[null]"


@pytest.mark.parametrize("stored", [Stored(1, 5, (2, 3)), Stored(1, 5, (2, 3), nonces=(5, 6)), Stored(1, 5, ())])
def test_runs_are_remembered_as_they_were(stored: Stored) -> None:
    again = unpack_runs(1, 5, pack_runs(stored))
    assert (again.runs, again.duplicate) == (stored.runs, True)


def test_no_listener_at_all_is_neither_duplicate_nor_refused() -> None:
    assert stored_of(1, 5, []).refused is None
