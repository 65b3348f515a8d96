"""An annotator at work: boxes, masks, classes, decisions, undo; and nothing lost on the way to the server."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from canvas_driver import ROOT, Canvas, Server, exported, read

from exporters.masks import decode, from_coco

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(serve: Callable[..., Server], examples: Path) -> Server:
    return serve(examples / "boxes.json", "--annotator", "ana")


def truth_of(examples: Path, annotation_id: int) -> tuple[list[float], np.ndarray]:
    """Box (xyxy) and hand-drawn mask of an annotation of the bundled example; its photos are upright."""
    document = read(examples / "truth.json")
    found = next(one for one in document["annotations"] if one["id"] == annotation_id)
    image = next(one for one in document["images"] if one["id"] == found["image_id"])
    mask = from_coco(found["segmentation"], image["height"], image["width"])
    assert mask is not None
    x, y, width, height = found["bbox"]
    return [x, y, x + width, y + height], decode(mask)


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


def mask_of(annotation: dict[str, Any], shape: tuple[int, ...]) -> np.ndarray:
    mask = from_coco(annotation["segmentation"], *shape)
    assert mask is not None
    return decode(mask)


def test_a_box_drawn_by_hand_is_exported_with_the_mask_of_what_is_in_it(
    server: Server, visit: Callable[..., Canvas], examples: Path
) -> None:
    canvas = visit(server)
    canvas.go_to("cat.jpg")
    box, truth = truth_of(examples, 105)
    before = {one["id"] for one in exported(canvas.export(), "cat.jpg")}
    canvas.press("Escape", "b")
    canvas.choose("cat")
    canvas.drag(box[:2], box[2:])
    (made,) = (one for one in exported(canvas.export(), "cat.jpg") if one["id"] not in before)
    assert made["bbox"] == [box[0], box[1], box[2] - box[0], box[3] - box[1]]
    assert made["category_id"] == 17  # the file's id of "cat"
    assert iou(mask_of(made, truth.shape), truth) >= 0.8
    canvas.page.wait_for_function(f"() => {ROOT}.lastMaskMs > 0")  # known once the frame with the mask was painted


def test_clicking_an_imported_box_makes_its_mask(server: Server, visit: Callable[..., Canvas], examples: Path) -> None:
    canvas = visit(server)
    canvas.go_to("coffee.jpg")
    box, truth = truth_of(examples, 107)
    assert [one["mask"] for one in canvas.annotations] == [None, None, None]
    canvas.press("Escape")
    canvas.click([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
    (made,) = (one for one in exported(canvas.export(), "coffee.jpg") if one["id"] == 107)
    assert iou(mask_of(made, truth.shape), truth) >= 0.8


def test_another_class_is_another_text_and_the_mask_is_made_anew(server: Server, visit: Callable[..., Canvas]) -> None:
    canvas = visit(server)
    canvas.go_to("astronaut.jpg")
    canvas.press("Tab", "m")
    first = canvas.selected
    assert first["mask"] is not None
    canvas.choose("rocket")
    second = canvas.selected
    assert (second["id"], second["box"]) == (first["id"], first["box"])
    assert second["category_id"] != first["category_id"]
    assert second["version"] == first["version"] + 1
    # The text is read: what the model answers, mask or confidence, is not what it answered for the old class.
    assert (second["mask"], second["quality"]) != (first["mask"], first["quality"])
    canvas.press("Control+z")
    assert canvas.selected["category_id"] == first["category_id"]
    assert canvas.selected["mask"] == first["mask"]
    canvas.press("Control+Shift+z")
    assert canvas.selected["category_id"] == second["category_id"]
    assert canvas.selected["mask"] == second["mask"]


def test_undo_travels_to_the_photo_of_the_act(server: Server, visit: Callable[..., Canvas]) -> None:
    canvas = visit(server)
    canvas.go_to("rocket.jpg")
    rocket = canvas.see("imageId")
    canvas.press("Tab", "r")
    canvas.page.wait_for_function(
        "(id) => document.querySelector('[data-testid=canvas]').openseed.imageId !== id", arg=rocket
    )
    canvas.wait()
    canvas.press("Control+z")
    canvas.page.get_by_test_id("photo-name").filter(has_text="rocket.jpg").wait_for()
    canvas.wait()
    assert [one["state"] for one in canvas.annotations] == ["proposed"]


def test_everything_is_there_after_a_reload_in_the_middle(server: Server, visit: Callable[..., Canvas]) -> None:
    canvas = visit(server)
    canvas.go_to("cameraman.jpg")
    canvas.press("Tab", "m", "w")
    canvas.press("b")
    canvas.drag([300, 300], [400, 420])
    before = canvas.annotations
    canvas.page.reload()
    canvas.wait()
    assert canvas.annotations == before
    assert "cameraman.jpg" in canvas.page.get_by_test_id("photo-name").inner_text()
    canvas.press("Control+z")
    assert len(canvas.annotations) == len(before) - 1
    canvas.press("Control+z")
    assert all(one["state"] == "proposed" for one in canvas.annotations)


def test_an_act_that_the_connection_swallowed_arrives_later(server: Server, visit: Callable[..., Canvas]) -> None:
    canvas = visit(server)
    canvas.go_to("cameraman.jpg")
    canvas.press("Tab")
    chosen = canvas.selected
    canvas.page.context.set_offline(True)
    canvas.page.keyboard.press("Shift+m")
    canvas.page.locator("[data-testid=sync][data-state=offline]").wait_for()
    assert canvas.see("busy") is True
    canvas.page.context.set_offline(False)
    canvas.wait()
    canvas.page.locator("[data-testid=sync][data-state=saved]").wait_for()
    assert next(one for one in canvas.annotations if one["id"] == chosen["id"])["mask"] is not None


def test_a_box_whose_answer_got_lost_is_not_made_twice(server: Server, visit: Callable[..., Canvas]) -> None:
    canvas = visit(server)
    canvas.go_to("cameraman.jpg")
    count = len(canvas.annotations)
    lost = []

    def lose_first_answer(route: Any) -> None:
        if route.request.method != "POST" or lost:
            route.continue_()
            return
        lost.append(route.fetch().status)  # the server has it, the page never hears of it
        route.abort()

    canvas.page.route("**/api/images/*/annotations", lose_first_answer)
    canvas.press("Escape", "b")
    canvas.drag([30, 90], [120, 200])
    assert lost == [200]
    assert len(canvas.annotations) == count + 1
    canvas.page.reload()
    canvas.wait()
    assert len(canvas.annotations) == count + 1


def test_masks_whose_answer_got_lost_are_shown_all_the_same(server: Server, visit: Callable[..., Canvas]) -> None:
    canvas = visit(server)
    canvas.go_to("hopper-rotated.jpg")
    lost = []

    def lose_first_answer(route: Any) -> None:
        if lost:
            route.continue_()
            return
        lost.append(route.fetch().status)
        route.abort()

    assert not any(one["mask"] for one in canvas.annotations)
    canvas.page.route("**/api/images/*/convert", lose_first_answer)
    canvas.press("Shift+m")
    assert lost == [200]
    assert all(one["mask"] for one in canvas.annotations)

    lost.clear()
    canvas.page.route("**/api/annotations/batch", lose_first_answer)
    canvas.press("Shift+a")
    canvas.go_to("hopper-rotated.jpg")
    assert lost == [200]
    assert [one["state"] for one in canvas.annotations] == ["accepted"] * 3
    assert canvas.page.get_by_text("was not saved").count() == 0
    canvas.press("Control+z", "Control+z")  # two acts, none of them twice
    assert not any(one["mask"] for one in canvas.annotations)


def test_an_act_waits_on_the_page_while_the_server_can_not_store_it(
    server: Server, visit: Callable[..., Canvas]
) -> None:
    canvas = visit(server)
    canvas.go_to("cat.jpg")
    canvas.press("Escape", "Tab", "m")
    _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, hard))  # as if the disk were full
    try:
        canvas.page.keyboard.press("w")
        canvas.page.locator("[data-testid=sync][data-state=storage]").wait_for()
        assert canvas.see("busy") is True
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    canvas.page.locator("[data-testid=sync][data-state=saved]").wait_for()
    canvas.go_to("cat.jpg")
    assert "needs work" in [one["state"] for one in canvas.annotations]


def test_photos_that_are_done_are_looked_at_again_when_asked_for(server: Server, visit: Callable[..., Canvas]) -> None:
    canvas = visit(server)
    canvas.go_to("rocket.jpg")
    rocket = canvas.see("imageId")
    done = canvas.page.get_by_test_id("do-done")
    tick = done.locator(".os-tick")
    assert not tick.is_visible()
    canvas.page.keyboard.press("Shift+Enter")
    canvas.page.wait_for_function(f"(id) => {ROOT}.imageId !== id", arg=rocket)
    canvas.wait()

    def seen() -> set[int]:
        canvas.page.get_by_test_id("order").select_option("file")
        canvas.wait()
        found = {canvas.see("imageId")}
        for _ in range(6):
            canvas.press("n")
            found.add(canvas.see("imageId"))
        return found

    assert rocket not in seen()
    canvas.page.get_by_test_id("work").select_option(label="All photos")
    canvas.wait()
    assert rocket in seen()
    canvas.go_to("rocket.jpg")
    assert tick.is_visible()
    canvas.press("Shift+Enter")


def test_a_photo_from_start_to_end_with_the_keyboard_alone(server: Server, visit: Callable[..., Canvas]) -> None:
    canvas = visit(server)
    page = canvas.page
    page.keyboard.press("/")
    page.get_by_test_id("goto-input").wait_for()
    page.keyboard.type("hopper")
    page.locator("[data-testid=goto] [role=option]").filter(has_text="hopper").wait_for()
    page.keyboard.press("Enter")
    page.get_by_test_id("photo-name").filter(has_text="hopper").wait_for()
    canvas.wait()
    hopper = canvas.see("imageId")

    canvas.press("Shift+m")  # masks for all boxes
    assert all(one["mask"] for one in canvas.annotations)
    canvas.press("Escape", "Tab")
    first = canvas.selected
    canvas.press("Control+ArrowRight", "Control+ArrowDown")
    page.wait_for_timeout(700)  # the keys rest, and the box is sent
    canvas.wait()
    assert canvas.selected["version"] == first["version"] + 1

    canvas.press("Escape", "b")  # a box with the crosshair
    for key in ["Shift+ArrowLeft"] * 4 + ["."] + ["Shift+ArrowRight", "Shift+ArrowDown"] * 6 + ["."]:
        page.keyboard.press(key)
    canvas.wait()
    assert len(canvas.annotations) == 4
    canvas.press("Escape", "Delete")
    assert len(canvas.annotations) == 3

    canvas.press("Escape", "Escape", "Tab")
    for _ in range(3):
        canvas.press("a")
    page.wait_for_function("(id) => document.querySelector('[data-testid=canvas]').openseed.imageId !== id", arg=hopper)
    canvas.wait()
    states = [one["openseed_label"]["state"] for one in exported(canvas.export(), "hopper-rotated.jpg")]
    assert states == ["accepted"] * 3


def test_brush_eraser_and_clicks_change_the_mask_where_they_are_used(
    server: Server, visit: Callable[..., Canvas]
) -> None:
    canvas = visit(server)
    canvas.go_to("coffee.jpg")
    canvas.press("Escape", "Tab", "m")

    def covered(x: int, y: int) -> bool:
        mask = canvas.selected["mask"]
        return bool(decode({"size": mask["size"], "counts": mask["counts"].encode()})[y, x])

    canvas.press("d")
    canvas.drag([20, 20], [60, 30])
    assert covered(20, 20)
    assert covered(60, 30)
    assert covered(40, 25)
    assert canvas.selected["source"] == "human"
    canvas.press("e")
    canvas.drag([20, 20], [60, 30])
    assert not covered(40, 25)
    box = canvas.selected["box"]
    middle = [(box[0] + box[2]) // 2, (box[1] + box[3]) // 2]
    canvas.press("x")
    canvas.click(middle)
    assert not covered(*map(int, middle))
    canvas.press("i")
    canvas.click(middle)
    assert covered(*map(int, middle))
    painted = canvas.selected["mask"]
    canvas.choose("person")  # another class does not throw away what was painted, and the page says so
    canvas.toast("The painted mask is kept")
    assert canvas.selected["mask"] == painted


def test_the_polygon_gets_fewer_points_as_it_is_simplified(server: Server, visit: Callable[..., Canvas]) -> None:
    canvas = visit(server)
    canvas.go_to("astronaut.jpg")
    canvas.press("Escape", "Tab", "m", "l")
    shown = canvas.page.get_by_test_id("polygon-points")
    shown.wait_for()
    exact = int(shown.inner_text().split()[0])
    canvas.page.get_by_test_id("simplify").fill("4")
    canvas.page.get_by_text("4 px").wait_for()
    canvas.page.wait_for_function(
        "(exact) => parseInt(document.querySelector('[data-testid=polygon-points]').textContent) < exact / 2", arg=exact
    )
    kept = float(canvas.page.get_by_test_id("polygon-iou").inner_text().split()[1])
    assert 0.9 < kept < 1
    canvas.wait()
    assert canvas.selected["simplify"] == 4


def test_the_state_before_is_shown_while_its_key_is_held(server: Server, visit: Callable[..., Canvas]) -> None:
    canvas = visit(server)
    canvas.go_to("astronaut.jpg")
    canvas.press("Escape", "Tab", "m", "d")
    canvas.page.mouse.move(*canvas.client([-50, -50]))
    canvas.drag([480, 480], [500, 500])
    canvas.page.get_by_test_id("comparison").wait_for()
    canvas.page.mouse.move(5, 5)
    stage = canvas.page.get_by_test_id("stage")
    now = stage.screenshot()
    canvas.page.keyboard.down("q")
    canvas.page.wait_for_timeout(200)
    held = stage.screenshot()
    canvas.page.keyboard.up("q")
    canvas.page.wait_for_timeout(200)
    assert held != now
    assert stage.screenshot() == now
