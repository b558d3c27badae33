"""The catalog file: what it may hold, how what is wrong with it is told, and in which order changes are made."""

from __future__ import annotations

import io
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from rich.console import Console

from tests.catalog_everything import everything, said, sayable
from tests.catalog_files import catalog_files, texts
from tests.conftest import ROOT
from tests.profiles import examples
from tollgate.dialects.autumn import catalog as autumn
from tollgate.dialects.autumn import controls
from tollgate_cli import stack
from tollgate_cli.catalog import file, model, report, yaml_text
from tollgate_cli.catalog.changes import Action, ChangeError, Changes, changes_to
from tollgate_cli.catalog.file import Catalog
from tollgate_cli.catalog.yaml_text import Position, TextError

SCHEMA = ROOT / "docs" / file.SCHEMA


class TestText:
    @pytest.mark.property
    @given(
        st.recursive(
            st.none() | st.booleans() | texts | st.integers() | st.decimals(allow_nan=False, allow_infinity=False),
            lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
        )
    )
    def test_what_is_written_is_read_back_digit_for_digit(self, value: Any) -> None:
        found = yaml_text.read(yaml_text.write(value).encode()).value
        assert found == value
        assert repr(_types(found)) == repr(_types(value))

    def test_only_what_json_calls_a_number_is_one(self) -> None:
        """management.md 2: by JSON's grammar."""
        text = b"[0.1, -7, 1e3, 1_000, 0x10, +1, .5, 010, 1:30, 2020-01-01, yes, no, True, 'true', \"1\", .inf, ~, null, true]"
        numbers = [Decimal("0.1"), -7, Decimal(1000)]
        words = ["1_000", "0x10", "+1", ".5", "010", "1:30", "2020-01-01", "yes", "no", "True", "true", "1", ".inf"]
        assert yaml_text.read(text).value == [*numbers, *words, None, None, True]

    @pytest.mark.parametrize(
        ("text", "place", "rule"),
        [
            (b"a: [1", (1, 6), "is no YAML"),
            (b"a: 1\nb: 2\na: 3", (3, 1), "names a again"),
            (b"a: \xff", (1, 1), "is no text in UTF-8"),
            (b"a: 1\n\tb: 2", (2, 1), "is no YAML"),
            (b"a: 1\n---\nb: 2", (2, 1), "another document"),
            (b"a: &x [*x]", (1, 4), "or itself, by aliases"),
            (b"[" * 3000, (1, 1), "nested too deeply"),
            (b"? [a]\n: 1", (1, 3), "the name of a field must be text"),
            (b"a: !!python/object:os.system 1", (1, 4), "has the tag"),
        ],
    )
    def test_what_is_no_yaml_is_told_with_its_place(self, text: bytes, place: tuple[int, int], rule: str) -> None:
        with pytest.raises(TextError, match=re.escape(rule)) as caught:
            yaml_text.read(text)
        assert caught.value.position == Position(*place)

    def test_aliases_cannot_name_more_than_a_memory_holds(self) -> None:
        lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
        with pytest.raises(TextError, match="too many values"):
            yaml_text.read("\n".join(lines).encode())


def _types(value: Any) -> Any:
    """The value with what Python holds equal told apart."""
    if isinstance(value, dict):
        return {name: _types(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_types(each) for each in value]
    return "number" if isinstance(value, int | Decimal) and not isinstance(value, bool) else value


MATTERS_OF_COURSE = {
    (model.AutoTopUp, "enabled", False),
    (model.AutoTopUp, "invoice_mode", False),
    (model.Feature, "archived", False),
    (model.Feature, "consumable", False),
    (model.Plan, "archived", False),
    (model.Plan, "add_on", False),
    (model.Plan, "auto_enable", False),
    (model.FreeTrial, "card_required", False),
    (model.Item, "is_enabled", True),
    (model.Item, "is_soft_limit", False),
    (model.Item, "unlimited", False),
    (model.Item, "usage_limit", None),  # another name of `included`
    (model.SpendLimit, "enabled", True),
    (model.SpendLimit, "limit_type", "absolute"),
    (model.UsageLimit, "enabled", True),
    (model.UsageLimit, "anchor", "billing_cycle"),
    (model.UsageAlert, "enabled", True),
    (model.OverageAllowed, "enabled", True),
}
"""What a file need not say: `pull` leaves it out, and nothing else."""


def differing(kept: Any, given: Any, path: str = "") -> list[str]:
    """Where what is kept says something that was not given so."""
    if isinstance(kept, dict):
        given = given | ({"included": given["usage_limit"]} if "usage_limit" in given else {})
        return [told for name in kept for told in differing(kept[name], given.get(name), f"{path}.{name}")]
    if isinstance(kept, list) and isinstance(given, list) and len(kept) == len(given):
        return [
            told for n, pair in enumerate(zip(kept, given, strict=True)) for told in differing(*pair, f"{path}[{n}]")
        ]
    return [] if kept == given else [f"{path}: {given} → {kept}"]


class TestModel:
    def test_the_schema_is_generated(self) -> None:
        """`tollgate catalog schema docs/tollgate.schema.json` writes it."""
        assert SCHEMA.read_bytes() == model.schema()

    def test_the_first_line_of_a_file_names_its_schema(self) -> None:
        assert file.text(Catalog({}, {})).splitlines()[0] == b"# yaml-language-server: $schema=tollgate.schema.json"
        first = stack.CATALOG.read_text().splitlines()[0]
        assert (stack.CATALOG.parent / first.partition("$schema=")[2]).resolve() == SCHEMA

    @pytest.mark.property
    @settings(max_examples=examples(0.4))
    @given(catalog_files())
    def test_the_schema_lets_through_what_is_right(self, value: Any) -> None:
        jsonschema.validate(value, json.loads(SCHEMA.read_text()))
        assert file.checked(value)[1] == []

    def test_a_file_can_say_everything(self) -> None:
        """management.md 2, 3: every field and every choice is tried (here, and in tests/handlers/test_catalog_file.py)."""
        value = everything()
        assert {*sayable(model.Catalog)} - {*said(model.Catalog.model_validate(value))} == set()
        jsonschema.validate(value, json.loads(SCHEMA.read_text()))
        catalog, problems = file.checked(value)
        assert problems == []
        written = yaml_text.read(file.text(catalog)).value
        left_out = {*said(model.Catalog.model_validate(value))} - {*said(model.Catalog.model_validate(written))}
        assert left_out == MATTERS_OF_COURSE
        for noun, id in (("features", "feature_id"), ("plans", "plan_id")):
            given, kept = ({body[id]: body for body in each[noun]} for each in (value, written))
            assert list(given) == list(kept)
            assert differing(kept, given) == []

    def test_the_schema_refuses_what_is_not(self) -> None:
        schema = json.loads(SCHEMA.read_text())
        feature = {"feature_id": "a", "name": "A", "type": "metered"}
        jsonschema.validate({"features": [feature]}, schema)
        for wrong in ({"typ": 1}, {"feature_id": "a#b"}, {"type": "gauge"}, {"consumable": "yes"}, {"name": 1}):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate({"features": [feature | wrong]}, schema)

    @pytest.mark.parametrize(
        ("request_model", "file_model", "without"),
        [
            (autumn.CreateFeatureParams, model.Feature, set()),
            (autumn.Display, model.Display, set()),
            (autumn.CreditParams, model.Credit, set()),
            (autumn.GroupParams, model.Group, set()),
            (autumn.ReportingUnitParams, model.ReportingUnit, set()),
            (autumn.AlertSettingsParams, model.AlertSettings, set()),
            (autumn.ThresholdParams, model.Threshold, set()),
            (autumn.MeterParams, model.Meter, set()),
            (autumn.AggregationParams, model.Aggregation, set()),
            (autumn.MeterFilterParams, model.MeterFilter, set()),
            (autumn.ModelMarkupParams, model.ModelMarkup, set()),
            (autumn.ProviderMarkupParams, model.ProviderMarkup, set()),
            (controls.FilterParams, model.UsageFilter, set()),
            (autumn.CreatePlanParams, model.Plan, {"config"}),
            (autumn.PlanItemParams, model.Item, set()),
            (autumn.ResetParams, model.Reset, set()),
            (autumn.ItemPriceParams, model.ItemPrice, set()),
            (autumn.TierParams, model.Tier, set()),
            (autumn.RolloverParams, model.Rollover, {"duration", "length"}),
            (autumn.BasePriceParams, model.BasePrice, set()),
            (autumn.FreeTrialParams, model.FreeTrial, {"duration", "length", "on_end"}),
            (controls.ControlsParams, model.Controls, set()),
            (controls.SpendLimitParams, model.SpendLimit, {"skip_overage_billing"}),
            (controls.UsageLimitParams, model.UsageLimit, set()),
            (controls.UsageAlertParams, model.UsageAlert, set()),
            (controls.OverageAllowedParams, model.OverageAllowed, set()),
        ],
    )
    def test_a_file_has_every_field_of_the_api(
        self, request_model: type[BaseModel], file_model: type[BaseModel], without: set[str]
    ) -> None:
        """management.md 2, 3. Without older names of the same, and what is ignored."""
        assert set(file_model.model_fields) - {"archived"} == set(request_model.model_fields) - without


WRONG = """\
features:
  - feature_id: calls
    name: 12
    typ: metered
    consumable: yes
plans:
  - plan_id: a#b
    name: A
    items:
      - feature_id: calls
        included: 1_000
        reset: {interval: monthly}
        price: {amount: 0.00000000001, billing_method: prepaid}
"""
UNFIT = """\
features:
  - {feature_id: calls, name: Calls, type: metered}
  - feature_id: coins
    name: Coins
    type: credit_system
    credit_schema: [{metered_feature_id: none, credit_cost: 1}]
  - {feature_id: calls, name: Again, type: metered}
plans:
  - plan_id: a
    name: A
    items:
      - feature_id: calls
        reset: {interval: day}
  - plan_id: b
    name: B
    billing_controls:
      usage_limits:
        - {feature_id: missing, limit: 1, interval: day}
"""


class TestProblems:
    @pytest.mark.parametrize(
        ("text", "told"),
        [
            (
                WRONG,
                [
                    "2:5: features[0].type is required",
                    "3:5: features[0].name must be text (in quotes where it looks like something else), and is a number",
                    "4:5: features[0].typ is no field here: is type meant?",
                    "5:5: features[0].consumable must be true or false, and is a string",
                    "7:5: plans[0].plan_id must be 1 to 256 visible ASCII characters other than '#'",
                    "11:9: plans[0].items[0].included must be a number (received string)",
                    "12:17: plans[0].items[0].reset.interval must be one of 'one_off', 'minute', 'hour', 'day', 'week',"
                    " 'month', 'quarter', 'semi_annual' or 'year'",
                    "13:9: plans[0].items[0].price.interval is required",
                    "13:17: plans[0].items[0].price.amount must have at most ten decimals",
                ],
            ),
            (
                UNFIT,
                [
                    "6:22: features[1].credit_schema[0].metered_feature_id there is no feature none in this file",
                    "7:6: features[2].feature_id calls is in the file already",
                    "13:9: plans[0].items[0].reset an allocated feature does not reset",
                    "18:12: plans[1].billing_controls.usage_limits[0].feature_id there is no feature missing in this file",
                ],
            ),
            (
                "plans:\n  - {plan_id: a, name: A, auto_enable: true}\n  - {plan_id: b, name: B, auto_enable: true}\n",
                ["1:1: plans Automatic plans must not replace each other: these share a group (a, b)"],
            ),
            ("", ["1:1: the file holds nothing: a catalog has features or plans"]),
            ("- 1\n", ["1:1: the file must be an object, and is an array"]),
            ("plans: {a: 1}\n", ["1:1: plans must be a list, and is an object"]),
        ],
    )
    def test_all_that_is_wrong_is_told_with_line_and_field(self, tmp_path: Path, text: str, told: list[str]) -> None:
        path = tmp_path / "tollgate.yaml"
        path.write_text(text)
        with pytest.raises(file.FileError) as caught:
            file.load(path)
        assert str(caught.value).splitlines() == [f"{path}:{line}" for line in told]

    def test_a_file_that_cannot_be_read_or_written_is_told(self, tmp_path: Path) -> None:
        for path in (tmp_path, tmp_path / "none.yaml"):
            with pytest.raises(file.FileError, match=re.escape(str(path))):
                file.load(path)
        with pytest.raises(file.FileError, match="No such file"):
            file.save(tmp_path / "none" / "tollgate.yaml", b"")
        with pytest.raises(file.FileError, match="Is a directory"):
            file.save(tmp_path, b"")
        assert list(tmp_path.iterdir()) == []


def catalog(*bodies: dict[str, Any]) -> Catalog:
    return Catalog(
        {body["feature_id"]: body for body in bodies if "feature_id" in body},
        {body["plan_id"]: body for body in bodies if "plan_id" in body},
    )


CALLS = {"feature_id": "calls", "name": "Calls", "type": "metered"}
COINS = {"feature_id": "coins", "name": "Coins", "type": "credit_system"}
TEAM = {"plan_id": "team", "name": "Team", "items": [{"feature_id": "calls", "included": 5}]}
AUTOMATIC = {"plan_id": "auto", "name": "Auto", "auto_enable": True}
NOTHING = Catalog({}, {})


class TestChanges:
    def test_what_is_named_is_made_before_what_names_it_and_goes_after(self) -> None:
        made = changes_to(NOTHING, catalog(AUTOMATIC, TEAM, COINS, CALLS))
        assert [change.id for change in made.each] == ["calls", "coins", "team", "auto"]
        gone = changes_to(catalog(CALLS, COINS, TEAM, AUTOMATIC), NOTHING, ["calls", "coins", "team", "auto"])
        assert [change.id for change in gone.each] == ["team", "auto", "coins", "calls"]

    def test_an_automatic_plan_that_goes_does_so_before_another_comes(self) -> None:
        other = {**AUTOMATIC, "plan_id": "a-new-one"}
        changes = changes_to(catalog(AUTOMATIC), catalog(other), ["auto"])
        assert [(change.action, change.id) for change in changes.each] == [
            (Action.REMOVE, "auto"),
            (Action.CREATE, "a-new-one"),
        ]

    def test_a_call_says_what_differs_and_nothing_else(self) -> None:
        old = {**TEAM, "group": "main", "metadata": {"tier": 1}}
        (change,) = changes_to(catalog(CALLS, old), catalog(CALLS, {**TEAM, "metadata": {"tier": True}})).each
        assert change.body == {"plan_id": "team", "group": None, "metadata": {"tier": True}}

    def test_two_states_of_one_change_have_names_of_their_own(self) -> None:
        """The same change of another state, or in another environment, is another one."""
        wanted = catalog(CALLS)
        changes = [changes_to(there, wanted) for there in (NOTHING, catalog({**CALLS, "name": "C"}))]
        names = {each.fingerprint(environment) for each in changes for environment in ("sandbox", "live")}
        assert len(names) == 4
        assert changes_to(NOTHING, wanted).fingerprint("live") == changes[0].fingerprint("live")

    def test_entries_of_a_list_are_told_by_their_feature(self) -> None:
        items = [{"feature_id": "calls", "included": 7}, {"feature_id": "calls", "reset": {"interval": "day"}}]
        (change,) = changes_to(catalog(CALLS, TEAM), catalog(CALLS, {**TEAM, "items": items})).each
        assert [tuple(each) for each in change.differences] == [
            ("items[calls].included", 5, 7),
            ("items[calls per day]", None, items[1]),
        ]
        (change,) = changes_to(catalog({**TEAM, "items": items}), catalog({**TEAM, "items": items[::-1]})).each
        assert [each.path for each in change.differences] == ["items (order)"]

    def test_what_cannot_be_is_refused(self) -> None:
        with pytest.raises(ChangeError, match="type cannot be changed"):
            changes_to(catalog(CALLS), catalog({**CALLS, "type": "boolean"}))
        with pytest.raises(ChangeError, match="take it out of the file first"):
            changes_to(catalog(CALLS), catalog(CALLS), ["calls"])


def shown(changes: Changes, width: int = 80, *, colored: bool = False) -> str:
    output = io.StringIO()
    console = Console(file=output, width=width, force_terminal=colored, color_system="standard" if colored else None)
    report.show(console, changes, "sandbox")
    return output.getvalue()


class TestReport:
    def test_it_fits_the_terminal_and_acts_on_nothing(self) -> None:
        evil = "\x1b[31m[bold]" + "x" * 300
        changes = changes_to(NOTHING, catalog({**CALLS, "name": evil, "metadata": {evil: [evil]}}))
        for width in (40, 80):
            text = shown(changes, width)
            assert all(len(line) <= width for line in text.splitlines())
            assert "\x1b" not in text
            assert "[bold]" in text

    def test_colors_come_on_a_terminal_unless_they_are_not_wanted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        changes = changes_to(NOTHING, catalog(CALLS))
        assert "\x1b[1;32m+ feature calls" in shown(changes, colored=True)
        monkeypatch.setenv("NO_COLOR", "1")
        assert "\x1b[1;32m" not in shown(changes, colored=True)
