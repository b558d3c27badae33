"""The operations of a worker, drawn from a seed: the same seed, chapter and worker give the same ones.

An operation names what it uses up in the properties of its uses (`op`), so that each use that is stored or told leads to
the call that made it.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

SPEED = 6  # the functions' clock goes so many times as fast as the machine's
BUSY, ENTITIES = 4, 2
LOCK_MS = 24_000  # how long a hold lives, on the functions' clock
MESSAGES, TOKENS, ACTIONS, WORDS, CREDITS = "messages", "tokens", "actions", "words", "credits"

FEATURES: list[dict[str, Any]] = [
    *(
        {"feature_id": id, "name": id, "type": "metered", "consumable": True}
        for id in (MESSAGES, TOKENS, ACTIONS, WORDS)
    ),
    {"feature_id": "workspaces", "name": "Workspaces", "type": "metered", "consumable": False},
    {
        "feature_id": CREDITS,
        "name": "Credits",
        "type": "credit_system",
        "credit_schema": [{"metered_feature_id": ACTIONS, "credit_cost": 0.2}],
    },
]


def _item(feature: str, included: float, interval: str = "one_off", **more: Any) -> dict[str, Any]:
    return {"feature_id": feature, "included": included, "reset": {"interval": interval}, **more}


def _plan(id: str, *items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"plan_id": id, "name": id, "items": list(items), **more}


def plans(operations: int) -> list[dict[str, Any]]:
    """The plans of a chapter of so many operations: what busy customers hold lasts for about half of what they ask."""
    busy = max(40, operations // 20)
    words = {"entity_feature_id": "workspaces"}
    return [
        _plan("cold", _item(MESSAGES, 40), _item(TOKENS, 30, "minute"), _item(ACTIONS, 10), _item(CREDITS, 3.3),
              _item(WORDS, 25, **words)),
        _plan("busy", _item(MESSAGES, busy), _item(TOKENS, 120, "minute"), _item(ACTIONS, busy // 4),
              _item(CREDITS, busy / 10), _item(WORDS, busy // 4, **words)),
        _plan("changed", _item(MESSAGES, 60), _item(TOKENS, 40, "hour")),
        _plan("pack", _item(MESSAGES, 15), add_on=True),
    ]  # fmt: skip


class Operation(NamedTuple):
    """One call. `id` names it in properties, logs and the verdict; `kind` is what the mix calls it.

    `uses` are the amounts that it may count, by their own `op`; `asked` of them are counted whole where it is allowed
    (a capped one may be less). `lives`: the body gets an `expires_at` so many ms from now, at this path.
    """

    number: int
    id: str
    kind: str
    function: str
    route: str
    body: Any
    customer: str
    headers: Mapping[str, str] = {}
    uses: Mapping[str, float] = {}
    lives: tuple[str, ...] = ()
    repeats: str = ""  # the id of the call that it repeats, with the same idempotency key
    lock_of: str = ""  # the id of the call whose hold it finalizes


class Chapter(NamedTuple):
    """What is drawn from: `operations` is of all workers together."""

    seed: int
    number: int
    operations: int
    workers: int = 4

    @property
    def cold(self) -> int:
        """How many customers are used now and then."""
        return max(6, min(600, self.operations // 40))

    def customers(self) -> list[str]:
        """Those that are there from the start, with their plans (`plan_of`)."""
        return [f"busy-{n}" for n in range(BUSY)] + [f"cold-{n}" for n in range(self.cold)]


def plan_of(customer: str) -> str:
    """The plan that a customer starts with."""
    return customer.partition("-")[0]


_KINDS = {
    "check": 18, "use": 34, "track": 9, "capped": 5, "refund": 5, "keyed": 4, "hold": 7, "batch": 2, "queued": 2,
    "top-up": 1.5, "hand": 0.5, "attach": 1, "visit": 1.5, "workspace": 1, "words": 6, "list": 0.5,
}  # fmt: skip


class _Drawing:
    """Draws the operations of one worker in turn; those that follow from earlier ones come when it is their turn."""

    def __init__(self, chapter: Chapter, worker: int) -> None:
        self.chapter = chapter
        self.random = random.Random(f"{chapter.seed}/{chapter.number}/{worker}")
        self.worker = worker
        self.later: list[tuple[int, int, Operation]] = []
        self.number = 0

    def all(self) -> Iterator[Operation]:
        for number in range(self.chapter.operations // self.chapter.workers):
            self.number = number
            if self.later and self.later[0][0] <= number:
                due = heapq.heappop(self.later)[2]
                yield due._replace(number=number)
            else:
                yield self._drawn()

    @property
    def id(self) -> str:
        return f"{self.worker}-{self.number}"

    def _after(self, operation: Operation, least: int, most: int) -> None:
        at = self.number + self.random.randint(least, most)
        heapq.heappush(self.later, (at, len(self.later), operation))

    def _customer(self) -> str:
        busy = self.random.random() < 0.5
        return f"busy-{self.random.randrange(BUSY)}" if busy else f"cold-{self.random.randrange(self.chapter.cold)}"

    def _drawn(self) -> Operation:
        (kind,) = self.random.choices(list(_KINDS), list(_KINDS.values()))
        make = getattr(self, f"_{kind.replace('-', '_')}")
        made: Operation = make(kind)
        return made

    def _call(self, kind: str, function: str, route: str, body: Any, **more: Any) -> Operation:
        customer = body["customer_id"] if isinstance(body, dict) and "customer_id" in body else ""
        return Operation(self.number, self.id, kind, function, route, body, customer, **more)

    def _use_of(self, kind: str, feature: str, amount: float, **more: Any) -> Operation:
        """A check that counts."""
        customer = more.pop("customer", None) or self._customer()
        body = {
            "customer_id": customer, "feature_id": feature, "required_balance": amount, "send_event": True,
            "properties": {"op": self.id}, **more.pop("body", {}),
        }  # fmt: skip
        return self._call(kind, "check", "POST /v1/balances.check", body, uses={self.id: amount}, **more)

    def _feature(self) -> str:
        return self.random.choices([MESSAGES, TOKENS, ACTIONS], [5, 3, 3])[0]

    def _check(self, kind: str) -> Operation:
        body = {"customer_id": self._customer(), "feature_id": self._feature(), "required_balance": 1}
        return self._call(kind, "check", "POST /v1/balances.check", body)

    def _use(self, kind: str) -> Operation:
        return self._use_of(kind, self._feature(), self.random.choice((1, 1, 1, 2, 3, 0.5)))

    def _words(self, kind: str) -> Operation:
        entity = {"entity_id": f"w{self.random.randrange(ENTITIES)}"}
        return self._use_of(kind, WORDS, self.random.choice((1, 2)), body=entity)

    def _tracked(self, kind: str, amount: float, **more: Any) -> Operation:
        feature = self.random.choice((MESSAGES, TOKENS))
        body = {
            "customer_id": self._customer(), "feature_id": feature, "value": amount, "async": False,
            "properties": {"op": self.id}, **more,
        }  # fmt: skip
        return self._call(kind, "track", "POST /v1/balances.track", body, uses={self.id: amount})

    def _track(self, kind: str) -> Operation:
        return self._tracked(kind, self.random.choice((1, 2, 5)), overage_behavior="reject")

    def _capped(self, kind: str) -> Operation:
        return self._tracked(kind, self.random.choice((1, 4)), overage_behavior="cap")

    def _refund(self, kind: str) -> Operation:
        return self._tracked(kind, self.random.choice((-1, -2)))

    def _keyed(self, kind: str) -> Operation:
        key = {"idempotency-key": f"key-{self.id}"}
        made = self._use_of(kind, self._feature(), 1, headers=key)
        self._after(made._replace(kind="again", id=f"{made.id}r", repeats=made.id), 0, 6)
        return made

    def _hold(self, kind: str) -> Operation:
        lock = {"lock": {"lock_id": f"lock-{self.id}", "enabled": True}}
        made = self._use_of(kind, self._feature(), self.random.choice((1, 2, 4)), body=lock, lives=("lock",))
        made = made._replace(body={name: value for name, value in made.body.items() if name != "send_event"})
        how = self.random.random()
        if how < 0.85:
            end = {"action": "release"} if how < 0.2 else {"action": "confirm"}
            if how > 0.5:
                end["override_value"] = self.random.choice((0, 1, 3))  # type: ignore[assignment]
            body = {"lock_id": f"lock-{self.id}", **end}
            finalized = self._call("finalize", "manage", "POST /v1/balances.finalize", body, lock_of=made.id)
            self._after(finalized._replace(id=f"{self.id}s", customer=made.customer), 1, 30)
        return made

    def _batch(self, kind: str) -> Operation:
        uses = {f"{self.id}.{number}": self.random.choice((1, 2)) for number in range(self.random.randint(2, 5))}
        items = [
            {"customer_id": self._customer(), "feature_id": MESSAGES, "value": amount, "properties": {"op": op}}
            for op, amount in uses.items()
        ]
        key = {"idempotency-key": f"batch-{self.id}"}
        route = "POST /v1/balances.batch_track"
        made = self._call(kind, "track", route, items, headers=key, uses=uses)
        self._after(made._replace(kind="again", id=f"{made.id}r", repeats=made.id), 0, 4)
        return made

    def _queued(self, kind: str) -> Operation:
        made = self._tracked(kind, 1, overage_behavior="cap", idempotency_key=f"queued-{self.id}")
        return made._replace(body={**made.body, "async": True})

    def _top_up(self, kind: str) -> Operation:
        """Units by hand, for a while: what is left of them lapses."""
        body = {
            "customer_id": self._customer(), "feature_id": MESSAGES, "included_grant": 12, "balance_id": f"top-{self.id}",
        }  # fmt: skip
        made = self._call(kind, "manage", "POST /v1/balances.create", body, lives=())
        if self.random.random() < 0.3:
            gone = {"customer_id": body["customer_id"], "feature_id": MESSAGES, "balance_id": body["balance_id"]}
            deleted = self._call("taken", "manage", "POST /v1/balances.delete", gone)
            self._after(deleted._replace(id=f"{self.id}d"), 3, 20)
            return made
        return made._replace(lives=("",))

    def _hand(self, kind: str) -> Operation:
        body = {"customer_id": self._customer(), "feature_id": TOKENS, "add_to_balance": 5}
        return self._call(kind, "manage", "POST /v1/balances.update", body)

    def _attach(self, kind: str) -> Operation:
        plan = self.random.choice(("cold", "changed", "pack"))
        customer = f"cold-{self.random.randrange(self.chapter.cold)}"
        body = {"customer_id": customer, "plan_id": plan}
        return self._call(kind, "manage", "POST /v1/billing.attach", body)

    def _visit(self, kind: str) -> Operation:
        """A customer that comes, uses something, and is deleted."""
        customer = f"visitor-{self.id}"
        named = {"customer_id": customer}
        self._after(self._step("a", "manage", "POST /v1/billing.attach", {**named, "plan_id": "cold"}), 1, 1)
        for number in range(3):
            use = self._use_of(
                "visit", MESSAGES, 1, customer=customer, body={"properties": {"op": f"{self.id}u{number}"}}
            )
            self._after(use._replace(id=f"{self.id}u{number}", uses={f"{self.id}u{number}": 1}), 2, 5)
        self._after(self._step("d", "manage", "POST /v1/customers.delete", named), 5, 9)
        return self._call(kind, "manage", "POST /v1/customers.get_or_create", named)

    def _step(self, suffix: str, function: str, route: str, body: dict[str, Any]) -> Operation:
        return self._call("visit", function, route, body)._replace(id=f"{self.id}{suffix}")

    def _workspace(self, kind: str) -> Operation:
        """An entity that comes, uses what it was given, and goes."""
        customer, entity = self._customer(), f"e-{self.id}"
        named = {"customer_id": customer, "entity_id": entity}
        op = f"{self.id}u"
        use = self._use_of(
            "workspace", WORDS, 1, customer=customer, body={"entity_id": entity, "properties": {"op": op}}
        )
        self._after(use._replace(id=op, uses={op: 1}), 1, 4)
        self._after(self._step("d", "manage", "POST /v1/entities.delete", named)._replace(kind=kind), 4, 9)
        body = {**named, "feature_id": "workspaces", "name": entity}
        return self._call(kind, "manage", "POST /v1/entities.create", body)

    def _list(self, kind: str) -> Operation:
        return self._call(kind, "manage", "POST /v1/events.list", {"customer_id": self._customer(), "start_cursor": ""})


def operations(chapter: Chapter, worker: int) -> Iterator[Operation]:
    """The operations of one worker of a chapter, in order."""
    return _Drawing(chapter, worker).all()
