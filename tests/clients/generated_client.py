"""An application over a client that openapi-python-client made of docs/openapi/autumn.json: mypy --strict reads it, then
it runs. Arguments: the address of the stack and a secret key."""

import json
import sys
import time
from typing import TypeVar

from autumn_client import AuthenticatedClient
from autumn_client.api.balances import balances_check, balances_finalize, balances_track
from autumn_client.api.customers import customers_get_or_create
from autumn_client.api.features import features_create
from autumn_client.api.plans import plans_create
from autumn_client.api.subscriptions import billing_attach
from autumn_client.models import (
    Attached,
    AttachParams,
    BalancesCheckResponse404Type0,
    CheckBody,
    CreateFeatureParams,
    CreateFeatureParamsType,
    CreatePlanParams,
    Customer,
    FeatureCheck,
    FinalizeParams,
    FinalizeParamsAction,
    GetOrCreateCustomerParams,
    LockParams,
    ManagedFeature,
    Plan,
    PlanItemParams,
    ResetParams,
    ResetParamsInterval,
    Success,
    TrackAnswer,
    TrackParams,
)

T = TypeVar("T")


def known(answer: object, kind: type[T]) -> T:
    """The answer, which must be of this kind."""
    assert isinstance(answer, kind), answer
    return answer


def remaining(answer: FeatureCheck | TrackAnswer) -> float | None:
    """What is left of the balance that an answer shows."""
    return answer.balance.remaining if answer.balance else None


url, key = sys.argv[1:]
api = AuthenticatedClient(base_url=url, token=key)
id = f"generated-py-{time.time_ns()}"
item = PlanItemParams(feature_id=id, included=100, reset=ResetParams(interval=ResetParamsInterval.MONTH))
feature = CreateFeatureParams(name="Messages", feature_id=id, type_=CreateFeatureParamsType.METERED, consumable=True)

known(features_create.sync(client=api, body=feature), ManagedFeature)
known(plans_create.sync(client=api, body=CreatePlanParams(name="Plan", plan_id=id, items=[item])), Plan)
known(customers_get_or_create.sync(client=api, body=GetOrCreateCustomerParams(customer_id=id)), Customer)
attached = known(billing_attach.sync(client=api, body=AttachParams(customer_id=id, plan_id=id)), Attached)


def check(body: CheckBody) -> FeatureCheck:
    """One check of a feature."""
    return known(balances_check.sync(client=api, body=body), FeatureCheck)


counted = check(CheckBody(customer_id=id, feature_id=id, required_balance=10, send_event=True))
use = TrackParams(customer_id=id, feature_id=id, value=5, async_=False)
tracked = known(balances_track.sync(client=api, body=use), TrackAnswer)
lock = LockParams(lock_id=id, enabled=True)
held = check(CheckBody(customer_id=id, feature_id=id, required_balance=20, lock=lock))
confirm = FinalizeParams(lock_id=id, action=FinalizeParamsAction.CONFIRM, override_value=8)
finalized = known(balances_finalize.sync(client=api, body=confirm), Success)
after = check(CheckBody(customer_id=id, feature_id=id))
unknown = balances_check.sync_detailed(client=api, body=CheckBody(customer_id=f"{id}-unknown", feature_id=id))
refused = known(unknown.parsed, BalancesCheckResponse404Type0)

print(
    json.dumps(
        {
            "attached": attached.customer_id == id,
            "counted": remaining(counted),
            "tracked": remaining(tracked),
            "held": remaining(held),
            "finalized": finalized.success,
            "after": remaining(after),
            "refused": [unknown.status_code, refused.code],
        }
    )
)
