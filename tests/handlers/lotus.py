"""An application that calls Lotus, against the real handlers: nothing but HTTP events goes in."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

from tests.handlers.conftest import Here
from tollgate import runtime
from tollgate.store.table import Item

CONTEXT = SimpleNamespace(
    function_name="f", memory_limit_in_mb=512, invoked_function_arn="arn:aws:lambda:us-east-1:0:f", aws_request_id="r"
)
Body = Any


def ago(**delta: float) -> str:
    return (datetime.now(UTC) - timedelta(**delta)).isoformat()


@dataclass(frozen=True)
class Lotus:
    here: Here

    def get(self, path: str, query: Any = "", body: Any = None, **more: Any) -> tuple[int, Body]:
        text = query if isinstance(query, str) else urlencode(query, doseq=True)
        return self.here.call("metric_access", f"GET /api/{path}", body, query=text, **more)

    def post(self, path: str, body: Any, **more: Any) -> tuple[int, Body]:
        return self.here.call("lotus", f"POST /api/{path}", body, **more)

    def manage(self, rpc: str, **body: Any) -> Body:
        status, answer = self.here.call("manage", f"POST /v1/{rpc}", body)
        assert status == 200, answer
        return answer

    # -------------------------------------------------------------- making things

    def feature(self, id: str = "", **more: Any) -> str:
        """A new feature: metered, and listening to an event of its own name."""
        id = id or f"f-{uuid.uuid4().hex[:8]}"
        fields = {"type": "metered", "consumable": True, "name": id.title(), "event_names": [id], **more}
        if fields["type"] != "metered" or "meter" in fields:
            fields.pop("event_names")
        self.manage("features.create", feature_id=id, **fields)
        return id

    def plan(self, *items: Mapping[str, Any], **more: Any) -> str:
        id = f"p-{uuid.uuid4().hex[:8]}"
        self.manage("plans.create", plan_id=id, name=f"Plan {id}", group=id, items=list(items), **more)
        return id

    def customer(self, *items: Mapping[str, Any], **terms: Any) -> str:
        """A new customer, on a new plan of these items if there are any."""
        id = f"c-{uuid.uuid4().hex[:8]}"
        self.manage("customers.get_or_create", customer_id=id, name="Ada", email="ada@example.com")
        if items:
            self.attach(id, *items, **terms)
        return id

    def attach(self, customer_id: str, *items: Mapping[str, Any], **terms: Any) -> str:
        plan = self.plan(*items, add_on=terms.pop("add_on", False))
        filters = terms.pop("filters", None)
        if filters:
            terms["subscription_filters"] = [{"property_name": name, "value": value} for name, value in filters.items()]
        self.manage("billing.attach", customer_id=customer_id, plan_id=plan, **terms)
        return plan

    # -------------------------------------------------------------- events

    def event(self, customer_id: str, name: str, /, **more: Any) -> dict[str, Any]:
        properties = {key: value for key, value in more.items() if key not in ("idempotency_id", "time_created")}
        return {
            "event_name": name,
            "customer_id": customer_id,
            "idempotency_id": more.get("idempotency_id", str(uuid.uuid4())),
            "time_created": more.get("time_created", ago(seconds=1)),
            "properties": properties,
        }

    def report(self, *events: Mapping[str, Any]) -> None:
        """Tracks events, and lets the queue deliver them."""
        status, answer = self.post("track/", {"batch": list(events)})
        assert (status, answer) == (201, {"success": "all"})
        self.deliver()

    def bodies(self) -> list[str]:
        """What waits in the usage queue, taken out."""
        queue, url = runtime.client("sqs"), os.environ["TOLLGATE_USAGE_QUEUE_URL"]
        found = []
        while messages := queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(message["Body"])
                queue.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found

    def deliver(self, bodies: Sequence[str] | None = None) -> None:
        for body in self.bodies() if bodies is None else bodies:
            record = {"messageId": str(uuid.uuid4()), "body": body, "eventSource": "aws:sqs", "attributes": {}}
            answer = self.here.handlers["usage_queue"]({"Records": [record]}, CONTEXT)
            assert answer == {"batchItemFailures": []}

    def stream(self, customer_id: str) -> None:
        """What the table's stream tells of a customer's first balances."""
        table = self.here.service.table
        items: list[Item] = table.query(f"sandbox#customer#{customer_id}", "BALANCE#")
        records = [
            {
                "eventSource": "aws:dynamodb",
                "eventName": "INSERT",
                "dynamodb": {"Keys": {"pk": item["pk"], "sk": item["sk"]}},
            }
            for item in items
        ]
        if records:
            assert self.here.handlers["waiting_events"]({"Records": records}, CONTEXT) == {}

    # -------------------------------------------------------------- answers

    def access(self, customer_id: str, metric_id: str, query: str = "") -> tuple[bool, list[tuple[Any, Any, Any]]]:
        """A metric access: whether, and usage, free and total limit of each subscription."""
        status, answer = self.get(
            "metric_access/", f"{urlencode({'customer_id': customer_id, 'metric_id': metric_id})}&{query}"
        )
        assert status == 200, answer
        rows = answer["access_per_subscription"]
        return answer["access"], [
            (row["metric_usage"], row["metric_free_limit"], row["metric_total_limit"]) for row in rows
        ]


def paid(feature: str, included: float, most: float | None = None, **more: Any) -> dict[str, Any]:
    """An item with so many free units, and `most` of overage."""
    price = {"amount": 1, "interval": "month", "billing_method": "usage_based", "max_purchase": most}
    return {"feature_id": feature, "included": included, "reset": {"interval": "month"}, "price": price, **more}


def free(feature: str, included: float, **more: Any) -> dict[str, Any]:
    return {"feature_id": feature, "included": included, "reset": {"interval": "month"}, **more}
