"""Every sample under events/ invokes its handler and gets the answer that events/answers.json documents."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.handlers.conftest import Here
from tests.http_events import assert_contains
from tollgate.dialects.routing import match
from tollgate_cli import stack
from tollgate_cli.catalog import file

EVENTS = ROOT / "events"
ANSWERS: dict[str, Any] = json.loads((EVENTS / "answers.json").read_text())
NO_SAMPLE_ROUTES = {
    *("ANY /api/{proxy+}", "GET /console", "GET /console/{proxy+}"),  # the console's answers are files
    *(
        "GET /docs",
        "GET /docs/{file}",
        "GET /openapi/{file}",
        "GET /llms.txt",
    ),  # their pages are there when the function is built
}
NO_SAMPLES = {"answers", "env", "usage_reported"}  # the last is what a producer puts on the bus

CONTEXT = SimpleNamespace(
    function_name="f", memory_limit_in_mb=512, invoked_function_arn="arn:aws:lambda:us-east-1:0:f", aws_request_id="r"
)


def sample(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


@pytest.fixture(scope="module")
def stocked(here: Here) -> Here:
    """What `make up` leaves: the example catalog, and customer-1 on the plan `pro`."""
    catalog = file.load(stack.CATALOG)
    for noun, bodies in (("features", catalog.features), ("plans", catalog.plans)):
        for body in bodies.values():
            assert here.call("manage", f"POST /v1/{noun}.create", body)[0] in (200, 409)
    for rpc in ("customers.get_or_create", "billing.attach"):
        assert here.call("manage", f"POST /v1/{rpc}", {"customer_id": "customer-1", "plan_id": "pro"})[0] == 200
    return here


@pytest.mark.parametrize("name", ANSWERS)
def test_a_sample_gets_its_documented_answer(stocked: Here, name: str) -> None:
    documented = ANSWERS[name]
    function = re.sub(r"(?<!^)(?=[A-Z])", "_", documented["function"].removesuffix("Function")).lower()
    handler = stocked.handlers[function]
    if "raises" in documented:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - the file names the type
            handler(sample(name), CONTEXT)
        assert type(caught.value).__name__ == documented["raises"]
        return
    answer = handler(sample(name), CONTEXT)
    if "answer" in documented:
        assert answer == documented["answer"]
        return
    assert answer["statusCode"] == documented["status"], answer["body"]
    assert_contains(json.loads(answer["body"]), documented["body"])


def test_every_sample_is_documented_and_every_route_has_one() -> None:
    names = {path.stem for path in EVENTS.glob("*.json")} - NO_SAMPLES
    assert names == set(ANSWERS)
    sampled = {sample(name).get("routeKey") for name in names}
    template = (ROOT / "template.yaml").read_text()
    routes = set(re.findall(r'RouteKey: "([^"]+)"', template))
    alike = set(
        re.findall(r'NounRoute:\n.*\n.*RouteKey: "([^"]+)"', template)
    )  # nouns that are not served: one is enough
    assert len(alike & sampled) == 1
    assert routes - alike - NO_SAMPLE_ROUTES <= sampled


def test_every_path_of_autumns_that_manage_serves_has_a_sample(here: Here) -> None:
    """Those of a noun that Flexprice has too are sent to the function `entitlements`, which has them as well."""
    served = here.handlers["manage"].__globals__
    sampled = set()
    for name, documented in ANSWERS.items():
        event = sample(name)
        of_autumn = "x-api-key" not in event.get("headers", {}) and name not in ("not_served", "events")
        if documented["function"] in ("ManageFunction", "EntitlementsFunction") and of_autumn:
            found = match(served["ROUTES"], f"{event['requestContext']['http']['method']} {event['rawPath']}")
            assert found is not None, name
            sampled.add(found.template)
    assert sampled == set(served["ROUTES"])
