"""Where a customer lives: one of two environments that never see each other's data."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Environment(StrEnum):
    """The sandbox is for trying things out and has test clocks; live is what is sold."""

    SANDBOX = "sandbox"
    LIVE = "live"


class CustomerRef(NamedTuple):
    """One customer of one environment. The same id in the other environment is another customer."""

    environment: Environment
    id: str
