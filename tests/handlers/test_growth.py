"""What calls cost does not grow with what is stored (docs/scale.md): each axis of `make growth`, at its middle size or
200."""

from __future__ import annotations

from itertools import groupby

import pytest

from tests.bench.growth.axes import AXES
from tests.bench.growth.sites import Axis, Site
from tests.handlers.conftest import a_place
from tests.service import FIXTURE
from tollgate import runtime

SHARED = ("customers", "uses", "entities with shares")  # a site is filled with them once
HELD = [axis for axis in AXES if axis.held]
SITES = [list(axes) for _, axes in groupby(HELD, lambda axis: axis.grows if axis.grows in SHARED else axis.call)]


@pytest.mark.parametrize("axes", SITES, ids=[f"{axes[0].call} at {axes[0].grows}" for axes in SITES])
def test_calls_stay_within_their_bounds(axes: list[Axis]) -> None:
    with a_place(FIXTURE) as here:
        site = Site(here.handlers, here.service, runtime.client("dynamodb"))
        broken = {axis.call: axis.broken(site.cost(axis.made(site, min(axis.sizes[1], 200)))) for axis in axes}
        assert not any(broken.values()), broken
