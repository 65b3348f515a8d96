"""Where something is drawn is where it is stored, on any screen, for any photo."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from canvas_driver import Canvas, Server, exported
from PIL import Image

from exporters.masks import encode
from labelers.orientation import boxes_to_raw

pytestmark = pytest.mark.slow

SMALL = (301, 487)  # width, height of the upright portrait photos
LARGE = (5472, 3648)
SCREENS = [
    {"device_scale_factor": 1},
    {"device_scale_factor": 1.5, "viewport": {"width": 1003, "height": 701}},
    {"device_scale_factor": 2, "viewport": {"width": 1117, "height": 733}},
]


def picture(width: int, height: int) -> np.ndarray:
    """Top left red, top right green, bottom left blue, bottom right white: every turn looks different."""
    pixels = np.zeros((height, width, 3), np.uint8)
    top, left = height // 2, width // 2
    pixels[:top, :left], pixels[:top, left:] = (220, 0, 0), (0, 200, 0)
    pixels[top:, :left], pixels[top:, left:] = (0, 0, 220), (240, 240, 240)
    return pixels


def save(path: Path, upright: np.ndarray, orientation: int = 1) -> tuple[int, int]:
    """Store the photo the way a turned camera does; gives the stored size (width, height)."""
    turned = {1: upright, 3: upright[::-1, ::-1], 6: np.rot90(upright, 1), 8: np.rot90(upright, -1)}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(turned)).save(path, exif=exif)
    return turned.shape[1], turned.shape[0]


@pytest.fixture(scope="module")
def server(serve: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory) -> Server:
    folder = tmp_path_factory.mktemp("pixels")
    small = picture(*SMALL)
    sizes = {
        "portrait.jpg": save(folder / "portrait.jpg", small),
        "turned6.jpg": save(folder / "turned6.jpg", small, 6),
        "turned8.jpg": save(folder / "turned8.jpg", small, 8),
        "turned3.png": save(folder / "turned3.png", small, 3),
        "plain.tif": save(folder / "plain.tif", small),
        "large.jpg": save(folder / "large.jpg", picture(*LARGE)),
    }
    images = [
        # The boxes of this one are in the frame of the stored pixels; the others say the upright size.
        {"id": number, "file_name": name, "width": width, "height": height}
        if name == "turned8.jpg"
        else {"id": number, "file_name": name, "width": upright[0], "height": upright[1]}
        for number, (name, (width, height)) in enumerate(sizes.items(), start=1)
        for upright in [LARGE if name == "large.jpg" else SMALL]
    ]
    document = {"images": images, "annotations": [], "categories": [{"id": 7, "name": "thing"}]}
    (folder / "data.json").write_text(json.dumps(document))
    return serve(folder / "data.json", "--labeler", "rectangle")


def seen_colour(canvas: Canvas, point: tuple[int, int]) -> list[int]:
    """The colour on screen where the page says that this pixel of the photo is."""
    x, y = canvas.client((point[0] + 0.5, point[1] + 0.5))
    shot = canvas.page.screenshot(clip={"x": x - 1, "y": y - 1, "width": 2, "height": 2})
    pixels = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"))
    return [int(value) for value in pixels.reshape(-1, 3).mean(axis=0)]


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: f"dpr{screen['device_scale_factor']}")
@pytest.mark.parametrize("name", ["portrait.jpg", "turned6.jpg", "turned8.jpg", "turned3.png", "plain.tif"])
def test_a_drawn_box_is_exported_exact_to_the_pixel(
    server: Server, visit: Callable[..., Canvas], screen: dict[str, Any], name: str
) -> None:
    canvas = visit(server, **screen)
    canvas.go_to(name)
    for point, strongest in [((40, 60), 0), ((260, 60), 1), ((40, 430), 2)]:
        assert int(np.argmax(seen_colour(canvas, point))) == strongest  # the photo is upright
    before = len(exported(canvas.export(), name))
    box = [37, 61, 211, 402]
    canvas.press("Escape", "b")
    canvas.drag(box[:2], box[2:])
    assert canvas.selected["box"] == box
    made = exported(canvas.export(), name)[before]
    stored = np.array([box], float)
    if name == "turned8.jpg":  # back in the frame of the file's own pixels
        stored = boxes_to_raw(stored, 8, raw_height=SMALL[0], raw_width=SMALL[1])
    x0, y0, x1, y1 = stored[0].tolist()
    assert made["bbox"] == [x0, y0, x1 - x0, y1 - y0]


def test_zooming_and_moving_the_photo_does_not_shift_boxes(server: Server, visit: Callable[..., Canvas]) -> None:
    canvas = visit(server, device_scale_factor=1.5, viewport={"width": 999, "height": 777})
    canvas.go_to("portrait.jpg")
    canvas.press("Escape", "b")
    to_photo = "(at) => document.querySelector('[data-testid=canvas]').openseed.toPhoto(at)"
    x, y = (round(value) for value in canvas.client((150, 200)))  # wheel events come at whole pixels
    at = canvas.page.evaluate(to_photo, [x, y])
    canvas.page.mouse.move(x, y)
    for _ in range(4):
        canvas.page.mouse.wheel(0, -240)
    assert np.allclose(canvas.page.evaluate(to_photo, [x, y]), at, atol=1e-6)  # zoomed at the pointer
    canvas.page.mouse.down(button="middle")
    canvas.page.mouse.move(x - 61, y + 33)
    canvas.page.mouse.up(button="middle")
    assert np.allclose(canvas.client(at), (x - 61, y + 33), atol=0.01)
    canvas.drag((141, 187), (163, 211))
    assert canvas.selected["box"] == [141, 187, 163, 211]


def test_handles_resize_and_the_inside_moves(server: Server, visit: Callable[..., Canvas]) -> None:
    canvas = visit(server, device_scale_factor=2)
    canvas.go_to("turned6.jpg")
    canvas.press("Escape", "b")
    canvas.drag((50, 100), (150, 200))
    canvas.press("s")
    canvas.drag((150, 200), (177, 231))
    assert canvas.selected["box"] == [50, 100, 177, 231]
    canvas.drag((50, 165), (33, 165))
    assert canvas.selected["box"] == [33, 100, 177, 231]
    canvas.drag((100, 150), (107, 141))
    assert canvas.selected["box"] == [40, 91, 184, 222]
    canvas.drag((100, 150), (9000, 150))  # stopped by the border
    assert canvas.selected["box"] == [SMALL[0] - 144, 91, SMALL[0], 222]


def test_page_zoom_by_style_keeps_coordinates(server: Server, visit: Callable[..., Canvas]) -> None:
    canvas = visit(server, device_scale_factor=1.25)
    canvas.page.evaluate("document.body.style.zoom = 1.1")
    canvas.page.wait_for_timeout(200)
    canvas.go_to("portrait.jpg")
    canvas.press("Escape", "b")
    canvas.drag((20, 30), (120, 190))
    assert canvas.selected["box"] == [20, 30, 120, 190]


def test_a_photo_of_20_megapixels_opens_and_stays_quick(server: Server, visit: Callable[..., Canvas]) -> None:
    canvas = visit(server)
    canvas.go_to("large.jpg")
    assert int(np.argmax(seen_colour(canvas, (400, 400)))) == 0
    assert int(np.argmax(seen_colour(canvas, (5000, 400)))) == 1
    canvas.press("Escape", "b")
    canvas.drag((1000, 800), (3000, 2800))
    box = canvas.selected["box"]
    # One screen pixel is several photo pixels here: the corner is exact to that.
    assert np.allclose(box, [1000, 800, 3000, 2800], atol=1)
    slowest = canvas.page.evaluate(
        """async () => {
          const stage = document.querySelector('[data-testid=stage]');
          const at = stage.getBoundingClientRect();
          let slowest = 0;
          for (let step = 0; step < 20; step += 1) {
            const begin = performance.now();
            stage.dispatchEvent(new WheelEvent('wheel', { deltaY: step < 10 ? -150 : 150, clientX: at.x + 300,
              clientY: at.y + 200, bubbles: true, cancelable: true }));
            await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
            slowest = Math.max(slowest, performance.now() - begin);
          }
          return slowest;
        }"""
    )
    assert slowest < 1000  # software rendering on a busy machine; with a graphics card it is a few milliseconds


def test_masks_are_decoded_as_pycocotools_encodes_them(server: Server, visit: Callable[..., Canvas]) -> None:
    canvas = visit(server)
    random = np.random.default_rng(5)
    masks = [random.random((height, width)) < share for height, width, share in [(1, 1, 1), (7, 3, 0.5), (40, 60, 0.9)]]
    blob = np.zeros((300, 500), bool)
    blob[40:280, 100:470] = True
    blob[100:120, 300:310] = False
    full = np.ones((33, 21), bool)
    for mask in [*masks, blob, full]:
        rle = encode(mask)
        found = canvas.page.evaluate(
            """async (rle) => {
              const { decodeRle } = await import('/static/canvas/rle.js');
              const found = decodeRle(rle);
              return found && { ...found, runs: [...found.runs] };
            }""",
            {"size": rle["size"], "counts": rle["counts"].decode()},
        )
        decoded = np.zeros_like(mask)
        for column, top, bottom in np.array(found["runs"]).reshape(-1, 3):
            decoded[top:bottom, column] = True
        assert (decoded == mask).all()
        rows, columns = np.nonzero(mask)
        assert (found["x"], found["y"]) == (columns.min(), rows.min())
        assert (found["width"], found["height"]) == (np.ptp(columns) + 1, np.ptp(rows) + 1)
    empty = encode(np.zeros((5, 4), bool))
    assert (
        canvas.page.evaluate(
            "async (rle) => (await import('/static/canvas/rle.js')).decodeRle(rle)",
            {"size": empty["size"], "counts": empty["counts"].decode()},
        )
        is None
    )
