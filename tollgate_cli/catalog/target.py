"""The catalog of an environment, behind the public API: reading it, and making changes to it one after another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from tollgate.domain.environments import Environment
from tollgate_cli.api import Api, ApiError
from tollgate_cli.catalog.changes import VERSIONED, Action, Change, ChangeError, Changes
from tollgate_cli.catalog.file import Catalog
from tollgate_cli.catalog.shapes import Body, body_of_feature, body_of_plan, same

_PAGE = 200
_ID = {"feature": "feature_id", "plan": "plan_id"}


class Target:
    """One environment, under a secret key of it."""

    def __init__(self, api: Api, environment: Environment) -> None:
        self.environment = environment
        self.api = api

    @property
    def name(self) -> str:
        """What it is called to people."""
        return f"{self.environment.value} at {self.api.url}"

    def check_key(self) -> None:
        """Raises ChangeError where the key opens another environment."""
        answer = self.api.exact("organization/me")
        opened = answer.get("env") if isinstance(answer, dict) else None
        if opened is None:
            raise ChangeError(f"{self.api.url} is no API of Tollgate's")
        if opened != self.environment.value:
            raise ChangeError(f"the key is one of {opened}, not of {self.environment.value}: nothing was changed")

    def catalog(self) -> Catalog:
        """What it holds, archived features and plans too, ordered by id; credit systems last, in the order in which they
        were made, as the oldest pays first."""
        everything = {"include_archived": True}
        features, plans = (self.api.exact(call, everything) for call in ("features.list", "plans.list"))
        try:
            return Catalog(
                {feature["id"]: body_of_feature(feature) for feature in sorted(features["list"], key=_rank)},
                {plan["id"]: body_of_plan(plan) for plan in plans["list"]},
            )
        except (KeyError, TypeError) as error:
            raise ChangeError(f"{self.api.url} does not answer as Tollgate does: {error!r}") from error

    def foreseen(self, changes: Changes, there: Catalog) -> Changes:
        """The changes with what only the environment knows: new versions, who stays on the old ones, what is archived."""
        made = [
            {name: value for name, value in change.body.items() if name != "archived"}
            for change in changes.each
            if (change.kind, change.action) == ("feature", Action.CREATE)
        ]
        return replace(changes, each=[self._foreseen(change, there, made) for change in changes.each])

    def apply(self, change: Change) -> None:
        """Makes one change, if its feature or plan is still what it was.

        Raises ChangeError where it is not, and what `Api` raises.
        """
        if not same(_own(self._found(change)), _own(change.old)):
            raise ChangeError(f"{change.kind} {change.id} has changed since these changes were worked out")
        noun = f"{change.kind}s"
        if change.action is Action.UPDATE:
            self.api.exact(f"{noun}.update", change.body)
        elif change.action is Action.CREATE:
            body = dict(change.body)
            archived = body.pop("archived", False)
            self.api.exact(f"{noun}.create", body)
            if archived:
                self._archive(change)
        else:
            self._remove(change)

    def _foreseen(self, change: Change, there: Catalog, made: Sequence[Body]) -> Change:
        """The change, where features are `made` before it."""
        if change.action is Action.CREATE:
            return change
        if change.action is Action.REMOVE:
            archives = self._archives(change, there)
            return replace(change, archives=archives, stay=self._stay(change) if archives else {})
        body = {name: value for name, value in change.body.items() if name in (*VERSIONED, "plan_id")}
        if change.kind != "plan" or body.keys() == {"plan_id"}:
            return change
        named = body | {
            "name": there.plans[change.id]["name"],
            "archived": bool(there.plans[change.id].get("archived")),
        }
        (foreseen,) = self.api.exact("catalog.preview_update", {"features": made, "plans": [named]})["plan_changes"]
        if not foreseen["versionable"]:
            return change
        version = self.api.exact("plans.get", {"plan_id": change.id})["version"]
        return replace(change, new_version=version + 1, stay=self._stay(change))

    def _archives(self, change: Change, there: Catalog) -> bool:
        """Whether what is removed is archived. The preview is asked of nothing else: all others are skipped."""
        others = {
            kind: [id for id in bodies if (kind, id) != (change.kind, change.id)]
            for kind, bodies in (("feature", there.features), ("plan", there.plans))
        }
        skipping = {"skip_feature_ids": others["feature"], "skip_plan_ids": others["plan"], "skip_deletions": False}
        shown = self.api.exact("catalog.preview_update", skipping)[f"{change.kind}_changes"]
        return any(each["will_archive"] for each in shown if each[_ID[change.kind]] == change.id)

    def _stay(self, change: Change) -> dict[int, int]:
        """How many customers have each version of a plan, or will."""
        found: dict[int, set[str]] = defaultdict(set)
        for subscription in self._subscriptions(change.id) if change.kind == "plan" else ():
            found[subscription["plan_version"]].add(subscription["customer_id"])
        return {version: len(customers) for version, customers in sorted(found.items())}

    def _subscriptions(self, plan_id: str) -> Iterator[Any]:
        cursor = None
        while True:
            asked = {"plan_id": plan_id, "limit": _PAGE, "start_cursor": cursor}
            page = self.api.exact("subscriptions.list", asked)
            yield from page["list"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _found(self, change: Change) -> Body | None:
        try:
            shown = self.api.exact(f"{change.kind}s.get", {_ID[change.kind]: change.id})
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        return body_of_feature(shown) if change.kind == "feature" else body_of_plan(shown)

    def _remove(self, change: Change) -> None:
        if change.kind == "plan":
            self.api.exact("plans.delete", {"plan_id": change.id, "all_versions": True})
            return
        try:
            self.api.exact("features.delete", {"feature_id": change.id})
        except ApiError as error:
            if error.status != 409:  # a version of a plan that customers have still names it
                raise
            self._archive(change)

    def _archive(self, change: Change) -> None:
        self.api.exact(f"{change.kind}s.update", {_ID[change.kind]: change.id, "archived": True})


def _rank(shown: Any) -> tuple[int, str]:
    return (shown["created_at"] if shown["type"] == "credit_system" else 0, shown["id"])


def _own(body: Body | None) -> Body | None:
    """What a feature or plan says by itself. Whether an item shows a reset depends on its feature too, which may have
    been changed just before."""
    if body is None or "items" not in body:
        return body
    return body | {
        "items": [{name: value for name, value in item.items() if name != "reset"} for item in body["items"]]
    }
