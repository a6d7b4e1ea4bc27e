"""Pictures of the desk for its guide: `python docs/screenshots.py WORKSPACE PILOT` writes docs/desk/*.png.

They are of a rehearsal whose pilot waits for its owner, as README.md's first pilot does after `lab rehearse`. Needs a
browser: Debian's chromium.
"""

from __future__ import annotations

import io
import shutil
import sys
import threading
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from pilotplant.desk.desk import Desk
from pilotplant.desk.server import address_of, listen, server_of
from shared.state.workspace import open_workspace

HERE = Path(__file__).parent / "desk"
SIZES = ((1440, 900, "light"), (768, 1024, "dark"), (360, 780, "light"))
# As many as the pages have, letters' edges included; a picture then weighs a third.
COLOURS = 64
WHO = "owner@example.com"


def main(workspace: Path, pilot: str) -> None:
    """Serves the workspace's desk and takes every page in every size."""
    pages = {
        "today": "/today",
        "lab": "/lab",
        "pilot": f"/lab/{pilot}",
        "gate": f"/gate/{pilot}",
        "factory": "/factory",
    }
    desk = Desk(open_workspace(workspace))
    HERE.mkdir(exist_ok=True)
    with listen(0) as listener, sync_playwright() as playwright:
        server = server_of(desk)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for width, height, scheme in SIZES:
                size = {"width": width, "height": height}
                context = browser.new_context(base_url=address_of(listener), viewport=size, color_scheme=scheme)
                page = context.new_page()
                page.goto(f"/sign-in?link={desk.links.make(WHO)}")
                page.get_by_role("button", name="Go in").click()
                page.wait_for_url("**/today")
                for name, path in pages.items():
                    page.goto(path)
                    taken = Image.open(io.BytesIO(page.screenshot()))
                    taken.convert("RGB").quantize(COLOURS).save(HERE / f"{name}-{width}.png", optimize=True)
        finally:
            server.should_exit = True
            thread.join()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
