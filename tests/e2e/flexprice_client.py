"""An application that uses flexprice 2.1.43: run in the SDK's own environment, with an address and a key.

It reads lines of JSON `[what, arguments]` from stdin, and answers each with a JSON line: what the SDK returned, or
`{"error": status}`.
"""

from __future__ import annotations

import json
import sys
from operator import attrgetter
from typing import Any

from flexprice import Flexprice
from flexprice.models.errors import FlexpriceError
from pydantic import BaseModel


def main() -> None:
    address, key = sys.argv[1:]
    with Flexprice(api_key_auth=key, server_url=address, timeout_ms=30_000) as flexprice:
        for line in sys.stdin:
            what, arguments = json.loads(line)
            answer: Any
            try:
                answer = attrgetter(what)(flexprice)(**arguments)
                answer = answer.model_dump(mode="json") if isinstance(answer, BaseModel) else answer
            except FlexpriceError as error:
                answer = {"error": error.status_code}
            print(json.dumps(answer), flush=True)


main()
