"""An environment is exported and restored into another table: it is the same there, item for item, and the stream takes no
notice of what was counted before.

Rules: invariants.md 2.
"""

from __future__ import annotations

import inspect
import json
import tempfile
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import create_table, dynamodb_client
from tests.memory import fresh_url
from tests.profiles import examples
from tests.service import CALLER, FIXTURE, HOUR, NOW, SANDBOX, Service, item, pay_per_use, service
from tests.streams import records, used
from tollgate.domain.api_keys import Scope
from tollgate.domain.balances import BalanceKey
from tollgate.domain.decisions import Overage
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.errors import TollgateError
from tollgate.domain.idempotency import IdempotencyKey
from tollgate.domain.plans import PlanItem
from tollgate.domain.webhooks import Attempt, Delivery, DeliveryState, PayloadDialect, Secret, Webhook
from tollgate.store import keys
from tollgate.store.history import HistoryStore
from tollgate.store.locks import LockStore
from tollgate.store.webhooks import WebhookStore
from tollgate.usecases.commands import UseCommand
from tollgate.usecases.history_writes import write_history
from tollgate.usecases.reservations import Finalization, LockTerms, Reservations
from tollgate.usecases.stream_records import written
from tollgate_cli import moving
from tollgate_cli.moving import MovingError

CUSTOMERS = ("c1", "c2")


class Shop:
    """The use cases over a table, and the stream's consumer as far as it writes the history."""

    def __init__(self, *, stocked: bool) -> None:
        client = dynamodb_client(fresh_url())
        self.service: Service = service(client, create_table(client), FIXTURE if stocked else ())
        self.table = self.service.table
        self.reservations = Reservations(self.service.ledger, self.service.tracking, LockStore(self.table))
        self.history = HistoryStore(self.table, 400)
        if stocked:
            self._open()

    def _open(self) -> None:
        plans: dict[str, list[PlanItem]] = {
            "c1": [pay_per_use(20, 10), PlanItem("dashboard"), item(5, feature="credits")],
            "c2": [item("10.5"), PlanItem("users", Decimal(3)), PlanItem("action1", unlimited=True)],
        }
        for id, items in plans.items():
            self.service.customer(id, items)
        self.service.entity("c2", "ada")
        self.service.api_keys.create(SANDBOX, Scope.SECRET, "shop", NOW)
        self.consume()

    def consume(self) -> None:
        """Writes the history of all that was written."""
        for record in records(self.table.client, self.table.name):
            write_history(self.history, written(record).changes)

    def contents(self) -> list[bytes]:
        found = self.table.client.scan(TableName=self.table.name)["Items"]
        return sorted(moving.line_of(each) for each in found)

    def hold(self, customer: str, amount: int, lock: str, now: int) -> Any:
        use = UseCommand(customer, "messages", Decimal(amount), Overage.REJECT)
        return self.reservations.hold(CALLER, use, LockTerms(lock, now + 2 * HOUR), now).allowed

    def finalize(self, lock: str, final: int, now: int) -> Any:
        return self.reservations.finalize(CALLER, lock, Finalization(Decimal(final), False), now)

    def use(self, customer: str, amount: int, feature: str, key: str | None, now: int) -> Any:
        named = () if key is None else (IdempotencyKey("track", key),)
        return self.service.use(customer, amount, Overage.REJECT, now, feature=feature, idempotency_keys=named).allowed

    def left(self, now: int) -> Any:
        return [self.service.held(id, now) for id in CUSTOMERS]


Step = Callable[[Shop, int], Any]
_customers = st.sampled_from(CUSTOMERS)
_amounts = st.integers(1, 9)
_locks = st.sampled_from(["l1", "l2"])
_keys = st.none() | st.sampled_from(["k1", "k2", "k3"])
_features = st.sampled_from(["messages", "messages", "action1", "users", "dashboard", "none"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("use"), _customers, _amounts, _features, _keys),
        st.tuples(st.just("hold"), _customers, _amounts, _locks),
        st.tuples(st.just("finalize"), _locks, _amounts),
    ),
    max_size=8,
)


def done(shop: Shop, steps: Sequence[tuple[Any, ...]], now: int) -> list[str]:
    """What became of each step, an hour after the one before."""
    answers = []
    for number, (name, *arguments) in enumerate(steps):
        try:
            answers.append(repr(getattr(shop, name)(*arguments, now + number * HOUR)))
        except TollgateError as error:
            answers.append(repr(error))
    shop.consume()
    return answers


@pytest.mark.property
@settings(max_examples=examples(0.5))
@given(before=steps, after=steps)
def test_what_was_restored_goes_on_as_if_nothing_had_been(before: Any, after: Any) -> None:
    """Checks, balances, resets, history, reservations and idempotency keys; and no use is told again."""
    there, here = Shop(stocked=True), Shop(stocked=False)
    done(there, before, NOW)
    with tempfile.TemporaryDirectory() as folder:
        moving.export(there.table, SANDBOX, Path(folder))
        moving.restore(here.table, SANDBOX, Path(folder))
    contents = there.contents()
    assert here.contents() == contents
    told = [change for record in records(here.table.client, here.table.name) for change in written(record).changes]
    assert [change.grant_changes for change in told if change.grant_changes] == []
    assert {change.write.source for change in told if change.uses} <= {keys.USE}
    here.consume()
    assert here.contents() == contents
    moment = NOW + 30 * HOUR
    assert done(here, after, moment) == done(there, after, moment)
    for later in (moment, moment + 40 * 24 * HOUR):
        assert here.left(later) == there.left(later)


@pytest.fixture
def exported(tmp_path: Path) -> tuple[Shop, Path]:
    shop = Shop(stocked=True)
    for number in range(4):
        shop.use("c1", 2, "messages", f"k{number}", NOW)
    shop.hold("c2", 3, "l1", NOW)
    shop.consume()
    moving.export(shop.table, SANDBOX, tmp_path / "out")
    return shop, tmp_path / "out"


def test_the_manifest_says_what_there_is(exported: tuple[Shop, Path]) -> None:
    said = json.loads((exported[1] / moving.MANIFEST).read_text())
    assert (said["environment"], said["kinds"]["customer"], said["kinds"]["lock"], said["kinds"]["api key"]) == (
        "sandbox",
        2,
        1,
        2,
    )
    assert said["items"] == sum(said["kinds"].values()) == len(exported[0].contents())
    assert said["remaining"]["messages"] == 20 - 8 + 10.5 - 3
    assert (said["uses"]["messages"], said["used"]["messages"]) == (5, 8 + 3)


def test_an_item_is_written_as_dynamodb_exports_it(exported: tuple[Shop, Path]) -> None:
    """Its JSON, with binary values in base64, an object with `Item` on each line."""
    lines = [json.loads(line) for line in (exported[1] / moving.ITEMS).read_text().splitlines()]
    assert all(set(line) == {"Item"} for line in lines)
    items = {(line["Item"]["pk"]["S"], line["Item"]["sk"]["S"]): line["Item"] for line in lines}
    balance = items["sandbox#customer#c2", "BALANCE#messages#"]
    assert balance["headroom"] == {"N": "7.5"}
    assert len(balance["fence"]["B"]) == 24


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda out: (out / moving.MANIFEST).unlink(), "no export, or one that did not end"),
        (lambda out: (out / moving.MANIFEST).write_text("{"), "is no JSON"),
        (lambda out: (out / moving.MANIFEST).write_text("[]"), "format must be tollgate-export/1"),
        (lambda out: _lines(out, lambda lines: [*lines[:3], "nonsense", *lines[4:]]), "items.jsonl:4: Item is none"),
        (lambda out: _lines(out, lambda lines: [*lines[:2], '{"Item": {"pk": 1}}']), "items.jsonl:3: Item is none"),
        (lambda out: _lines(out, lambda lines: lines[:-1]), "it was changed, or is not whole"),
        (lambda out: _lines(out, lambda lines: [lines[0].replace("sandbox", "live"), *lines[1:]]), "Item.pk is not of"),
        (lambda out: (out / moving.ITEMS).unlink(), "No such file"),
    ],
)
def test_a_wrong_export_changes_nothing(exported: tuple[Shop, Path], spoil: Callable[[Path], Any], told: str) -> None:
    empty = Shop(stocked=False)
    spoil(exported[1])
    with pytest.raises(MovingError, match=told):
        moving.restore(empty.table, SANDBOX, exported[1])
    assert empty.contents() == []


def _lines(folder: Path, change: Callable[[list[str]], list[str]]) -> None:
    path = folder / moving.ITEMS
    path.write_text("".join(f"{line}\n" for line in change(path.read_text().splitlines())))


def test_it_is_restored_into_an_empty_environment_of_its_own_name(exported: tuple[Shop, Path]) -> None:
    shop, folder = exported
    before = shop.contents()
    with pytest.raises(MovingError, match="environment is sandbox, not live"):
        moving.restore(shop.table, Environment.LIVE, folder)
    with pytest.raises(MovingError, match="restore into an empty one"):
        moving.restore(shop.table, SANDBOX, folder)
    with pytest.raises(MovingError, match="holds an export already"):
        moving.export(shop.table, SANDBOX, folder)
    assert shop.contents() == before


def test_an_interrupted_restore_goes_on(exported: tuple[Shop, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it was interrupted, between the two writes of a balance too."""
    shop, folder = exported
    here = Shop(stocked=False)
    real = here.table.client.put_item
    for most in range(0, 200, 7):
        written = 0

        def put(most: int = most, **request: Any) -> Any:
            nonlocal written
            written += 1
            if written > most:
                raise KeyboardInterrupt
            return real(**request)

        monkeypatch.setattr(here.table.client, "put_item", put)
        try:
            moving.restore(here.table, SANDBOX, folder, resume=True)
        except KeyboardInterrupt:
            continue
        break
    assert here.contents() == shop.contents()
    assert used(here.table.client, here.table.name) == []


def test_what_is_there_and_differs_is_left_as_it_is(exported: tuple[Shop, Path]) -> None:
    _, folder = exported
    here = Shop(stocked=False)
    moving.restore(here.table, SANDBOX, folder)
    here.use("c1", 1, "messages", None, NOW)
    after = here.contents()
    with pytest.raises(MovingError, match="is there already, and is another"):
        moving.restore(here.table, SANDBOX, folder, resume=True)
    assert here.contents() == after


def written_between_readings(shop: Shop, patch: pytest.MonkeyPatch, customer: str, write: Callable[[], Any]) -> None:
    """Something is written after each reading of a customer."""
    real = shop.table.query

    def query(partition: str, prefix: str = "") -> Any:
        found = real(partition, prefix)
        if partition == f"sandbox#customer#{customer}":
            write()
        return found

    patch.setattr(shop.table, "query", query)
    patch.setattr(shop.table, "_sleep", lambda _: None)


def test_a_customer_is_exported_as_of_one_instant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held between two readings is in the balance and among the reservations."""
    shop, locks = Shop(stocked=True), iter(("l1", "l2", "l3"))
    written_between_readings(
        shop, monkeypatch, "c1", lambda: [shop.hold("c1", 1, lock, NOW) for lock in islice(locks, 1)]
    )
    manifest = moving.export(shop.table, SANDBOX, tmp_path / "out")
    assert manifest.kinds["lock"] == 3
    assert manifest.remaining["messages"] == 20 - 3 + Decimal("10.5")


def test_a_customer_that_never_rests_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(stocked=True)
    written_between_readings(shop, monkeypatch, "c2", lambda: shop.use("c2", 1, "action1", None, NOW))
    with pytest.raises(MovingError, match="customer c2 is written to all the time"):
        moving.export(shop.table, SANDBOX, tmp_path / "out")
    assert not (tmp_path / "out" / moving.MANIFEST).exists()


# ------------------------------------------------------------------ all kinds, and webhooks

NAMED: dict[str, Any] = {
    "env": SANDBOX,
    "customer": CustomerRef(SANDBOX, "of-nobody"),
    "key": BalanceKey("messages"),
    "date": "2026-01-01",
    "month": "2026-01",
    "digest": "ab" * 32,
    "caller": "key#key_1",
    "webhook_id": "hook",
    "id": "hook",
    **dict.fromkeys(("at", "window", "shard", "version", "created_at", "level"), 1),
}
READ = (
    "api_key",
    "api_key_listing",
    "api_key_partition",
    "listed_customer",
    "customer_list",
    "large_change",
    "change_id",
)
"""What an export reads itself: the shop has some of it."""


def test_every_kind_of_item_leaves(tmp_path: Path) -> None:
    """Whatever has a key or a partition of the table."""
    shop = Shop(stocked=True)
    made = 0
    for name, make in inspect.getmembers(keys, inspect.isfunction):
        if name.startswith("_") or name in READ:
            continue
        found = make(*(NAMED.get(parameter, f"x-{parameter}") for parameter in inspect.signature(make).parameters))
        key = {"pk": {"S": found}, "sk": {"S": "x#x#x"}} if isinstance(found, str) else found
        if key["pk"]["S"] == keys.customer_partition(NAMED["customer"]):
            continue  # these are of an environment's customers, whose own items the test above has
        more = {name: {"N": "1"} for name in ("count", "sum")} | {"state": {"S": "done"}}
        shop.table.client.put_item(TableName=shop.table.name, Item={**key, **more})
        made += 1
    assert made > 30
    manifest = moving.export(shop.table, SANDBOX, tmp_path / "out")
    lines = (json.loads(line)["Item"] for line in (tmp_path / "out" / moving.ITEMS).read_text().splitlines())
    left = [(item["pk"]["S"], item["sk"]["S"]) for item in lines]
    stored = shop.table.client.scan(TableName=shop.table.name)["Items"]
    assert sorted(left) == sorted((item["pk"]["S"], item["sk"]["S"]) for item in stored)
    assert manifest.items == len(left)


@pytest.mark.parametrize("with_secrets", [False, True])
def test_webhooks_leave_without_their_secrets_and_come_back_off(tmp_path: Path, *, with_secrets: bool) -> None:
    """Two stacks never tell the same address; what was to be tried again is given up on, as where a webhook is off."""
    shop, here = Shop(stocked=True), Shop(stocked=False)
    there, back = WebhookStore(shop.table), WebhookStore(here.table)
    secret = Secret("whsec_" + "QUJD" * 8, None)
    hook = Webhook(SANDBOX, "w", "https://hooks.example/a", (), PayloadDialect.AUTUMN, None, False, (secret,), NOW, NOW)
    there.add(hook)
    tried = (Attempt(NOW, 500, None, 3),)
    done = Delivery(SANDBOX, "w", "msg_1", "webhook.test", "{}", NOW, DeliveryState.DELIVERED, tried, None)
    waits = done._replace(id="msg_2", state=DeliveryState.PENDING, next_at=NOW + HOUR)
    for delivery in (done, waits):
        there.add_delivery(delivery)
    folder = tmp_path / "out"
    manifest = moving.export(shop.table, SANDBOX, folder, with_secrets=with_secrets)
    assert (manifest.kinds["webhook"], manifest.kinds["delivery"]) == (1, 2)
    assert (secret.text in (folder / moving.ITEMS).read_text()) is with_secrets
    for resume in (False, True):
        moving.restore(here.table, SANDBOX, folder, resume=resume)
        (found,) = back.list(SANDBOX)
        assert found._replace(secrets=()) == hook._replace(secrets=(), disabled=True)
        assert (found.secrets == (secret,)) is with_secrets
        assert found.secrets[0].until is None
        assert list(back.deliveries(SANDBOX, "w", "", 10)) == [
            waits._replace(state=DeliveryState.FAILED, next_at=None),
            done,
        ]
