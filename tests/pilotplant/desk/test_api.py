"""The API, asked by a generator of requests that its own description allows, and of some that it does not."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

from pilotplant.desk.requests import COOKIE

PATHS = ("/today.json", "/lab.json", "/lab/{name}.json", "/gate.json", "/gate/{name}.json", "/factory.json",
         "/factory/{name}.json", "/ledger.json", "/insights.json", "/drafts/{name}.json",
         "/drafts/{name}/check.json", "/drafts/{name}/audience.json", "/calendar.json")  # fmt: skip


def test_every_page_is_described(owner):
    assert set(owner.data("/openapi.json")["paths"]) == set(PATHS)


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(
    "path", [path for path in PATHS if "{" in path or path in {"/ledger.json", "/insights.json", "/calendar.json"}]
)
def test_no_request_is_a_fault_of_the_server(owner, path, mode):
    cookies, address = {COOKIE: owner.client.cookies[COOKIE]}, str(owner.client.base_url).rstrip("/")
    operation = schemathesis.openapi.from_dict(owner.data("/openapi.json"))[path]["GET"]

    @settings(max_examples=20, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy(generation_mode=mode))
    def ask(case):
        answer = case.call(base_url=address, cookies=cookies)
        assert answer.status_code < 500, case.as_curl_command()
        assert answer.headers["content-type"][0].startswith(("application/json", "text/html"))
        assert "Traceback" not in answer.text

    ask()
