"""Requests made from the OpenAPI document by machine, right and wrong ones, signed, against the gateway's own process."""

import re
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import from_schema
from schemathesis.engine.events import FatalError, NonFatalError, ScenarioFinished

from gateway.dialect import signing
from runtime.identifiers import ID
from runtime.settings import Settings
from tests.gateway.process import GatewayProcess, start
from tests.support.caller import Caller
from tests.support.seeds import seeded_random

CONFIG = {
    "checks": {
        # Right by its form is not yet right: amounts have their own decimals, money may be missing, a player id may look like a phone number.
        "positive_data_acceptance": {"expected-statuses": [200, 201, 402, 403, 404, 409, 422]},
    },
    "generation": {"max-examples": 8},
    "max-time": 300,  # for what hangs: it ends once ENOUGH was heard
    "workers": 1,
}

ENOUGH = 1000
"""Requests; and as many more as it takes to reach the ledger."""
REACHED = {("POST /v1/sessions", 201), ("GET /v1/players/{player_id}/wallets/{currency}", 200)}


class Signed(requests.auth.AuthBase):
    """Signs what is about to be sent. Identifying headers of the right form become the caller's own, else no request would get past them."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        caller = self.caller
        if "X-Signature" not in request.headers:
            return request  # left out on purpose
        for name, value in (
            ("X-Brand-Id", caller.tenant_id),
            ("X-Region", caller.region),
            ("X-Provider-Id", caller.provider_id),
        ):
            if re.search(ID, str(request.headers.get(name, ""))):
                request.headers[name] = value
        key = request.headers.get("X-Idempotency-Key", "")
        if re.search(ID, str(key)):
            key = request.headers["X-Idempotency-Key"] = uuid.uuid4().hex  # a minimal example is always the same key
        body = request.body or b""
        key = key.decode() if isinstance(key, bytes) else key
        request.headers["X-Signature"] = signing.sign(
            caller.kid,
            caller.secret,
            str(request.method),
            request.path_url,
            body.encode() if isinstance(body, str) else body,
            idempotency_key=key,
            place=signing.Place(caller.tenant_id, caller.region, caller.provider_id),
        )
        return request


@pytest.fixture(scope="module")
def process(settings: Settings, caller: Caller) -> Iterator[GatewayProcess]:
    process = start(settings)
    yield process
    process.stop()


@pytest.mark.slow
def test_the_gateway_does_what_its_document_says(
    process: GatewayProcess, caller: Caller, player: str, session: str
) -> None:
    """No answer is undescribed, malformed or a server error; what the document forbids is refused, what it allows is not called malformed."""
    rng = seeded_random()
    schema = schemathesis.openapi.from_url(
        f"{process.url}/openapi.json", config=SchemathesisConfig.from_dict(CONFIG | {"seed": rng.randrange(2**32)})
    )
    schema.auth.set_from_requests(Signed(caller))
    known = {"player_id": player, "session_id": session, "currency": "EUR", "bet_id": "b_1", "round_id": "r_1"}
    known["integration_id"] = f"{caller.tenant_id}/{caller.region}/{caller.provider_id}"

    def with_known_names(value: Any) -> Any:
        """Most of the well-formed names become ones that exist, so that the ledger is reached."""
        if not isinstance(value, dict):
            return value
        return {
            name: known[name]
            if name in known and isinstance(inner, str) and re.search(ID, inner) and rng.random() < 0.8
            else with_known_names(inner)
            for name, inner in value.items()
        }

    @schema.hook("map_body")
    def _(context: Any, body: Any) -> Any:
        return with_known_names(body)

    @schema.hook("map_path_parameters")
    def _(context: Any, path_parameters: Any) -> Any:
        return with_known_names(path_parameters)

    statuses: Counter[tuple[str, int]] = Counter()
    stream = from_schema(schema).execute()
    for event in stream:
        assert not isinstance(event, NonFatalError | FatalError), event
        if isinstance(event, ScenarioFinished):
            for case_id, interaction in event.recorder.interactions.items():
                if interaction.response is not None:
                    statuses[event.recorder.cases[case_id].value.operation.label, interaction.response.status_code] += 1
            failures = [
                check.failure_info
                for checks in event.recorder.checks.values()
                for check in checks
                if check.failure_info
            ]
            assert not failures, "\n".join(f"{info.failure}\n{info.code_sample}" for info in failures)
        if statuses.total() >= ENOUGH and statuses.keys() >= REACHED:
            stream.stop()
    print(sorted(statuses.items()))
    assert statuses.keys() >= REACHED, statuses
