"""An annotator's drag with the smart rectangle, in the real labeling page, in a real browser."""

from __future__ import annotations

import os
import shutil

import pytest
from backend_process import Backend
from example_truth import config, examples, overlap
from label_studio_server import PASSWORD, USER, LabelStudio

pytest.importorskip("playwright")
pytestmark = pytest.mark.slow


def test_a_smart_rectangle_in_the_labeling_page(label_studio: LabelStudio) -> None:
    from playwright.sync_api import sync_playwright

    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium on this machine")
    photo = next(photo for photo in examples() if "coffee" in photo.path.name)
    running = Backend.start("--label-studio", label_studio.url, LABEL_STUDIO_API_KEY=label_studio.personal_token())
    try:
        project = label_studio.project(config("BrushLabels"), title="in the page")
        label_studio.upload(project, [photo.path])
        assert label_studio.connect(project, running.url).status_code == 201
        [task] = label_studio.tasks(project)
        with sync_playwright() as playwright:
            arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
            browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
            page = browser.new_page(viewport={"width": 1500, "height": 1000})
            page.set_default_timeout(30_000)
            page.goto(f"{label_studio.url}/user/login")
            page.fill("input[name=email]", USER)
            page.fill("input[name=password]", PASSWORD)
            with page.expect_navigation():
                page.click("button[type=submit]")
            page.goto(f"{label_studio.url}/projects/{project}/data?task={task['id']}")
            page.wait_for_selector("text=Auto-Annotation")
            page.wait_for_timeout(1500)  # the page goes on laying itself out
            page.click("text=Auto-Annotation")
            page.click("text=Auto-Accept Suggestions")
            page.locator(".lsf-label", has_text="cup").first.click()
            page.locator("button.lsf-tool_smart:visible").first.click()
            shown = [image.bounding_box() for image in page.locator("img").all()]
            place = max((box for box in shown if box is not None), key=lambda box: box["width"])
            assert place["width"] > 300, "the photo is there, besides its thumbnail"
            x0, y0, x1, y1 = photo.boxes[photo.names.index("cup")]
            across, down = place["width"] / photo.width, place["height"] / photo.height
            page.mouse.move(place["x"] + x0 * across, place["y"] + y0 * down)
            page.mouse.down()
            page.mouse.move(place["x"] + (x0 + x1) / 2 * across, place["y"] + (y0 + y1) / 2 * down, steps=5)
            page.mouse.move(place["x"] + x1 * across, place["y"] + y1 * down, steps=5)
            page.mouse.up()
            running.until('openseed_tasks_total{mode="click",outcome="labelled"}', 1)
            page.wait_for_timeout(1500)  # until the answer is on the canvas
            page.click('button[aria-label="Submit current annotation"]')
            page.wait_for_timeout(2000)
            browser.close()
        [task] = label_studio.tasks(project)
        [annotation] = task["annotations"]
        masks = [region for region in annotation["result"] if region["type"] == "brushlabels"]
        assert [region["value"]["brushlabels"] for region in masks] == [["cup"]]
        assert overlap(masks[0], photo.masks[photo.names.index("cup")]) > 0.8
    finally:
        running.stop()
