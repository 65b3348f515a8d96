"""A folder of photos and nothing else: the first class is named when the first box is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from canvas_driver import Canvas, Server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(serve: Callable[..., Server], examples: Path) -> Server:
    return serve(examples / "photos", "--labeler", "rectangle")


def test_the_first_box_waits_for_the_name_of_its_class(server: Server, visit: Callable[..., Canvas]) -> None:
    canvas = visit(server)
    page = canvas.page
    canvas.press("b")
    canvas.drag([60, 70], [200, 180])
    page.get_by_test_id("classes").get_by_text("Type the name of the first class").wait_for()
    page.keyboard.press("Escape")  # not this box after all
    canvas.wait()
    assert canvas.annotations == []

    canvas.drag([60, 70], [210, 190])
    page.get_by_test_id("classes").get_by_text("Type the name of the first class").wait_for()
    page.keyboard.type("space suit")  # whoever types at once types into the dialog
    page.keyboard.press("Enter")
    page.wait_for_function(
        "() => document.querySelector('[data-testid=canvas]').openseed.annotations.some((one) => one.mask)"
    )
    canvas.wait()
    assert [one["box"] for one in canvas.annotations] == [[60, 70, 210, 190]]
    document = canvas.export()
    assert [one["name"] for one in document["categories"]] == ["space suit"]
    assert [one["bbox"] for one in document["annotations"]] == [[60, 70, 150, 120]]

    canvas.drag([20, 20], [50, 60])  # the class is known now
    assert [one["box"] for one in canvas.annotations] == [[60, 70, 210, 190], [20, 20, 50, 60]]
    assert not page.get_by_test_id("classes").is_visible()
