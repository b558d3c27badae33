"""The settings of a function: the only module that reads environment variables.

Variables that AWS's and other libraries read themselves are not here: AWS_* (botocore), POWERTOOLS_* (logger and
metrics) and PYDANTIC_DISABLE_PLUGINS. template.yaml sets every variable and says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class NotSet(Exception):
    """A variable that this function needs is not set: a defect of the deployment."""


RETENTION_DAYS = 400  # unless the stack says otherwise


class Settings(NamedTuple):
    """The variables of a deployment. A text that is not set is empty; a function asks for one that it needs with
    `required`.

    A named tuple, because each cold start of the check defines this class: a frozen dataclass takes five times as long.
    """

    # TOLLGATE_TABLE: the name of the DynamoDB table. No default.
    table: str = ""
    # TOLLGATE_BUS: the name of the EventBridge bus that events are sent to. No default.
    bus: str = ""
    # TOLLGATE_USAGE_QUEUE_URL: the URL of the SQS queue in which accepted uses wait to be counted. No default.
    usage_queue_url: str = ""
    # TOLLGATE_DEAD_LETTER_QUEUE_URL: the URL of the SQS queue for messages that could not be processed. No default.
    dead_letter_queue_url: str = ""
    # TOLLGATE_WEBHOOK_QUEUE_URL: the URL of the SQS queue of what webhooks are to be told. No default.
    webhook_queue_url: str = ""
    # TOLLGATE_WEBHOOK_DEAD_LETTER_QUEUE_URL: the URL of the SQS queue for deliveries that were given up on. No default.
    webhook_dead_letter_queue_url: str = ""
    # TOLLGATE_LOOPBACK_WEBHOOKS: `true` where webhooks of the sandbox may call this machine itself (management.md
    # 15.4). Default: false.
    loopback_webhooks: bool = False
    # TOLLGATE_ENDPOINT_URL: the URL of an AWS emulator. Default: AWS itself.
    endpoint_url: str = ""
    # TOLLGATE_RETENTION_DAYS: for how many days the history of usage is kept in the table. Default: 400.
    retention_days: int = RETENTION_DAYS
    # TOLLGATE_PERSIST_FREE_OVERAGE: `true` where a free grant that is overdrawn at a reset remains overdrawn by as
    # much (autumn.md 3.9). Default: false.
    persists_free_overage: bool = False
    # TOLLGATE_CARRY_OVER_USAGES: `true` where a plan that takes another's place deducts what was used of the other,
    # unless the attach says otherwise (management.md 6). Default: false.
    carries_usages: bool = False
    # METRIC_ACCESS_POLICY: whether Lotus's metric_access grants access where `all` of a customer's subscriptions allow
    # more usage, or where `any` does. Default: all.
    metric_access_policy: str = "all"
    # TOLLGATE_BROWSER_ORIGINS: the origins, with a comma between them, whose pages may read an answer (management.md
    # 14). Default: none.
    browser_origins: frozenset[str] = frozenset()
    # TOLLGATE_DENIAL_SECONDS: a container writes the denials that it counts at most once in so many seconds; 0 counts
    # none. Default: 0.
    denial_seconds: int = 0
    # TOLLGATE_CALLS_PER_KEY, TOLLGATE_CALLS_PER_CUSTOMER: how many calls a second of one key, of one customer are
    # answered (management.md 19). Default: 0, which is no limit.
    calls_per_key: int = 0
    calls_per_customer: int = 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """The settings in these variables. Raises ValueError where a number is not one."""
        text = environment.get
        return cls(
            table=text("TOLLGATE_TABLE", ""),
            bus=text("TOLLGATE_BUS", ""),
            usage_queue_url=text("TOLLGATE_USAGE_QUEUE_URL", ""),
            dead_letter_queue_url=text("TOLLGATE_DEAD_LETTER_QUEUE_URL", ""),
            webhook_queue_url=text("TOLLGATE_WEBHOOK_QUEUE_URL", ""),
            webhook_dead_letter_queue_url=text("TOLLGATE_WEBHOOK_DEAD_LETTER_QUEUE_URL", ""),
            loopback_webhooks=text("TOLLGATE_LOOPBACK_WEBHOOKS") == "true",
            endpoint_url=text("TOLLGATE_ENDPOINT_URL", ""),
            retention_days=int(text("TOLLGATE_RETENTION_DAYS") or RETENTION_DAYS),
            persists_free_overage=text("TOLLGATE_PERSIST_FREE_OVERAGE") == "true",
            carries_usages=text("TOLLGATE_CARRY_OVER_USAGES") == "true",
            metric_access_policy=text("METRIC_ACCESS_POLICY") or "all",
            denial_seconds=int(text("TOLLGATE_DENIAL_SECONDS") or 0),
            calls_per_key=int(text("TOLLGATE_CALLS_PER_KEY") or 0),
            calls_per_customer=int(text("TOLLGATE_CALLS_PER_CUSTOMER") or 0),
            browser_origins=frozenset(filter(None, text("TOLLGATE_BROWSER_ORIGINS", "").split(","))),
        )

    def required(self, name: str) -> str:
        """The text of the field `name`. Raises NotSet where it is empty."""
        value: str = getattr(self, name)
        if not value:
            raise NotSet(f"The setting {name} is not set: see tollgate/settings.py for its variable")
        return value
