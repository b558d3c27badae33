"""`tollgate import`, as the process that it is, is killed on its way and typed again: everything arrives, once."""

from __future__ import annotations

import random
from pathlib import Path

from tests.bench.moving import Kill, moved
from tollgate_cli.servers import Server


def test_a_killed_import_goes_on_and_everything_arrives_exact(servers: dict[str, Server], tmp_path: Path) -> None:
    """While it writes and while it compares; `python -m tests.bench.moving` does so with ten thousand, and while it reads."""
    kills = [Kill("written", random.randrange(1, 80)), Kill("compared", random.randrange(1, 80))]
    done = moved(tmp_path, servers["DynamoDB Local"].url, 100, kills, "--no-checks")
    assert done.killed == kills
    assert max(done.peaks) < 150
