"""Pages in a browser."""

from __future__ import annotations

import time

from playwright.async_api import Page


async def eventually(page: Page, condition: str) -> None:
    """Wait until a condition holds. Playwright's own way uses `eval`, which the page's policy forbids."""
    deadline = time.monotonic() + 60
    while not await page.evaluate(condition):
        assert time.monotonic() < deadline, condition
