"""Takes ``ui.jpg``, the picture of the page in the README: ``PYTHONPATH=. python docs/images/shoot_ui.py``."""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from benchmarks.ui_latency import PAGE, serving

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "app" / "examples"
SIZE = {"width": 1360, "height": 850}


def settle(page: Page) -> None:
    page.wait_for_function(f"() => {PAGE}?.imageId && !{PAGE}.busy", timeout=60_000)


def main() -> None:
    browser_path = shutil.which("chromium")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name) / "example"
        shutil.copytree(EXAMPLES, folder)
        with serving(folder / "boxes.json", ["--annotator", "ana"]) as url:
            browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport=SIZE, color_scheme="dark")
            page.goto(url)
            page.wait_for_timeout(15_000)  # until the model is there: the status bar shows how long a mask took
            for keys in (["Shift+M"], ["a"], ["Tab"], ["m"]):
                settle(page)
                for key in keys:
                    page.keyboard.press(key)
            settle(page)
            page.wait_for_timeout(6000)  # until the messages have gone
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            browser.close()
    picture.save(HERE / "ui.jpg", quality=88, optimize=True)


if __name__ == "__main__":
    main()
