"""The page around the canvas: the project's tab, the list of keys, names for those who can't see."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from canvas_driver import Canvas, Server, read

expect = pytest.importorskip("playwright.sync_api").expect
pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[4] / "docs" / "annotating.md"


@pytest.fixture(scope="module")
def server(serve: Callable[..., Server], examples: Path) -> Server:
    return serve(examples / "boxes.json", "--labeler", "rectangle", "--annotator", "ana")


def test_help_and_handbook_list_the_keys_that_the_keyboard_knows(server: Server, visit: Callable[..., Canvas]) -> None:
    canvas = visit(server)
    commands = canvas.page.evaluate(
        "async () => (await import('/static/canvas/commands.js')).COMMANDS.map(({ label, keys }) => ({ label, keys }))"
    )
    keys = [key for command in commands for key in command["keys"]]
    assert len(keys) == len(set(keys)), "a key does two things"
    canvas.page.keyboard.press("?")
    shown = canvas.page.get_by_test_id("help").locator("dd").all_inner_texts()
    assert shown == [command["label"] for command in commands]
    rows = re.findall(r"^\| `.*` \| (.*) \|$", DOCS.read_text(), re.MULTILINE)
    assert rows == shown


def test_everything_that_can_be_pressed_has_a_name(server: Server, visit: Callable[..., Canvas]) -> None:
    canvas = visit(server)
    nameless = canvas.page.evaluate(
        """() => [...document.querySelectorAll('.os-root button, .os-root input, .os-root select')]
          .filter((one) => !one.getAttribute('aria-label') && !one.textContent.trim() && !one.closest('label')
            && !one.labels?.length).map((one) => one.outerHTML)"""
    )
    assert nameless == []


def test_the_canvas_fills_the_window(server: Server, visit: Callable[..., Canvas]) -> None:
    for width, height in [(1440, 900), (1024, 700)]:
        canvas = visit(server, viewport={"width": width, "height": height})
        box = canvas.page.get_by_test_id("canvas").bounding_box()
        assert (box["x"], box["width"], box["y"] + box["height"]) == (0, width, height)
        assert box["y"] <= 32
        assert canvas.page.evaluate("document.documentElement.scrollHeight") == height


def test_dark_and_light_follow_the_system_until_chosen(server: Server, visit: Callable[..., Canvas]) -> None:
    canvas = visit(server, color_scheme="dark")
    root = canvas.page.get_by_test_id("canvas")
    assert root.get_attribute("data-theme") == "dark"
    canvas.page.get_by_role("button", name="Dark or light").click()
    assert root.get_attribute("data-theme") == "light"
    canvas.page.reload()
    canvas.wait()
    assert root.get_attribute("data-theme") == "light"


def test_classes_words_import_and_export_on_the_project_tab(
    server: Server, visit: Callable[..., Canvas], examples: Path, tmp_path: Path
) -> None:
    canvas = visit(server)
    page = canvas.page
    page.get_by_role("tab", name="Project").click()
    page.locator("#os-summary").get_by_text("of 6 photos done").wait_for()

    page.locator("#os-new-class").get_by_role("textbox").fill("teapot")
    page.get_by_role("button", name="Add class").click()
    page.locator("#os-classes").get_by_text("teapot").first.wait_for()

    document = read(examples / "boxes.json")
    image = document["images"][0]["id"]
    document["annotations"] = [
        {"id": 9001, "image_id": image, "category_id": 1, "bbox": [5, 6, 70, 80], "area": 5600, "iscrowd": 0}
    ]
    more = tmp_path / "more.json"
    more.write_text(json.dumps(document))
    page.locator("#os-import input[type=file]").set_input_files(more)
    page.get_by_text("1 annotations").wait_for()

    with page.expect_download() as download:
        page.get_by_role("button", name="Download COCO file").click()
    saved = json.loads(Path(download.value.path()).read_text())
    assert 9001 in {one["id"] for one in saved["annotations"]}
    assert "teapot" in {one["name"] for one in saved["categories"]}

    page.get_by_label("Format").click()
    page.get_by_role("option", name="cvat").click()
    with page.expect_download() as packed:
        page.get_by_role("button", name="Download zip").click()
    assert packed.value.suggested_filename.endswith("-cvat.zip")
    with zipfile.ZipFile(packed.value.path()) as archive:
        labels = next(name for name in archive.namelist() if name.endswith(".xml"))
        assert b"teapot" in archive.read(labels)
        assert "NOTES.txt" in archive.namelist()
    told = page.locator("#os-export-told").get_by_role("textbox")
    expect(told).to_have_value(re.compile(r"-cvat\.zip was made\."))

    answer = {"error": {"kind": "invalid", "message": "<b>the disk</b> is full"}}
    page.route("**/api/export.zip*", lambda route: route.fulfill(status=422, json=answer))
    page.get_by_role("button", name="Download zip").click()
    expect(told).to_have_value("No zip was made: <b>the disk</b> is full")
    page.unroute("**/api/export.zip*")

    page.get_by_role("tab", name="Label").click()  # the canvas knows the new class without a reload
    page.get_by_test_id("stage").wait_for()
    page.keyboard.press("c")
    page.get_by_test_id("classes-input").fill("teapot")
    page.locator("[data-testid=classes] [role=option]").filter(has_text="teapot").first.wait_for()
    # The list may open before the classes have arrived: the offer to make a new one goes when they do.
    page.locator("[data-testid=classes] [role=option]").filter(has_text="New class").wait_for(state="detached")
