"""Whose key signs a request: from the environment, from a container's endpoint, or where botocore finds one.

Lambda puts the key of a function's role into the environment; a function that starts from a snapshot gets it from an
endpoint on its own machine, and renews it there before it ends.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from tollgate.aws.connections import NotSent
from tollgate.aws.signing import Credentials

EARLY_SECONDS = 300  # a key is renewed so long before it ends
RETRY_SECONDS = 10  # where that failed, it is tried again so much later, as long as the key is valid
_CONTAINER_HOST = "http://169.254.170.2"

Source = Callable[[], Credentials]


def source_of(environment: Mapping[str, str]) -> Source:
    """Where credentials come from in this environment. Each call gives valid ones; raises NotSent where there are none
    to be had."""
    if environment.get("AWS_ACCESS_KEY_ID") and environment.get("AWS_SECRET_ACCESS_KEY"):
        fixed = Credentials(
            environment["AWS_ACCESS_KEY_ID"],
            environment["AWS_SECRET_ACCESS_KEY"],
            environment.get("AWS_SESSION_TOKEN") or None,
        )
        return lambda: fixed
    if url := _endpoint(environment):
        return Renewed(lambda: _fetched(url, environment))
    return _Botocores()


def _endpoint(environment: Mapping[str, str]) -> str | None:
    if relative := environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
        return _CONTAINER_HOST + relative
    return environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")


class Renewed:
    """Credentials that end, fetched anew before they do.

    The clock is the wall clock: it goes on while the process is frozen.
    """

    def __init__(self, fetch: Source, clock: Callable[[], float] = time.time) -> None:
        self._fetch = fetch
        self._clock = clock
        self._held: Credentials | None = None
        self._next_try = 0.0

    def __call__(self) -> Credentials:
        now, held = self._clock(), self._held
        ends_at = held.expires_at if held else 0.0
        if held and (ends_at is None or now < ends_at - EARLY_SECONDS or (now < ends_at and now < self._next_try)):
            return held
        try:
            self._held = self._fetch()
        except NotSent:
            if held is None or ends_at is None or now >= ends_at:
                raise
            self._next_try = now + RETRY_SECONDS
            return held
        return self._held

    def forget(self) -> None:
        """Forgets the credentials: the next call fetches them."""
        self._held = None


def _fetched(url: str, environment: Mapping[str, str]) -> Credentials:
    """The credentials that a container's endpoint gives. Raises NotSent where it does not give any."""
    address = urlsplit(url)
    token = environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")
    if path := environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
        with open(path) as file:
            token = file.read().strip()
    made = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = made(address.netloc, timeout=1.0)
    try:
        target = address.path + (f"?{address.query}" if address.query else "")
        connection.request("GET", target or "/", headers={"Authorization": token} if token else {})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise NotSent(f"the credentials' endpoint answered {answer.status}")
        found = json.loads(body)
        ends = found.get("Expiration")
        return Credentials(
            found["AccessKeyId"],
            found["SecretAccessKey"],
            found.get("Token"),
            datetime.fromisoformat(ends.replace("Z", "+00:00")).timestamp() if ends else None,
        )
    except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
        raise NotSent(f"no credentials: {error}") from error
    finally:
        connection.close()


class _Botocores:
    """Credentials as botocore finds them (a profile, single sign-on, an instance's role): on a developer's machine."""

    def __init__(self) -> None:
        self._found: Any = None

    def __call__(self) -> Credentials:
        if self._found is None:
            import botocore.session  # slow to load, and needed nowhere in AWS

            self._found = botocore.session.get_session().get_credentials()
        if self._found is None:
            raise NotSent("no AWS credentials were found")
        frozen = self._found.get_frozen_credentials()
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)
