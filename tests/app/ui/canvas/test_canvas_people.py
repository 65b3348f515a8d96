"""Several annotators on one server: who may come in, who gets what, and what happens when two want the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from canvas_driver import Canvas, Server

pytestmark = pytest.mark.slow

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def server(serve: Callable[..., Server], examples: Path) -> Server:
    return serve(examples / "boxes.json", OPENSEED_LABEL_PASSWORD=PASSWORD)


@pytest.fixture
def enter(server: Server, visit: Callable[..., Canvas]) -> Callable[[str], Canvas]:
    def arrive(name: str) -> Canvas:
        canvas = visit(server, wait=False)
        canvas.login(name, PASSWORD)
        canvas.wait()
        return canvas

    return arrive


def write_as(canvas: Canvas, method: str, path: str, body: object) -> int:
    """A request of this window past its own page: what another window of the same person would send."""
    script = """async ([method, path, body]) => {
      const { csrf } = await (await fetch('/api/session')).json();
      const headers = { 'Content-Type': 'application/json', 'X-CSRF-Token': csrf };
      return (await fetch(path, { method, headers, body: JSON.stringify(body) })).status;
    }"""
    return int(canvas.page.evaluate(script, [method, path, body]))


def test_a_wrong_password_shows_nothing(server: Server, visit: Callable[..., Canvas]) -> None:
    canvas = visit(server, wait=False)
    canvas.login("ana", "wrong")
    canvas.page.locator(".problem").wait_for()
    assert canvas.page.get_by_test_id("canvas").count() == 0
    assert canvas.page.request.get(f"{server.url}/api/project").status == 401
    assert canvas.page.request.get(f"{server.url}/api/images/1/photo").status == 401
    canvas.login("ana", PASSWORD)
    canvas.wait()
    assert canvas.page.get_by_test_id("user").inner_text() == "ana"


def test_two_annotators_get_different_photos_and_see_whose_a_photo_is(enter: Callable[[str], Canvas]) -> None:
    ana, ben = enter("ana"), enter("ben")
    assert ana.see("imageId") != ben.see("imageId")
    taken = ana.page.get_by_test_id("photo-name").inner_text().split()[0]
    ben.go_to(taken)
    ben.page.get_by_test_id("banner").get_by_text("ana is working on this photo").wait_for()
    before = ben.annotations
    ben.press("Escape", "Tab", "r")
    ben.toast("ana is working on this photo")
    assert ben.annotations == before


def test_the_second_of_two_changes_is_told_what_the_first_one_was(
    enter: Callable[[str], Canvas],
) -> None:
    ana = enter("ana")
    ana.press("Escape", "Tab")
    chosen = ana.selected
    path = f"/api/annotations/{chosen['id']}"
    assert write_as(ana, "PATCH", path, {"version": chosen["version"], "state": "needs work"}) == 200
    ana.press("r")
    ana.toast("Your change was not saved; you see theirs")
    (stored,) = (one for one in ana.annotations if one["id"] == chosen["id"])
    assert (stored["state"], stored["version"]) == ("needs work", chosen["version"] + 1)
    ana.press("Escape", "Escape", "Tab", "r")  # with theirs in sight, it goes through
    (stored,) = (one for one in ana.annotations if one["id"] == chosen["id"])
    assert stored["state"] == "rejected"


def test_signing_out_closes_the_door(server: Server, enter: Callable[[str], Canvas]) -> None:
    canvas = enter("cleo")
    canvas.page.get_by_role("button", name="Sign out").click()
    canvas.page.get_by_label("Password").wait_for()
    assert canvas.page.request.get(f"{server.url}/api/project").status == 401


def test_a_session_that_ended_keeps_the_act_until_the_annotator_is_back(
    server: Server, enter: Callable[[str], Canvas]
) -> None:
    canvas = enter("dora")
    canvas.press("Escape", "Tab")
    chosen = canvas.selected
    context = canvas.page.context
    cookies = context.cookies()
    context.clear_cookies()
    canvas.page.keyboard.press("Shift+m")
    canvas.page.locator("[data-testid=sync][data-state=unauthorised]").wait_for()
    context.add_cookies(cookies)  # signed in again in another tab
    canvas.page.locator("[data-testid=sync][data-state=saved]").wait_for()
    canvas.wait()
    assert next(one for one in canvas.annotations if one["id"] == chosen["id"])["mask"] is not None
