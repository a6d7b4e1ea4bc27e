"""A real browser at a desk that is up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page

from pilotplant.desk.desk import Desk
from tests.desk import serving


def page_of(browser: Browser, desk: Desk, address: str, person: str, **options: Any) -> tuple[Page, list[str]]:
    """A page of somebody who was let in, and whatever the browser complains of from now on."""
    page = browser.new_context(base_url=address, **options).new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"/sign-in?link={desk.links.make(person)}")
    page.get_by_role("button", name="Go in").click()
    page.wait_for_url("**/today")
    return page, complaints


@contextmanager
def signed_in(browser: Browser, desk: Desk, person: str, **options: Any) -> Iterator[Page]:
    """The same at a desk of its own; whatever the browser complains of fails the test."""
    with serving(desk) as address:
        page, complaints = page_of(browser, desk, address, person, **options)
        yield page
        page.context.close()
        assert complaints == []
