"""The pages' own blocks, run against the deployed stack as a reader would: those of shell and Python, each in a new
customer's name, and answered as the page says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.documents import PAGES, Block, all_blocks, blocks
from tests.e2e.fixture import new
from tests.http_events import assert_contains
from tollgate_cli.api import Api
from tollgate_cli.stack import CUSTOMER, Stack

FAIL_LOUDLY = 'set -euo pipefail; curl() { command curl --fail-with-body --noproxy "*" "$@"; echo; }\n'
ANSWERS = {
    block: answer.text for page in PAGES for block, answer in pairwise(blocks(page)) if answer.language == "json"
}
RUN = [
    block
    for block in all_blocks()
    if block.language in ("sh", "python") and not block.is_commands and block.not_run is None
]


@pytest.fixture
def place(stack: Stack, tmp_path: Path) -> Path:
    """Where a reader stands: a directory with the stack's `.local/`."""
    (tmp_path / ".local").symlink_to(stack.state)
    return tmp_path


def test_the_readme_has_a_call_with_its_answer_and_one_in_python() -> None:
    readme = [block for block in RUN if block.page == ROOT / "README.md"]
    assert {block.language for block in readme} == {"sh", "python"}
    assert any(block in ANSWERS for block in readme)


@pytest.mark.parametrize("block", RUN, ids=lambda block: block.page.relative_to(ROOT).as_posix())
def test_a_block_runs_and_is_answered_as_its_page_says(block: Block, stack: Stack, place: Path) -> None:
    customer, api = new("reader"), Api(stack.url, stack.secret_key)
    api.call("customers.get_or_create", {"customer_id": customer})
    api.call("billing.attach", {"customer_id": customer, "plan_id": "pro"})
    interpreter = ["bash", "-c", FAIL_LOUDLY] if block.language == "sh" else [sys.executable, "-c", ""]
    interpreter[2] += block.text.replace(CUSTOMER, customer).replace("run-42", new("run"))
    variables = {"TOLLGATE_URL": stack.url, "TOLLGATE_SECRET_KEY": stack.secret_key, "no_proxy": "*"}
    done = subprocess.run(
        interpreter, cwd=place, env=os.environ | variables, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if block in ANSWERS:
        assert_contains(json.loads(done.stdout), _named(json.loads(ANSWERS[block]), customer))


def _named(answer: Any, customer: str) -> Any:
    """The page's answer without what it leaves out, for this customer."""
    if isinstance(answer, dict):
        return {key: _named(value, customer) for key, value in answer.items() if key != "…"}
    return customer if answer == CUSTOMER else answer
