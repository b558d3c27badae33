"""What calls cost does not grow with what is stored (docs/scale.md): each axis of `make growth`, at its middle size or
200."""

from __future__ import annotations

import pytest

from tests.bench.growth.axes import AXES
from tests.bench.growth.sites import Axis, Site
from tests.handlers.conftest import a_place
from tests.service import FIXTURE
from tollgate import runtime

HELD = [axis for axis in AXES if axis.held]


@pytest.mark.parametrize("axis", HELD, ids=[f"{axis.call} at {axis.grows}" for axis in HELD])
def test_a_call_stays_within_its_bound(axis: Axis) -> None:
    with a_place(FIXTURE) as here:
        site = Site(here.handlers, here.service, runtime.client("dynamodb"))
        assert axis.broken(site.cost(axis.made(site, min(axis.sizes[1], 200)))) == []
