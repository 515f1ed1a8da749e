"""A game provider: signs its callbacks, reads the answers, and lets in whom the operator launches."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.dialect import signing
from gateway.dialect.launch_url import LaunchError, read_launch, verify_launch

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    raw: bytes
    trace_id: str


@dataclass(frozen=True)
class Provider:
    """`integration` is the part of that name in `sandbox.json`."""

    gateway_url: str
    integration: Mapping[str, str]
    timeout_s: float = 15.0

    def post(self, target: str, body: Mapping[str, Any], key: str, *, secret: str | None = None) -> Answer:
        """Send a signed callback; another `secret` than ours makes it a forgery. Raises OSError when nobody answers."""
        return self._send("POST", target, json.dumps(body).encode(), key, secret)

    def get(self, target: str) -> Answer:
        return self._send("GET", target, b"", "", None)

    def let_in(self, launch_url: str) -> dict[str, str]:
        """Who comes to play what, from the address of a launch. Raises LaunchError."""
        if read_launch(launch_url).get("kid") != self.integration["kid"]:
            raise LaunchError("the address is signed with a key that is not ours")
        return verify_launch(launch_url, self.integration["secret"].encode(), time.time())

    @property
    def _place(self) -> signing.Place:
        return signing.Place(*(self.integration[name] for name in ("brand_id", "region", "provider_id")))

    def _send(self, method: str, target: str, body: bytes, key: str, secret: str | None) -> Answer:
        kid, own_secret = self.integration["kid"], self.integration["secret"]
        headers = {
            "Content-Type": "application/json",
            "X-Brand-Id": self.integration["brand_id"],
            "X-Region": self.integration["region"],
            "X-Provider-Id": self.integration["provider_id"],
            signing.HEADER: signing.sign(
                kid, secret or own_secret, method, target, body, idempotency_key=key, place=self._place
            ),
        }
        if key:
            headers["X-Idempotency-Key"] = key
        request = urllib.request.Request(self.gateway_url + target, method=method, data=body or None, headers=headers)
        try:
            with _opener.open(request, timeout=self.timeout_s) as response:
                return _answer(response.status, response.read(), response.headers)
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error.code, error.read(), error.headers)


def _answer(status: int, raw: bytes, headers: Any) -> Answer:
    return Answer(status, json.loads(raw), raw, headers["X-Trace-Id"])
