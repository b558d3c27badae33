"""`tollgate import` and `tollgate shadow` as they are typed, between two services over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.described import printed_wrong
from tests.e2e.moving_in import Target, moved_in
from tests.handlers.conftest import a_place
from tests.http_service import Answers, Asked, Said, served, tollgate
from tests.vendor_services import AutumnService, autumn_customer, service
from tollgate.domain.api_keys import Scope
from tollgate.domain.environments import Environment
from tollgate_cli import stack
from tollgate_cli.__main__ import app

KEY = "am_sk_live_old"


def test_import_and_then_shadow(tmp_path: Path) -> None:
    autumn = AutumnService(autumn_customer, 3)
    with a_place(()) as here:
        _, key = here.service.api_keys.create(Environment.LIVE, Scope.SECRET, "moving", 0)
        with service(autumn.routes(), KEY) as (url, calls), served(tollgate({key: "live"})) as own:
            target = Target(own, key, here.service.table)
            done = moved_in("autumn", url, KEY, target, tmp_path / "in", more="--no-checks")
            assert (done.code, done.told) == (3, []), done.printed  # the catalog alone has what cannot be carried
            again = moved_in("autumn", url, KEY, target, tmp_path / "in", more="--no-checks --json")
            told = json.loads(again.printed)
            assert (told["customers"]["compared"], told["report"][-5:]) == (3, ".json")
            assert printed_wrong("import", told) == ""
            wrong = moved_in("autumn", url, "am_sk_test_old", target, tmp_path / "wrong")
            assert "the key of Autumn is one of sandbox, not of live" in wrong.printed
            trace = tmp_path / "trace.jsonl"
            checks = [{"customer_id": "customer-00001", "feature_id": "messages", "send_event": True}]
            trace.write_text("".join(f"{json.dumps(check)}\n" for check in checks))
            before = len(calls)
            words = ["shadow", "--trace", str(trace), "--from", url, "--key-env", "OLD", "--env", "live", "--verdict"]
            variables = {"OLD": KEY, "TOLLGATE_URL": own, "TOLLGATE_LIVE_SECRET_KEY": key, "COLUMNS": "80"}
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(stack, "environment_table", lambda: here.service.table)
                alike = CliRunner().invoke(app, words, env=variables)
                assert (alike.exit_code, "all were answered alike" in alike.output) == (0, True), alike.output
                as_json = CliRunner().invoke(app, [*words, "--json"], env=variables)
                assert json.loads(as_json.stdout) == {"checks": 1, "differ": []}
                assert all("send_event" not in (call.body or {}) for call in calls[before:])
                trace.write_text('{"customer_id": "c"}\n')
                wrong_line = CliRunner().invoke(app, words, env=variables)
                assert "trace.jsonl:1: feature_id" in str(wrong_line.exception)


def test_shadow_tells_where_answers_differ(tmp_path: Path) -> None:
    """By customer and feature: how often, and the first answers that did; nothing of theirs is obeyed by a terminal."""
    hostile = "\x1b[2Jcustomer"
    answers = {"c1": (5, 3), "c2": (4, 4), hostile: (1, 0)}  # what remains there, and here

    def answering(side: int) -> Answers:
        def answer(asked: Asked) -> Said:
            if asked.path != "/v1/check":
                return Said({"env": "live", "list": []})
            assert "send_event" not in asked.body
            remaining = answers[asked.body["customer_id"]][side]
            wanted = asked.body.get("required_balance", 1)
            balance = {"remaining": remaining, "usage": 0, "granted": 5, "unlimited": False}
            return Said({"allowed": remaining >= wanted, "balance": balance, "flag": None})

        return answer

    trace, report = tmp_path / "trace.jsonl", tmp_path / "differs.json"
    asked = [("c1", 1), ("c1", 4), ("c2", 4), (hostile, 1)]
    trace.write_text(
        "".join(
            json.dumps({"customer_id": who, "feature_id": "f", "required_balance": many, "send_event": True}) + "\n"
            for who, many in asked
        )
    )
    with a_place(()) as here, served(answering(0)) as there, served(answering(1)) as own:
        key = here.service.api_keys.create(Environment.LIVE, Scope.SECRET, "", 0)[1]
        words = ["shadow", "--trace", str(trace), "--from", there, "--key-env", "OLD", "--env", "live", "--rate", "0"]
        variables = {"OLD": KEY, "TOLLGATE_URL": own, "TOLLGATE_LIVE_SECRET_KEY": key, "COLUMNS": "80"}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stack, "environment_table", lambda: here.service.table)

            def run(*more: str) -> tuple[int, str]:
                done = CliRunner().invoke(app, [*words, *more], env=variables)
                return done.exit_code, done.output

            code, shown = run("--report", str(report))
            of_verdicts, told = run("--verdict", "--json")
    assert (code, of_verdicts) == (3, 3)
    assert "4 checks; answers differ for 2 of 3 customers and features." in shown
    assert "2 of 2" in shown
    assert "\x1b" not in shown
    assert printed_wrong("shadow", json.loads(told)) == ""
    differ = {each["customer"]: each for each in json.loads(report.read_text())["differ"]}
    assert set(differ) == {"c1", hostile}
    assert (differ["c1"]["asked"], differ["c1"]["differed"]) == (2, 2)
    allowed = {each["customer"]: (each["differed"], each["there"], each["here"]) for each in json.loads(told)["differ"]}
    yes_and_no = (1, {"allowed": True}, {"allowed": False})
    assert allowed == {"c1": yes_and_no, hostile: yes_and_no}
