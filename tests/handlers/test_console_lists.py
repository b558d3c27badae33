"""The console's list of customers opens with as many requests to the table whether there are 50 or 50,000.

The customers are generated as items; what is counted are the real handler's requests. That the page makes one call for it
is held in the browser (tests/e2e/console/test_customers.py).
"""

from __future__ import annotations

import json
from typing import Any

from tests.bench.growth.sites import Site
from tests.handlers.conftest import a_place
from tests.memory import Memory
from tests.service import FIXTURE
from tollgate import runtime
from tollgate.dialects.autumn.cursors import MOST_PAGES

PAGE = 25  # the console's
NEWEST, OLDEST = {"limit": PAGE, "sort_order": "desc"}, {"limit": PAGE, "sort_order": "asc"}
FIRST = "cust-00000"


def test_a_page_of_50_000_customers_takes_as_many_requests_as_one_of_50() -> None:
    """Newest first, oldest first, and the page after. One that is searched for is found within a bound: a page looks at
    so many of the list, and has a next one."""
    with a_place(FIXTURE) as here:
        client: Any = runtime.client("dynamodb")
        site = Site(here.handlers, here.service, client)
        site.http("manage", "POST /v1/customers.get_or_create", {"customer_id": FIRST, "name": FIRST}).call()
        clone(client, range(1, 50))
        few = requests(site, 50)
        clone(client, range(50, 50_000))
        many = requests(site, 50_000)
        assert many == few
        found = site.cost(site.http("manage", "POST /v1/customers.list", NEWEST | {"search": "cust-49999"}))
        assert few["newest first"] <= found.requests <= few["newest first"] + MOST_PAGES


def requests(site: Site, count: int) -> dict[str, int]:
    """The requests for each way that the console asks for a page, where there are so many customers."""
    answer = json.loads(site.http("manage", "POST /v1/customers.list", NEWEST).call())
    assert [each["id"] for each in answer["list"]] == [f"cust-{count - 1 - n:05}" for n in range(PAGE)]
    asked = {
        "newest first": NEWEST,
        "the next page": NEWEST | {"start_cursor": answer["next_cursor"]},
        "oldest first": OLDEST,
    }
    return {
        how: site.cost(site.http("manage", "POST /v1/customers.list", body)).requests for how, body in asked.items()
    }


def clone(client: Memory, numbers: range) -> None:
    """More customers like the first one, each made a millisecond after the one before."""
    (table,) = client._tables.values()
    stored = table[f"sandbox#customer#{FIRST}"]["CUSTOMER"]
    position, listed = min(table["sandbox#customers"].items())
    made = position.partition("#")[0].lstrip("0")
    for number in numbers:
        id, at = f"cust-{number:05}", int(made) + number
        sk = position.replace(made, str(at)).replace(FIRST, id)
        table["sandbox#customers"][sk] = {**listed, "sk": {"S": sk}}
        key = f"sandbox#customer#{id}"
        data = stored["data"]["S"].replace(FIRST, id).replace(made, str(at))
        table[key] = {"CUSTOMER": {**stored, "pk": {"S": key}, "data": {"S": data}}}
