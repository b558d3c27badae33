"""The two environments, and a customer's place in one of them. Neither environment sees the other's data."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Environment(StrEnum):
    """Sandbox is for trials and has test clocks; live is for real customers."""

    SANDBOX = "sandbox"
    LIVE = "live"


class CustomerRef(NamedTuple):
    """One customer of one environment. The same id in the other environment is another customer."""

    environment: Environment
    id: str
