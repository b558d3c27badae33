"""Profiles: which stack a command calls, in which environment, and where its key is.

A profile names an address, an environment, and the variable or the keyring's entry that holds the key; the file never holds
a key. What belongs to one profile never goes with what belongs to another: the environment of a key is written in it, and
one of another environment is refused before anything is called.
"""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import httpx
import platformdirs
from pydantic import BaseModel, ConfigDict, Strict, StringConstraints, ValidationError, model_validator

from tollgate.domain.environments import Environment
from tollgate_cli import stack
from tollgate_cli.api import Api
from tollgate_cli.errors import CommandError, line, wrong

LOCAL = "local"
VARIABLE = "TOLLGATE_PROFILE"
FILE_VARIABLE = "TOLLGATE_PROFILES"
URL_VARIABLE = "TOLLGATE_URL"
KEYS = {Environment.SANDBOX: "TOLLGATE_SECRET_KEY", Environment.LIVE: "TOLLGATE_LIVE_SECRET_KEY"}
_PREFIXES = {
    f"am_{kind}_{word}_": environment
    for kind in ("sk", "pk")
    for word, environment in (("test", Environment.SANDBOX), ("live", Environment.LIVE))
}

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]


class Entry(BaseModel):
    """One profile of the file. Of `key_variable` and `keyring` one is given; a `keyring` is `SERVICE/USER`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: str
    environment: Annotated[Environment, Strict(False)]
    key_variable: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    keyring: Annotated[str, StringConstraints(pattern=r"^[^/]+/[^/]+$")] | None = None

    @model_validator(mode="after")
    def _one_key(self) -> Entry:
        if (self.key_variable is None) == (self.keyring is None):
            raise ValueError("one of key_variable and keyring is needed")
        address = httpx.URL(self.url)
        if address.scheme not in ("http", "https") or not address.host:
            raise ValueError(f"{self.url} is no address: https://… is expected")
        return self

    @property
    def key_is_in(self) -> str:
        """Where its key is, in words."""
        return f"${self.key_variable}" if self.key_variable else f"the keyring's entry {self.keyring}"


class File(BaseModel):
    """The file of profiles."""

    model_config = ConfigDict(extra="forbid")

    profiles: dict[Name, Entry] = {}


class Profile(NamedTuple):
    """A stack's API, with a key of one of its environments."""

    name: str
    environment: Environment
    url: str
    key: str

    def api(self) -> Api:
        """The API under the key; nothing is called yet."""
        return Api(self.url, self.key)


def path() -> Path:
    """Where the file is: TOLLGATE_PROFILES, else among the user's settings."""
    named = os.environ.get(FILE_VARIABLE)
    return Path(named) if named else platformdirs.user_config_path("tollgate") / "profiles.toml"


def read() -> dict[str, Entry]:
    """The profiles of the file; none where there is no file. Raises CommandError for what is no file of profiles."""
    place = path()
    try:
        return File.model_validate(tomllib.loads(place.read_text())).profiles
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise wrong(f"{place}: {line(str(error))}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        at = ".".join(str(part) for part in first["loc"])
        if at.rpartition(".")[2] == "key":
            raise wrong(f"{place}: {at}: no key belongs in here: name a key_variable or a keyring entry") from error
        raise wrong(f"{place}: {at}: {line(first['msg'])}") from error


def entry(fields: dict[str, Any]) -> Entry:
    """A profile of these fields; raises CommandError where they make none."""
    try:
        return Entry.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise wrong(" ".join((*(str(part) for part in first["loc"]), line(first["msg"])))) from error


def write(profiles: dict[str, Entry]) -> None:
    """Writes the file, for its owner alone."""
    try:
        text = "".join(_section(name, entry) for name, entry in File(profiles=profiles).profiles.items())
    except ValidationError as error:
        raise wrong("a profile's name has small letters, digits and dashes, at most 40") from error
    place = path()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.with_name(f"{place.name}.new")
        fresh.touch(0o600)
        fresh.write_text(text)
        fresh.replace(place)
    except OSError as error:
        raise wrong(f"{place}: {error.strerror}") from error


def _section(name: str, entry: Entry) -> str:
    fields = entry.model_dump(mode="json", exclude_none=True)
    return "".join(
        (
            f"[profiles.{name}]\n",
            *(f"{field} = {json.dumps(text, ensure_ascii=False)}\n" for field, text in fields.items()),
        )
    )


def names() -> list[str]:
    """The names that can be given."""
    return [LOCAL, *read()]


def resolve(
    name: str | None = None, environment: Environment | None = None, *, writes: bool = False, sibling: bool = False
) -> Profile:
    """What a command calls: the profile that is named (here, or by TOLLGATE_PROFILE), else TOLLGATE_URL with the key of
    its variable, else the local stack.

    An environment that is named must be the profile's own; `sibling` looks for the profile of the same address that has it.
    `writes`: to write to live, `live` must be named.
    Raises CommandError, before anything is called, for what does not go together.
    """
    profile = _named(name or os.environ.get(VARIABLE), environment, sibling=sibling)
    _hold_key_against(profile)
    if writes and profile.environment is Environment.LIVE and environment is not Environment.LIVE:
        raise wrong(f"this writes to live at {profile.url}: say --env live if that is meant")
    return profile


def _named(name: str | None, environment: Environment | None, *, sibling: bool) -> Profile:
    if name is None and (url := os.environ.get(URL_VARIABLE)):
        wanted = environment or Environment.SANDBOX
        key = os.environ.get(KEYS[wanted], "")
        if not key:
            raise wrong(f"set {KEYS[wanted]} to a secret key of {wanted.value}")
        return Profile(URL_VARIABLE, wanted, url, key)
    if name in (None, LOCAL):
        running, wanted = stack.current(), environment or Environment.SANDBOX
        key = running.live_secret_key if wanted is Environment.LIVE else running.secret_key
        return Profile(LOCAL, wanted, running.url, key)
    found = read()
    entry = found.get(str(name))
    if entry is None:
        known = ", ".join([LOCAL, *found])
        raise wrong(f"no profile {line(str(name))} (there are: {known}); `tollgate profiles add` makes one")
    if sibling and environment not in (None, entry.environment):
        near = [each for each, other in found.items() if (other.url, other.environment) == (entry.url, environment)]
        if len(near) == 1:
            return _named(near[0], environment, sibling=False)
    if environment not in (None, entry.environment):
        raise wrong(f"the profile {name} is one of {entry.environment.value}, not of {environment.value}")
    return Profile(str(name), entry.environment, entry.url, _key(str(name), entry))


def _key(name: str, entry: Entry) -> str:
    if entry.key_variable:
        key = os.environ.get(entry.key_variable, "")
        if not key:
            raise wrong(f"the profile {name} has its key in {entry.key_variable}, which is not set")
        return key
    import keyring  # asks the system which keyring it has, which takes a while
    from keyring.errors import KeyringError

    service, user = str(entry.keyring).split("/")
    try:
        key = keyring.get_password(service, user) or ""
    except KeyringError as error:
        raise CommandError(f"the keyring does not answer: {line(str(error))}") from error
    if not key:
        raise wrong(f"the keyring has no entry {entry.keyring}: `tollgate profiles login {name}` makes it")
    return key


def store_key(name: str, key: str) -> None:
    """Puts a profile's key into the keyring."""
    entry = read().get(name)
    if entry is None or entry.keyring is None:
        raise wrong(f"no profile {name} has its key in the keyring: `tollgate profiles add {name} --keyring …`")
    _hold_key_against(Profile(name, entry.environment, entry.url, key))
    import keyring
    from keyring.errors import KeyringError

    service, user = entry.keyring.split("/")
    try:
        keyring.set_password(service, user, key)
    except KeyringError as error:
        raise CommandError(f"the keyring does not take it: {line(str(error))}") from error


def _hold_key_against(profile: Profile) -> None:
    if not profile.key.isascii():
        raise wrong("the key has characters that no key has")
    opens = next((of for prefix, of in _PREFIXES.items() if profile.key.startswith(prefix)), None)
    if opens is None:
        raise wrong(f"the key of {profile.name} is no key of Tollgate's: they begin with am_sk_test_ or am_sk_live_")
    if opens is not profile.environment:
        raise wrong(f"the key is one of {opens.value}, not of {profile.environment.value}: nothing was called")
