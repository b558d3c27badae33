"""How many examples the property tests try, and from which seed.

`--hypothesis-profile` chooses: `tollgate` is usual, `fast` for every few minutes, `deep` for every few days. The seed is a
new one in each run, printed first and again when a property test fails; TOLLGATE_SEED or `--hypothesis-seed` repeats one.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import Phase, settings

MOST = 10_000  # examples of one test, however much it weighs

settings.register_profile("tollgate", max_examples=40, deadline=None, derandomize=False, print_blob=True)
settings.register_profile("fast", settings.get_profile("tollgate"), max_examples=8)
settings.register_profile("deep", settings.get_profile("tollgate"), max_examples=3000)
# For mutations: a failure is enough, nobody reads its smallest example.
settings.register_profile("mutants", settings.get_profile("tollgate"), max_examples=15, phases=[Phase.generate])
settings.load_profile("tollgate")


def examples(weight: float) -> int:
    """The examples of a test that needs `weight` times as many as others."""
    return max(1, min(MOST, int(weight * settings().max_examples)))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Chooses the seed, before Hypothesis looks for one; a worker has the one that was chosen for all."""
    if config.option.hypothesis_seed is None:
        given = getattr(config, "workerinput", {}).get("seed") or os.environ.get("TOLLGATE_SEED")
        config.option.hypothesis_seed = given or str(int.from_bytes(os.urandom(4), "big"))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist's: what a worker is told."""
    node.workerinput["seed"] = node.config.option.hypothesis_seed


def pytest_sessionstart(session: pytest.Session) -> None:
    usage_events = session.config.pluginmanager.get_plugin("terminalreporter")
    if usage_events and not hasattr(session.config, "workerinput"):
        usage_events.write_line(f"property tests: seed {session.config.option.hypothesis_seed}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    failed = [report.nodeid for report in terminalreporter.getreports("failed") if "hypothesis" in report.keywords]
    if failed:
        profile = settings.get_current_profile_name()
        options = f"--hypothesis-seed={config.option.hypothesis_seed} --hypothesis-profile={profile}"
        terminalreporter.section("property tests")
        terminalreporter.write_line("The same examples again:")
        for nodeid in dict.fromkeys(failed):
            terminalreporter.write_line(f"  .venv/bin/python -m pytest {options} '{nodeid}'")
