"""An application that uses lotus-python 0.12.0, whose answers are parsed strictly: run in the SDK's own environment.

It reads what to do from its arguments (host, key) and from stdin, JSON lines `[what, arguments]`, and answers each with a
JSON line: what the SDK returned, or `{"error": [status, body]}`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import lotus
from lotus.client import Client
from lotus.request import APIError

WHATS = (
    "check_metric_access",
    "check_feature_access",
    "get_customer_metric_access",
    "get_customer_feature_access",
    "create_customer",
    "get_customer",
    "list_customers",
    "create_subscription",
    "list_subscriptions",
    "cancel_subscription",
    "list_plans",
)


def main() -> None:
    host, key = sys.argv[1:]
    lotus.api_key, lotus.host, lotus.strict = key, host, True
    failures: list[str] = []
    batching = Client(key, host=host, strict=True, on_error=lambda error, _: failures.append(str(error)))
    alone = Client(key, host=host, strict=True, sync_mode=True)
    for line in sys.stdin:
        what, *rest = json.loads(line)
        arguments = rest[0] if rest else {}
        answer: Any
        try:
            if what == "track_events":  # queued, and sent in batches by the SDK's own thread
                for event in arguments:
                    batching.track_event(**event)
                batching.flush()
                answer = failures
            elif what == "track_alone":
                answer = alone.track_event(**arguments)
            else:
                assert what in WHATS, what
                answer = getattr(alone, what)(**arguments)
        except APIError as error:
            answer = {"error": [error.status, error.payload]}
        print(json.dumps(answer, default=str), flush=True)


main()
