"""What became of a chapter: what was answered, stored, told on the bus, listed in the history and summed up must agree."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from decimal import Decimal
from itertools import chain
from typing import Any, NamedTuple

from tests.soak.plan import ACTIONS, CREDITS, Operation, operations
from tests.soak.stage import Functions, Stage
from tests.soak.worker import lines
from tollgate.domain.environments import CustomerRef, Environment
from tollgate.domain.errors import NotFound
from tollgate.domain.quantities import ZERO

COST = Decimal("0.2")  # credits that an action costs
MOST_SHOWN = 20
_UNKNOWN = ("answer was lost", "was counted", "was done", "queue")  # of a batch, parts may have been taken


class Ended(NamedTuple):
    """What a worker was answered; status 0: it was killed before it knew."""

    status: int
    ms: float
    told: Mapping[str, Any]

    @property
    def became(self) -> str:
        """`accepted`, `refused`, `unknown`, `busy` (503: nothing was done) or `defect`."""
        if self.status == 0:
            return "killed"
        if self.status == 503:
            return "unknown" if any(words in self.told["message"] for words in _UNKNOWN) else "busy"
        if self.status >= 500:
            return "defect"
        return "accepted" if self.status < 300 and self.told.get("allowed", True) else "refused"


class Verdict(NamedTuple):
    """What was found. `wrong` counts what must not be, by kind; `examples` shows some of it."""

    seconds: float
    operations: int
    wrong: dict[str, int]
    examples: list[str]
    became: dict[str, dict[str, int]]  # by kind of operation
    latencies: dict[str, list[float]]  # ms by kind: half, 99 of 100, the longest
    totals: dict[str, int]
    faults: dict[str, int]

    def told(self) -> dict[str, Any]:
        return self._asdict()


EXPIRED = "-expired"  # how the id of a use ends by which an expired hold gave its units back


class _Use(NamedTuple):
    """One use as the bus tells it, of one balance."""

    id: str
    customer: str
    feature: str
    value: Decimal
    deducted: Decimal
    part: bool
    op: str
    cause: str
    deductions: list[dict[str, Any]]

    @property
    def returned(self) -> bool:
        """Whether an expired hold gave its units back: as time passes, so the event does not know of which grants."""
        return self.cause.endswith(EXPIRED)


class _Judge:
    """Compares, and keeps what is wrong."""

    def __init__(self, stage: Stage, functions: Functions) -> None:
        self.stage = stage
        self.functions = functions
        self.wrong: Counter[str] = Counter(
            dict.fromkeys(
                ("lost", "doubled", "overspent", "stranded holds", "wrong amounts", "balances that differ",
                 "history that differs", "sums that differ", "dead letters", "defects"),
                0,
            )
        )  # fmt: skip
        self.examples: list[str] = []
        self.totals: Counter[str] = Counter()

    def found(self, kind: str, what: str) -> None:
        self.wrong[kind] += 1
        if self.wrong[kind] <= MOST_SHOWN:
            self.examples.append(f"{kind}: {what}")

    # ------------------------------------------------------------ what was answered, and what was told

    def calls(self) -> tuple[dict[str, Operation], dict[str, Ended]]:
        """The operations that began, and how they ended."""
        chapter = self.stage.chapter
        planned = {
            one.id: one for one in chain.from_iterable(operations(chapter, number) for number in range(chapter.workers))
        }
        ended: dict[str, Ended] = {}
        for number in range(chapter.workers):
            for line in lines(self.stage.run / f"worker-{number}.jsonl"):
                if line[0] == "s":
                    ended[line[1]] = Ended(0, 0, {})
                else:
                    ended[line[1]] = Ended(*line[2:])
        return planned, ended

    def bus(self) -> tuple[list[_Use], dict[str, list[dict[str, Any]]]]:
        """The uses that were told, each once, and the other events by type."""
        seen: set[tuple[str, str]] = set()
        uses: list[_Use] = []
        others: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for line in (self.stage.run / "bus.jsonl").read_text().splitlines():
            kind, detail = json.loads(line, parse_float=Decimal, parse_int=Decimal)
            if (kind, detail["id"]) in seen:
                continue
            seen.add((kind, detail["id"]))
            if kind != "usage.recorded":
                others[kind].append(detail)
                continue
            uses.append(
                _Use(
                    detail["id"],
                    detail["customer_id"],
                    detail["feature_id"],
                    detail["value"],
                    detail["deducted"],
                    detail["part"],
                    detail["properties"].get("op", ""),
                    detail["cause"]["id"],
                    [{**one, "balance": detail["balance"]} for one in detail["deductions"]],
                )
            )
        return uses, others

    def each_call(
        self, planned: Mapping[str, Operation], ended: Mapping[str, Ended], uses: list[_Use]
    ) -> dict[str, list[_Use]]:
        """Each accepted call has its uses once, a refused one none, an unknown one at most once. Returns uses by op."""
        by_op: dict[str, list[_Use]] = defaultdict(list)
        for use in uses:
            by_op[use.op].append(use)
        repeats: dict[str, list[str]] = defaultdict(list)
        for one in planned.values():
            if one.repeats and one.id in ended:
                repeats[one.repeats].append(one.id)
        for id, end in ended.items():
            one = planned[id]
            if end.became == "defect":
                self.found("defects", f"{id} {one.kind}: {end}")
            if one.repeats or not one.uses:
                continue
            answers = {end.became, *(ended[other].became for other in repeats[id])}
            for op, amount in one.uses.items():
                self._one(one, op, Decimal(str(amount)), answers, end, by_op[op])
        for op in by_op.keys() - {op for id in ended for op in planned[id].uses}:
            self.found("doubled", f"uses of nobody: {op!r} {by_op[op][:3]}")
        return by_op

    def _one(self, one: Operation, op: str, amount: Decimal, answers: set[str], end: Ended, uses: list[_Use]) -> None:
        causes = {use.cause for use in uses}
        self.totals["uses told"] += len(causes)
        most = 2 if one.kind == "hold" else 1
        if len(causes) > most:
            self.found("doubled", f"{op} {one.kind}: {sorted(causes)}")
        if "accepted" in answers and not causes and amount:
            self.found("lost", f"{op} {one.kind} {one.body}: {end}")
        if not answers & {"accepted", "unknown", "killed"} and causes:
            self.found("doubled", f"{op} {one.kind} was {answers}, and is told: {uses[:2]} {end}")
        if causes and one.kind != "hold":
            units = _units(uses)
            expected = amount
            if one.kind in ("capped", "refund"):
                if "moved" not in end.told:  # it was not told, or its answer was lost and the balance has moved on
                    return
                expected = sum((Decimal(str(value)) for _, value in end.told["moved"]), ZERO)
            if one.kind in ("batch", "queued"):
                if units > amount:
                    self.found("wrong amounts", f"{op} {one.kind}: {units} for {amount}")
            elif units != expected:
                self.found("wrong amounts", f"{op} {one.kind}: {units} for {expected} {end} {uses}")
        if "accepted" not in answers and answers & {"unknown", "killed"}:
            self.totals["unknown, was counted" if causes else "unknown, was not counted"] += 1

    def holds(self, by_op: Mapping[str, list[_Use]], others: Any) -> None:
        """Each hold ended once, and moved what it ended with."""
        held = {one["lock_id"]: one for one in others["reservation.held"]}
        finals: dict[str, list[tuple[str, Decimal]]] = defaultdict(list)
        for what in ("confirmed", "released", "expired"):
            for one in others[f"reservation.{what}"]:
                finals[one["lock_id"]].append((what, one["final"]))
        self.totals["holds"] = len(held)
        for lock in held:
            op = lock.removeprefix("lock-")
            if len(finals[lock]) != 1:
                self.found("stranded holds", f"{lock}: {finals[lock]}")
                continue
            ((what, final),) = finals[lock]
            self.totals[f"holds {what}"] += 1
            if _units(by_op.get(op, [])) != (final or ZERO):
                self.found("wrong amounts", f"{lock} {what} {final}: {by_op.get(op)}")
        for lock in finals.keys() - held.keys():
            self.found("stranded holds", f"{lock} ended and was never held")

    # ------------------------------------------------------------ what is stored

    def balances(self, uses: list[_Use], others: Any) -> None:
        """Of each grant that there is: what was drawn in its period is what the events say. None is overdrawn."""
        from tollgate import runtime
        from tollgate.domain.balances import as_of

        drawn = _drawn(uses, others)
        now = self.stage.clock()
        for customer in sorted({use.customer for use in uses} | set(self.stage.chapter.customers())):
            try:
                held = runtime.customers().get(CustomerRef(Environment.SANDBOX, customer))
            except NotFound:
                self.totals["customers that were deleted"] += 1
                continue
            for key, stored in held.balances.items():
                balance = as_of(stored, now)
                self.totals["balances"] += 1
                if balance.holds:
                    self.found("stranded holds", f"{customer} {key}: {balance.holds}")
                for grant in balance.grants:
                    total = grant.granted + grant.prepaid + grant.adjustment
                    if grant.used > total:
                        self.found("overspent", f"{customer} {key}: {grant}")
                    told = drawn[customer, grant.id, grant.next_reset_at]
                    if told != grant.consumed:
                        self.found("balances that differ", f"{customer} {key}: events {told}, {grant}")

    def history(self, uses: list[_Use]) -> None:
        """What is listed and summed up, of each customer, is what was told."""
        told: dict[str, dict[str, tuple[int, Decimal]]] = defaultdict(dict)
        ids: dict[str, Counter[str]] = defaultdict(Counter)
        for use in uses:
            if not use.part:
                count, total = told[use.customer].get(use.feature, (0, ZERO))
                told[use.customer][use.feature] = count + 1, total + use.value
            ids[use.customer][use.cause] += not use.part
        for customer in sorted(told):
            listed: dict[str, tuple[int, Decimal]] = {}
            cursor: str | None = ""
            while cursor is not None:
                status, page = self.functions.call(
                    "manage",
                    "POST /v1/events.list",
                    {"customer_id": customer, "start_cursor": cursor, "limit": 1000},
                )
                assert status == 200, page
                for entry in page["list"]:
                    count, total = listed.get(entry["feature_id"], (0, ZERO))
                    listed[entry["feature_id"]] = count + 1, total + Decimal(str(entry["value"]))
                cursor = page["next_cursor"]
            self.totals["entries of history"] += sum(count for count, _ in listed.values())
            if listed != told[customer]:
                self.found("history that differs", f"{customer}: {listed}, told {told[customer]}")
            self._sums(customer, told[customer])

    def _sums(self, customer: str, told: Mapping[str, tuple[int, Decimal]]) -> None:
        start = self.stage.started // 3_600_000 * 3_600_000
        body = {
            "customer_id": customer,
            "feature_id": sorted(told),
            "custom_range": {"start": start, "end": self.stage.clock() + 3_600_000},
            "bin_size": "hour",
        }
        status, answer = self.functions.call("manage", "POST /v1/events.aggregate", body)
        if status == 404:
            return  # the customer was deleted
        summed = {id: (one["count"], Decimal(str(one["sum"]))) for id, one in answer["total"].items() if one["count"]}
        if status != 200 or summed != dict(told):
            self.found("sums that differ", f"{customer}: {status} {summed}, told {dict(told)}")


def _drawn(uses: list[_Use], others: Any) -> Counter[tuple[str, str, Any]]:
    """By customer, grant and the end of its period: what the events say was drawn. A grant that takes the other one over
    may begin with what was used of that; what a hold drew returns to where it was drawn from."""
    drawn: Counter[tuple[str, str, Any]] = Counter()
    for event in others["balance.granted"]:
        grant = event["grant"]
        drawn[event["customer_id"], grant["balance_id"], grant["next_reset_at"]] += grant["usage"]
    for event in others["balance.adjusted"]:  # the plan only adds to what is left: the grant stays, its usage is less
        grant = event["grant"]
        drawn[event["customer_id"], grant["balance_id"], grant["next_reset_at"]] -= event["value"]
    returned = {use.op for use in uses if use.returned}
    for use in uses:
        sign = 0 if use.op in returned else 1
        for one in use.deductions:
            drawn[use.customer, one["balance_id"], one["reset"] and one["reset"]["resets_at"]] += sign * one["value"]
    return drawn


def _units(uses: list[_Use]) -> Decimal:
    """What uses moved, in units of the feature that was used: credits count as the actions that they paid for."""
    total = ZERO
    for use in uses:
        if use.returned:
            total += ZERO if use.part else use.value
        elif use.feature == ACTIONS and any(one["feature_id"] == CREDITS for one in use.deductions):
            total += use.deducted / COST
        else:
            total += use.deducted
    return total


def verdict_on(stage: Stage, functions: Functions, seconds: float) -> Verdict:
    """The verdict on a chapter that has come to its end."""
    judge = _Judge(stage, functions)
    planned, ended = judge.calls()
    uses, others = judge.bus()
    by_op = judge.each_call(planned, ended, uses)
    judge.holds(by_op, others)
    judge.balances(uses, others)
    judge.history(uses)
    dead = stage.run / "dead.jsonl"
    for line in dead.read_text().splitlines():
        judge.found("dead letters", line[:600])
    became: dict[str, Counter[str]] = defaultdict(Counter)
    latencies: dict[str, list[float]] = defaultdict(list)
    for id, end in ended.items():
        became[planned[id].kind][end.became] += 1
        if end.status:
            latencies[planned[id].kind].append(end.ms)
    judge.totals["events on the bus"] = len(uses) + sum(map(len, others.values()))
    return Verdict(
        seconds,
        len(ended),
        dict(judge.wrong),
        judge.examples,
        {kind: dict(counts) for kind, counts in became.items()},
        {kind: _shape(sorted(found)) for kind, found in latencies.items()},
        dict(judge.totals),
        {},
    )


def _shape(found: list[float]) -> list[float]:
    return [found[len(found) // 2], found[len(found) * 99 // 100], found[-1]]
