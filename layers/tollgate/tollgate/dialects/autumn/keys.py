"""`keys.*` (management.md 9, Tollgate's own): create, list and revoke API keys of the caller's environment."""

from __future__ import annotations

from typing import Any, Literal

from tollgate.dialects.autumn.fields import Id, Params, Text, Time
from tollgate.dialects.http import Answer, Request
from tollgate.domain.api_keys import ApiKey, Scope
from tollgate.domain.environments import Environment
from tollgate.usecases.api_keys import ApiKeys


class CreateKeyParams(Params):
    """The body of `keys.create`. `expires_at` is epoch ms."""

    name: Text | None = None
    scope: Literal["secret", "publishable"] | None = None
    expires_at: Time | None = None


class RevokeKeyParams(Params):
    """The body of `keys.revoke`."""

    key_id: Id


def create_key(api_keys: ApiKeys, request: Request) -> Answer:
    """`keys.create`: the only answer that ever shows the key's text. Raises InvalidInput for an expiry that is over."""
    params = CreateKeyParams.of(request.body)
    scope = Scope(params.scope or Scope.SECRET)
    key, text = api_keys.create(request.caller.environment, scope, params.name or "", request.now, params.expires_at)
    return Answer({**key_json(key), "key": text})


def list_keys(api_keys: ApiKeys, request: Request) -> Answer:
    """`keys.list`: all keys of the environment, without their texts, and when each was used last."""
    return Answer({"list": listed_json(api_keys, request.caller.environment)})


def revoke_key(api_keys: ApiKeys, request: Request) -> Answer:
    """`keys.revoke`: forgets a key for good. Raises NotFound."""
    api_keys.revoke(request.caller.environment, RevokeKeyParams.of(request.body).key_id)
    return Answer({"success": True})


def listed_json(api_keys: ApiKeys, env: Environment) -> list[dict[str, Any]]:
    """Each key of an environment as it may be shown, with when it was used last (epoch ms; None: not yet)."""
    uses = api_keys.uses(env)
    return [{**key_json(key), "last_used_at": uses.get(key.id)} for key in api_keys.list(env)]


def key_json(key: ApiKey) -> dict[str, Any]:
    """A key as it may be shown: neither its text nor its hash."""
    return {
        "id": key.id,
        "name": key.name,
        "scope": key.scope.value,
        "env": key.environment.value,
        "hint": key.hint,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
    }
