"""All axes, in the order in which they are shown. Each module of axes adds its own list here."""

from __future__ import annotations

from tests.bench.growth.entities import ENTITIES
from tests.bench.growth.lists import LISTS
from tests.bench.growth.sites import Axis

AXES: tuple[Axis, ...] = (*LISTS, *ENTITIES)
