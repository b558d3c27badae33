"""The management API as the command line calls it."""

from __future__ import annotations

from typing import Any

import httpx
import simplejson

from tollgate.exact_json import dumps

VERSION = "2.5.0"
"""Of Autumn's API, whose shapes all answers have: what the command line prints as JSON stays so."""
_LONGEST = 500  # of an error's text that is no error of the API's own


class NoAddress(ConnectionError):
    """What is to be called is no address of an API."""


class ApiError(RuntimeError):
    """The API refused a call; the message holds its status and words."""

    def __init__(self, call: str, answer: httpx.Response) -> None:
        self.words = _words(answer)
        super().__init__(f"{call}: {answer.status_code} {self.words}")
        self.status = answer.status_code


class Api:
    """One stack's API under one key. Raises ConnectionError for what is no address, or no key."""

    def __init__(self, url: str, key: str, connections: int = 8) -> None:
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json", "x-api-version": VERSION}
        self.url = url
        try:
            secured = url.startswith(
                "https:"
            )  # to read the system's certificates takes longer than a call of the local stack
            self._client = httpx.Client(
                base_url=url, headers=headers, limits=limits, timeout=30, trust_env=False, verify=secured
            )
        except httpx.InvalidURL as error:
            raise NoAddress(_no_address(url)) from error
        except UnicodeEncodeError as error:
            raise ConnectionError("the key has characters that no key has") from error
        if not self._client.base_url.host:
            raise NoAddress(_no_address(url))

    def call(self, name: str, body: Any) -> Any:
        """`POST /v1/<name>`; raises ApiError where the answer is no success, ConnectionError where none came."""
        return self._answer("POST", name, body).json()

    def exact(self, name: str, body: Any = None) -> Any:
        """The same with exact numbers; without a body, `GET /v1/<name>`."""
        answer = self._answer("GET" if body is None else "POST", name, body)
        try:
            return simplejson.loads(answer.text, use_decimal=True)
        except ValueError as error:
            raise ApiError(name, answer) from error

    def _answer(self, method: str, name: str, body: Any) -> httpx.Response:
        content = None if body is None else dumps(body)
        try:
            answer = self._client.request(method, f"/v1/{name}", content=content)
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise NoAddress(_no_address(self.url)) from error
        except httpx.TransportError as error:
            said = str(error) or type(error).__name__
            raise ConnectionError(
                f"{name}: no answer from {self.url} ({said}): is it the stack's address, and does the stack run?"
            ) from error
        return self.checked(name, answer)

    @staticmethod
    def checked(name: str, answer: httpx.Response) -> httpx.Response:
        """The answer to a call; raises ApiError where it is no success."""
        if not answer.is_success:
            raise ApiError(name, answer)
        return answer


def _no_address(url: str) -> str:
    return f"{url} is no address of an API: it begins with https:// or http://, as the stack's output ApiUrl does"


def _words(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, LookupError, TypeError):
        return answer.text[:_LONGEST]
