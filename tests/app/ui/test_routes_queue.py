"""Which photo comes next, and the list to choose from."""

from __future__ import annotations

import pytest
from page_client import Browser

from app.store.leases import claim
from app.store.projects import Project


def test_next_gives_a_photo_with_all_that_the_canvas_needs(ana: Browser) -> None:
    shown = ana.post("/api/queue/next", json={"order": "file"}).json()["image"]
    assert shown["id"] == 1
    assert shown["lease_by"] == "ana"
    assert (shown["width"], shown["height"]) == (64, 48)
    assert shown["photo_url"] == "/api/images/1/photo"
    assert [found["box"] for found in shown["annotations"]] == [[4, 6, 24, 16], [30, 20, 54, 40]]
    assert shown["upcoming"] == [2, 3]
    second = ana.post("/api/queue/next", json={"order": "file", "after": 1}).json()["image"]
    assert second["id"] == 2
    back = ana.post("/api/queue/next", json={"order": "file", "after": 2, "forward": False}).json()["image"]
    assert back["id"] == 1


def test_a_photo_of_somebody_else_is_passed_over(ana: Browser, project: Project) -> None:
    claim(project, 1, actor="ben")
    assert ana.post("/api/queue/next", json={"order": "file"}).json()["image"]["id"] == 2


def test_opening_a_photo_frees_the_one_before_and_says_what_comes_next(ana: Browser, project: Project) -> None:
    ana.post("/api/queue/next", json={"order": "file"})
    shown = ana.post("/api/images/2/open", json={"order": "file", "leaving": 1}).json()
    assert (shown["id"], shown["lease_by"], shown["upcoming"]) == (2, "ana", [3, 1])
    assert claim(project, 1, actor="ben").lease_by == "ben"
    held = ana.post("/api/images/1/open", json={"order": "file", "leaving": 2}).json()
    assert (held["id"], held["lease_by"], held["upcoming"]) == (1, "ben", [2, 3])
    assert ana.post("/api/images/99/open", json={}).status_code == 404
    assert claim(project, 2, actor="ben").lease_by == "ben"


def test_at_the_end_there_is_no_photo(ana: Browser, project: Project) -> None:
    for number in (1, 2, 3):
        assert ana.post(f"/api/images/{number}/reviewed", json={"reviewed": True}).json()["reviewed"] is True
    assert ana.post("/api/queue/next", json={}).json() == {"image": None}
    leafed = ana.post("/api/queue/next", json={"order": "file", "include_done": True}).json()["image"]
    assert leafed["id"] == 1
    assert ana.get("/api/progress").json()["images_done"] == 3


@pytest.mark.parametrize(
    "body",
    [
        {"order": "best"},
        {"after": "x"},
        {"after": 0},
        {"states": []},
        {"states": ["x"]},
        {"more": 1},
        {"category_id": -3},
    ],
)
def test_wishes_that_make_no_sense_are_refused(ana: Browser, body: dict[str, object]) -> None:
    assert ana.post("/api/queue/next", json=body).status_code == 422


def test_the_list_is_searched_and_paged(ana: Browser) -> None:
    listed = ana.get("/api/images").json()["images"]
    assert [(found["file_name"], found["pending"], found["total"]) for found in listed] == [
        ("photo1.png", 2, 2),
        ("photo2.png", 2, 2),
        ("photo3.png", 0, 0),
    ]
    assert [found["id"] for found in ana.get("/api/images?offset=1&limit=1").json()["images"]] == [2]
    assert [found["id"] for found in ana.get("/api/images?search=O3.P").json()["images"]] == [3]
    assert ana.get("/api/images?search=%25").json()["images"] == []
    for wrong in ("offset=-1", "limit=0", "limit=100000", "search=" + "x" * 300):
        assert ana.get(f"/api/images?{wrong}").status_code == 422


def test_renewing_keeps_the_photo(ana: Browser, project: Project) -> None:
    assert ana.post("/api/images/2/renew", json={}).json()["lease_by"] == "ana"
    assert ana.get("/api/images/2").json()["lease_by"] == "ana"


def test_prefetch_is_answered_at_once(ana: Browser) -> None:
    assert ana.post("/api/images/2/prefetch", json={}).status_code == 202
