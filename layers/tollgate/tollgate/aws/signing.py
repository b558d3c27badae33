"""AWS Signature Version 4 of a POST to `/`: who sends it, and that nobody has changed it on its way."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import NamedTuple


class Credentials(NamedTuple):
    """An AWS access key. `token` belongs to a temporary one, which ends at `expires_at` (epoch seconds; None: never)."""

    access_key: str
    secret_key: str
    token: str | None = None
    expires_at: float | None = None


class Signer:
    """Signs requests for one service in one region.

    The signing key follows from the secret key, the day, the region and the service: it is computed once a day.
    """

    def __init__(self, service: str, region: str) -> None:
        self._service = service
        self._region = region
        self._known: tuple[str, str, bytes] = ("", "", b"")  # day, secret key, signing key

    def sign(self, headers: Mapping[str, str], body: bytes, credentials: Credentials, at: float) -> dict[str, str]:
        """The headers that are to be sent: these, and those that sign them with the body at the time `at` (epoch
        seconds).

        `headers` have lower-case names, `host` among them, and no spaces around their values.
        """
        instant = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
        signed = {**headers, "x-amz-date": instant}
        if credentials.token:
            signed["x-amz-security-token"] = credentials.token
        names = sorted(signed)
        listed = ";".join(names)
        lines = "".join(f"{name}:{signed[name]}\n" for name in names)
        canonical = f"POST\n/\n\n{lines}\n{listed}\n{hashlib.sha256(body).hexdigest()}"
        scope = f"{instant[:8]}/{self._region}/{self._service}/aws4_request"
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{instant}\n{scope}\n{hashed}"
        signature = hmac.digest(self._key(instant[:8], credentials.secret_key), text.encode(), "sha256").hex()
        signed["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, SignedHeaders={listed}, Signature={signature}"
        )
        return signed

    def _key(self, day: str, secret_key: str) -> bytes:
        known_day, known_secret, key = self._known
        if (known_day, known_secret) == (day, secret_key):
            return key
        key = f"AWS4{secret_key}".encode()
        for part in (day, self._region, self._service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._known = (day, secret_key, key)
        return key
