"""A signature is what botocore's own signer makes of the same request.

Rules: autumn.md 0.
"""

from __future__ import annotations

import datetime
from typing import Any
from unittest import mock

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoresCredentials
from hypothesis import given
from hypothesis import strategies as st

from tollgate.aws.signing import Credentials, Signer

text = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
instants = st.integers(0, 4_102_444_800)


def botocores(service: str, region: str, headers: dict[str, str], body: bytes, used: Credentials, at: int) -> Any:
    request = AWSRequest("POST", f"https://{headers['host']}/", headers=dict(headers), data=body)
    now = datetime.datetime.fromtimestamp(at, datetime.UTC)
    signer = botocore.auth.SigV4Auth(
        BotocoresCredentials(used.access_key, used.secret_key, used.token), service, region
    )
    with mock.patch.object(botocore.auth, "get_current_datetime", return_value=now):
        signer.add_auth(request)
    return request.headers


@given(
    st.sampled_from(["dynamodb", "sqs", "events"]),
    st.sampled_from(["us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1"]),
    st.binary(max_size=200),
    st.builds(Credentials, text, text, st.none() | text),
    st.lists(instants, min_size=1, max_size=4),
)
def test_it_is_botocores(service: str, region: str, body: bytes, used: Credentials, times: list[int]) -> None:
    """Also of the second and third request of one signer, on one day or on others."""
    signer = Signer(service, region)
    for at in times:
        headers = {"content-type": "application/x-amz-json-1.0", "host": "127.0.0.1:8000", "x-amz-target": "A.B"}
        ours = signer.sign(headers, body, used, at)
        theirs = botocores(service, region, headers, body, used, at)
        assert ours["authorization"] == theirs["Authorization"]
        assert (ours["x-amz-date"], ours.get("x-amz-security-token")) == (
            theirs["X-Amz-Date"],
            theirs["X-Amz-Security-Token"],
        )
