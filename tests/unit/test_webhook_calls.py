"""What is called, and what never is.

Rules: management.md 15.4.
"""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.webhook_receiver import receiver
from tollgate import webhook_calls
from tollgate.domain.errors import InvalidInput
from tollgate.domain.webhooks import checked_url, is_public

PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946"]
NOT_PUBLIC = [
    "127.0.0.1",
    "127.1.2.3",
    "10.0.0.1",
    "172.16.5.4",
    "192.168.1.1",
    "169.254.169.254",
    "169.254.170.2",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "198.18.0.1",
    "240.0.0.1",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "2001:db8::1",
]


def post(url: str, *, loopback: bool = True, seconds: float = webhook_calls.SECONDS) -> webhook_calls.Outcome:
    headers = {"content-type": "application/json"}
    return webhook_calls.call(url, b"{}", headers, loopback=loopback, seconds=seconds)


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[tuple[str, int]]:
    """Every name has these addresses; the list of what was connected to. Nothing is."""
    connected: list[tuple[str, int]] = []

    def getaddrinfo(_: str, port: int, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]

    def connect(address: tuple[str, int], *_: Any) -> Any:
        connected.append(address)
        raise ConnectionRefusedError("nobody")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket, "create_connection", connect)
    return connected


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_what_a_name_resolves_to_is_looked_at_and_not_connected_to(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    assert not is_public(address)
    for addresses in ((address,), (PUBLIC[0], address)):
        connected = resolving(monkeypatch, *addresses)
        outcome = post("https://hook.example/", loopback=False)
        assert (outcome.status, outcome.error, connected) == (None, "the host's address is not a public one", [])


def test_what_is_connected_to_is_the_address_that_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    connected = resolving(monkeypatch, PUBLIC[0])
    outcome = post("https://hook.example:8443/x", loopback=False)
    assert connected == [(PUBLIC[0], 8443)]
    assert outcome.error == "ConnectionRefusedError: nobody"


@pytest.mark.parametrize(
    "url",
    [
        "http://hook.example/",
        "ftp://hook.example/",
        "hook.example",
        "",
        "https://",
        "https://user:word@hook.example/",
        "https://hook.example/#part",
        "https://hook.example:0/",
        "https://hook.example:99999/",
        "https://hook.example/a b",
        "https://hook.example/\n",
        "https://h\u00f6ok.example/",
        "https://localhost/",
        "https://me.localhost/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://169.254.169.254/latest",
        "https://10.0.0.1/",
        "https://hook.example/" + "x" * 2000,
    ],
)
def test_a_url_that_must_not_be_called_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        checked_url(url, loopback=False)


def test_a_local_stack_may_call_this_machine_and_no_other() -> None:
    for url in ("http://localhost:3000/hook", "http://127.0.0.1:1/", "http://[::1]:1/", "https://hook.example/"):
        assert checked_url(url, loopback=True) == url
    for url in ("http://hook.example/", "http://192.168.1.1/", "https://10.0.0.1/", "http://169.254.169.254/"):
        with pytest.raises(InvalidInput):
            checked_url(url, loopback=True)


def test_a_call_says_what_it_is_told_to() -> None:
    with receiver() as there:
        outcome = post(f"{there.url}?a=b")
        assert (outcome.status, outcome.error) == (204, None)
        (got,) = there.got
    assert (got.path, got.body, got.headers["content-type"]) == ("/hook?a=b", "{}", "application/json")
    assert got.headers["host"] == there.url.split("/")[2]


def test_a_redirect_is_not_followed() -> None:
    with receiver() as there, receiver() as other:
        there.status, there.headers = 302, {"location": other.url}
        assert post(there.url).status == 302
        assert not other.got


def test_a_large_answer_is_none() -> None:
    with receiver() as there:
        there.status, there.body = 200, b"x" * (webhook_calls.MOST_BYTES + 1)
        outcome = post(there.url)
    assert (outcome.status, outcome.error) == (None, "ValueError: the answer has more than 65536 bytes")


def test_an_answer_that_does_not_come_is_given_up_on() -> None:
    with receiver() as there:
        there.release.clear()
        outcome = post(there.url, seconds=0.3)
    assert (outcome.status, outcome.error) == (None, "no answer within 0.3 seconds")


def test_an_answer_that_drips_is_given_up_on() -> None:
    """A time-out that each byte begins anew would wait for ever."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                try:
                    for byte in b"HTTP/1.1 200 OK\r\n" + b"x-filler: x\r\n" * 100:
                        connection.sendall(bytes([byte]))
                        time.sleep(0.05)
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        started = time.monotonic()
        outcome = post(url, seconds=0.5)
        assert time.monotonic() - started < 3
        assert (outcome.status, outcome.error) == (None, "no answer within 0.5 seconds")
        thread.join()


def certificate(path: Path, name: x509.GeneralName) -> Path:
    """A certificate for this name that signs itself, and its key, in one file."""
    key, day = ec.generate_private_key(ec.SECP256R1()), datetime.timedelta(days=1)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "receiver")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize(
    ("name", "trusted", "taken"),
    [
        (x509.IPAddress(ipaddress.ip_address("127.0.0.1")), True, True),
        (x509.IPAddress(ipaddress.ip_address("127.0.0.1")), False, False),
        (x509.DNSName("other.example"), True, False),
    ],
)
def test_an_address_must_prove_who_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: x509.GeneralName, trusted: bool, taken: bool
) -> None:
    file = certificate(tmp_path / "receiver.pem", name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with receiver(context) as there:
        if trusted:
            monkeypatch.setattr(
                ssl, "create_default_context", lambda made=ssl.create_default_context: made(cafile=file)
            )
        outcome = post(there.url)
        assert len(there.got) == taken
    assert outcome.status == (204 if taken else None)
    assert taken or (outcome.error or "").startswith("SSLCertVerificationError")
