"""The settings of a function: the one place that reads the environment.

What AWS's and other libraries read for themselves is not here: AWS_* (botocore), POWERTOOLS_* (the logger and metrics) and
PYDANTIC_DISABLE_PLUGINS. template.yaml sets every variable, with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class NotSet(Exception):
    """A variable is missing that this function cannot do without: a defect of the deployment."""


class Settings(NamedTuple):
    """What a deployment says. Texts that are not set are empty; `required` is for those that a function cannot do without.

    A named tuple, because every start of the check defines it: a frozen dataclass takes five times as long.
    """

    # TOLLGATE_TABLE: the name of the DynamoDB table. No default.
    table: str = ""
    # TOLLGATE_BUS: the name of the EventBridge bus that events are sent to. No default.
    bus: str = ""
    # TOLLGATE_USAGE_QUEUE_URL: the URL of the SQS queue in which accepted uses wait to be counted. No default.
    usage_queue_url: str = ""
    # TOLLGATE_DEAD_LETTER_QUEUE_URL: the URL of the SQS queue for what is given up on. No default.
    dead_letter_queue_url: str = ""
    # TOLLGATE_ENDPOINT_URL: the URL of an emulator that stands for AWS. Default: AWS itself.
    endpoint_url: str = ""
    # TOLLGATE_RETENTION_DAYS: days that the history of usage is kept in the table. Default: 400.
    retention_days: int = 400
    # TOLLGATE_PERSIST_FREE_OVERAGE: `true` where a free balance that is overdrawn at a reset stays so by as much
    # (autumn.md 3.9). Default: false.
    persists_free_overage: bool = False
    # METRIC_ACCESS_POLICY: whether Lotus's metric_access asks that `all` of a customer's subscriptions leave something, or
    # `any`. Default: all.
    metric_access_policy: str = "all"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Raises ValueError where a number is none."""
        text = environment.get
        return cls(
            table=text("TOLLGATE_TABLE", ""),
            bus=text("TOLLGATE_BUS", ""),
            usage_queue_url=text("TOLLGATE_USAGE_QUEUE_URL", ""),
            dead_letter_queue_url=text("TOLLGATE_DEAD_LETTER_QUEUE_URL", ""),
            endpoint_url=text("TOLLGATE_ENDPOINT_URL", ""),
            retention_days=int(text("TOLLGATE_RETENTION_DAYS") or 400),
            persists_free_overage=text("TOLLGATE_PERSIST_FREE_OVERAGE") == "true",
            metric_access_policy=text("METRIC_ACCESS_POLICY") or "all",
        )

    def required(self, name: str) -> str:
        """The text of a field that must be set; raises NotSet where it is empty."""
        value: str = getattr(self, name)
        if not value:
            raise NotSet(f"The setting {name} is not set: see tollgate/settings.py for its variable")
        return value
