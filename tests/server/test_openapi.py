"""Schemathesis: requests drawn from our own OpenAPI document never make the server fail."""

from __future__ import annotations

import json
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from tests.server.conftest import Bench

APP = Bench(max_body_bytes=100_000).app
SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", APP, headers={"Host": "localhost"})


@SCHEMA.parametrize()
@settings(max_examples=10, suppress_health_check=list(HealthCheck))
def test_no_request_makes_the_server_fail(case: Any) -> None:
    response = case.call(headers={"Host": "localhost"})
    assert response.status_code < 500
    if response.status_code >= 400:
        assert set(json.loads(response.content)["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/audio/speech"])
def test_the_document_tells_of_errors(path: str) -> None:
    responses = APP.openapi()["paths"][path]["post"]["responses"]
    assert {"200", "4XX", "5XX"} <= set(responses)
    assert "422" not in responses
