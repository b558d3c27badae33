"""What Autumn's command line asks of an organization: who it is, and two nouns that are never there."""

from __future__ import annotations

from tollgate.dialects.http import Answer, Request
from tollgate.usecases.catalog import Catalogs


def me(_: Catalogs, request: Request) -> Answer:
    """`GET /v1/organization/me`: the environment that the key opens. A deployment is one organization."""
    return Answer({"name": "Tollgate", "slug": "tollgate", "env": request.caller.environment.value})


def list_rewards(_: Catalogs, __: Request) -> Answer:
    """`rewards.list`: none are kept."""
    return Answer({"coupons": [], "feature_grants": []})


def list_referral_programs(_: Catalogs, __: Request) -> Answer:
    """`referral_programs.list`: none are kept."""
    return Answer({"list": []})
