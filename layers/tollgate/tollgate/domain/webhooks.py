"""Webhooks: addresses of a customer's own that are told of events over HTTP (webhooks are described in docs/webhooks.md).

A message goes to an address at least once, under an id that stays. Where it is not taken it is sent again after growing
pauses, for about three days; then it is given up on, and an address that took nothing all the while is paused.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import re
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import urlsplit

from tollgate.domain.environments import Environment
from tollgate.domain.errors import InvalidInput

_MINUTE, _HOUR = 60_000, 3_600_000
PAUSES_MS = (
    5_000,
    5 * _MINUTE,
    30 * _MINUTE,
    2 * _HOUR,
    5 * _HOUR,
    10 * _HOUR,
    14 * _HOUR,
    20 * _HOUR,
    24 * _HOUR,
)
"""Between the tries, as Standard Webhooks recommends: ten tries in 75 hours (management.md 15.3)."""
ROTATION_MS = 24 * _HOUR  # for how long the secret before the present one signs too
KEPT_MS = 30 * 24 * _HOUR  # for how long a delivery can be looked up
MOST = 50  # webhooks of an environment
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch
_MOST_URL = 2_000


class PayloadDialect(StrEnum):
    """In whose words an event is told."""

    AUTUMN = "autumn"
    FLEXPRICE = "flexprice"
    TOLLGATE = "tollgate"


class Secret(NamedTuple):
    """A key that signs, as it was shown (`whsec_` and Base64). `until`: when it ends (epoch ms), None for the present
    one.
    """

    text: str
    until: int | None


class Webhook(NamedTuple):
    """An address. `events`: the types that it is told of, of its dialect; none for all. The present secret is the first.

    `failing_since`: of the first try since which nothing was taken. `paused_at`: when it was paused for that. Times are
    epoch ms.
    """

    environment: Environment
    id: str
    url: str
    events: tuple[str, ...]
    dialect: PayloadDialect
    description: str | None
    disabled: bool
    secrets: tuple[Secret, ...]
    created_at: int
    updated_at: int
    failing_since: int | None = None
    paused_at: int | None = None

    def takes(self, type: str) -> bool:
        """Whether it is to be told of events of this type, of its dialect."""
        return not self.disabled and self.paused_at is None and (not self.events or type in self.events)


class Attempt(NamedTuple):
    """One try, at `at` (epoch ms): the answer's status, or why there was none."""

    at: int
    status: int | None
    error: str | None
    took_ms: int

    @property
    def taken(self) -> bool:
        """Whether the address took the message."""
        return self.status is not None and 200 <= self.status < 300


class DeliveryState(StrEnum):
    """What became of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Delivery(NamedTuple):
    """A message to one address: what is sent (`payload`), and each try. `next_at`: when it is tried next (epoch ms)."""

    environment: Environment
    webhook_id: str
    id: str
    type: str
    payload: str
    created_at: int
    state: DeliveryState
    attempts: tuple[Attempt, ...]
    next_at: int | None


def checked_name(id: str) -> str:
    """Returns a webhook's id. Raises InvalidInput."""
    if _NAME(id) is None:
        raise InvalidInput("id", "must be 1 to 64 letters, digits, '-' and '_'")
    return id


def checked_url(url: str, *, loopback: bool) -> str:
    """Returns the URL of an address. Raises InvalidInput for what must not be called (management.md 15.4).

    Where `loopback` is true, http may be used for this machine itself. To what a name resolves is looked at with each call.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidInput("url", "must be a URL") from error
    host = parts.hostname or ""
    if len(url) > _MOST_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidInput("url", f"must be at most {_MOST_URL} visible ASCII characters")
    if not host or port == 0 or parts.username is not None or parts.password is not None or parts.fragment:
        raise InvalidInput("url", "must name a host, and neither a user nor a fragment")
    if loopback and parts.scheme in ("http", "https") and is_loopback_name(host):
        return url
    if parts.scheme != "https":
        raise InvalidInput("url", "must be https")
    if is_loopback_name(host) or (_is_address(host) and not is_public(host)):
        raise InvalidInput("url", "must not be a private, link-local or loopback address")
    return url


def is_loopback_name(host: str) -> bool:
    """Whether a host of a URL is this machine."""
    return host == "localhost" or host.endswith(".localhost") or (_is_address(host) and is_loopback(host))


def is_loopback(address: str) -> bool:
    """Whether an IP address is of this machine."""
    return ipaddress.ip_address(address).is_loopback


def is_public(address: str) -> bool:
    """Whether an IP address may be called: it is of the public internet, whatever IPv4 address lies in it."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if not ip.is_global or ip.is_multicast or ip.is_reserved or ip.is_unspecified:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        return inner is None or is_public(str(inner))
    return True


_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def message_id(event_id: str, at: int) -> str:
    """The id of the message that tells of an event that happened at `at` (epoch ms): the same however often it is told of.
    Messages sort by it.
    """
    return f"msg_{at:014d}_{hashlib.sha256(event_id.encode()).hexdigest()[:32]}"


def new_secret(random: bytes) -> str:
    """A secret as it is shown, of 24 to 64 random bytes."""
    return "whsec_" + base64.b64encode(random).decode()


def signatures(secrets: tuple[Secret, ...], id: str, at_s: int, payload: str, now: int) -> str:
    """The value of `webhook-signature`, as Standard Webhooks says: one signature for each secret that is valid at `now`
    (epoch ms). `at_s` is the message's timestamp in seconds.
    """
    signed = f"{id}.{at_s}.{payload}".encode()
    valid = [one for one in secrets if one.until is None or one.until > now]
    keys = [base64.b64decode(one.text.removeprefix("whsec_")) for one in valid]
    return " ".join("v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys)


def rotated(webhook: Webhook, secret: str, now: int) -> Webhook:
    """The webhook with a new secret; the one before signs too for a day, and those before that no more."""
    before = [Secret(one.text, now + ROTATION_MS) for one in webhook.secrets if one.until is None]
    return webhook._replace(secrets=(Secret(secret, None), *before), updated_at=now)


def tried(delivery: Delivery, attempt: Attempt) -> Delivery:
    """The delivery after a try: taken, to be tried again after a pause, or given up on."""
    attempts = (*delivery.attempts, attempt)
    if attempt.taken:
        return delivery._replace(attempts=attempts, state=DeliveryState.DELIVERED, next_at=None)
    if len(attempts) > len(PAUSES_MS):
        return delivery._replace(attempts=attempts, state=DeliveryState.FAILED, next_at=None)
    return delivery._replace(attempts=attempts, next_at=attempt.at + PAUSES_MS[len(attempts) - 1])


def is_to_be_paused(webhook: Webhook, given_up: Delivery) -> bool:
    """Whether an address took nothing from the first try of a delivery to its last, after which it was given up on."""
    return webhook.failing_since is not None and webhook.failing_since <= given_up.attempts[0].at
