"""Drawing, changing, accepting and taking back, through the routes, with a real store."""

from __future__ import annotations

import resource
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from page_client import Browser
from sqlalchemy import event

from app.store.acts import Update, commit
from app.store.annotations import annotation, annotations_of
from app.store.leases import claim
from app.store.projects import Project, create_project
from exporters.masks import area, decode


def photo(browser: Browser, number: int = 1) -> dict[str, Any]:
    answer: dict[str, Any] = browser.get(f"/api/images/{number}").json()
    return answer


def first(browser: Browser) -> dict[str, Any]:
    found: dict[str, Any] = photo(browser)["annotations"][0]
    return found


def problem(answer: Any, status: int, kind: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert error["kind"] == kind
    assert error["message"]
    assert "Traceback" not in answer.text
    return error


def test_a_box_that_is_drawn_has_its_mask_at_once(ana: Browser, project: Project) -> None:
    answer = ana.post("/api/images/3/annotations", json={"box": [10, 8, 30, 28], "category_id": 2})
    assert answer.status_code == 200, answer.text
    made = answer.json()["annotation"]
    assert made["box"] == [10, 8, 30, 28]
    assert made["source"] == "model:fake"
    assert made["state"] == "proposed"
    assert made["author"] == "ana"
    (stored,) = annotations_of(project, 3)
    assert stored.mask is not None
    mask = decode(stored.mask)
    assert mask[18, 20]
    assert not mask[8, 10]  # the fake's ellipse, and not the rectangle
    assert made["area"] == area(stored.mask) == mask.sum()
    assert made["mask"] == {"size": [48, 64], "counts": stored.mask["counts"].decode()}


def test_a_drag_that_ends_outside_is_cut_to_the_photo(ana: Browser) -> None:
    made = ana.post("/api/images/3/annotations", json={"box": [-5.5, 40, 80, 90], "category_id": 2}).json()
    assert made["annotation"]["box"] == [0, 40, 64, 48]
    outside = ana.post("/api/images/3/annotations", json={"box": [70, 50, 80, 90], "category_id": 2})
    problem(outside, 422, "invalid")


def test_a_box_without_a_mask_is_kept_and_says_why(ana: Browser, project: Project) -> None:
    answer = ana.post("/api/images/3/annotations", json={"box": [10, 8, 30, 28], "category_id": 3}).json()
    assert answer["annotation"]["mask"] is None
    assert "no pixel" in answer["reason"]
    assert len(annotations_of(project, 3)) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"box": [30, 8, 10, 28], "category_id": 1},
        {"box": [1, 2, 3], "category_id": 1},
        {"box": [1, 2, 3, "x"], "category_id": 1},
        {"box": [1, 2, 3, 1e300], "category_id": 1},
        {"box": [1, 2, 30, 40], "category_id": 99},
        {"box": [1, 2, 30, 40], "category_id": 2**70},
        {"box": [1, 2, 30, 40], "category_id": -1},
        {"box": [1, 2, 30, 40], "category_id": 1, "mask": {"size": [1, 1], "counts": "x"}},
        {"box": [1, 2, 30, 40]},
        [],
        "x",
    ],
)
def test_what_is_no_box_is_refused(ana: Browser, project: Project, body: Any) -> None:
    problem(ana.post("/api/images/3/annotations", json=body), 422, "invalid")
    assert annotations_of(project, 3) == []


@pytest.mark.parametrize("text", ["", "{", "[[[[" * 20000, '{"box": [1, 2, NaN, 4], "category_id": 1}', "\xff"])
def test_what_is_no_json_is_refused(ana: Browser, text: str) -> None:
    answer = ana.post(
        "/api/images/3/annotations", content=text.encode("latin-1"), headers={"content-type": "application/json"}
    )
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]["kind"] == "invalid"


def test_click_a_box_and_change_its_class(ana: Browser) -> None:
    record = first(ana)
    assert record["mask"] is None
    clicked = ana.post(f"/api/annotations/{record['id']}/decode", json={"version": record["version"]}).json()
    assert clicked["annotation"]["mask"] is not None
    assert clicked["annotation"]["version"] == record["version"] + 1
    changed = ana.patch(
        f"/api/annotations/{record['id']}",
        json={"version": clicked["annotation"]["version"], "category_id": 2, "decode": True},
    ).json()
    assert changed["annotation"]["category_id"] == 2
    assert changed["reason"] is None


def test_a_class_for_which_there_is_no_mask_is_kept_with_the_old_mask(ana: Browser) -> None:
    record = first(ana)
    decoded = ana.post(f"/api/annotations/{record['id']}/decode", json={"version": 1}).json()["annotation"]
    ghost = ana.patch(
        f"/api/annotations/{record['id']}", json={"version": decoded["version"], "category_id": 3, "decode": True}
    ).json()
    assert ghost["annotation"]["category_id"] == 3
    assert ghost["annotation"]["mask"] == decoded["mask"]
    assert "no pixel" in ghost["reason"]


def test_a_box_that_can_not_be_decoded_says_why(ana: Browser) -> None:
    ghost = photo(ana, 2)["annotations"][1]
    error = problem(ana.post(f"/api/annotations/{ghost['id']}/decode", json={"version": 1}), 422, "invalid")
    assert "no pixel" in error["message"]


def test_states_form_and_simplify(ana: Browser, project: Project) -> None:
    record = first(ana)
    url = f"/api/annotations/{record['id']}"
    for version, change in enumerate(
        ({"state": "accepted"}, {"state": "needs work"}, {"form": "polygon"}, {"simplify": 2.5}), 1
    ):
        answer = ana.patch(url, json={"version": version, **change})
        assert answer.status_code == 200, answer.text
        assert change.items() <= answer.json()["annotation"].items()
    for change in ({"state": "perfect"}, {"form": "svg"}, {"simplify": -1}, {"simplify": 1e9}, {}, {"decode": 7}):
        problem(ana.patch(url, json={"version": 5, **change}), 422, "invalid")
    assert annotation(project, record["id"]).version == 5


def test_the_second_to_save_gets_a_conflict_with_what_is_there_now(ana: Browser, project: Project) -> None:
    record = first(ana)
    commit(project, [Update(record["id"], 1, {"state": "rejected"})], actor="ana", kind="reject", image_id=1)
    for call in (
        lambda: ana.patch(f"/api/annotations/{record['id']}", json={"version": 1, "state": "accepted"}),
        lambda: ana.post(f"/api/annotations/{record['id']}/decode", json={"version": 1}),
        lambda: ana.delete(f"/api/annotations/{record['id']}?version=1"),
        lambda: ana.post(
            "/api/annotations/batch", json={"annotations": [{"id": record["id"], "version": 1}], "state": "accepted"}
        ),
    ):
        error = problem(call(), 409, "conflict")
        assert error["theirs"]["state"] == "rejected"
        assert error["theirs"]["version"] == 2
    assert annotation(project, record["id"]).state == "rejected"


def test_a_photo_that_somebody_else_has_can_be_looked_at_only(ana: Browser, project: Project) -> None:
    claim(project, 1, actor="ben")
    shown = photo(ana)
    assert shown["lease_by"] == "ben"
    record = shown["annotations"][0]
    for call in (
        lambda: ana.patch(f"/api/annotations/{record['id']}", json={"version": 1, "state": "accepted"}),
        lambda: ana.post(f"/api/annotations/{record['id']}/decode", json={"version": 1}),
        lambda: ana.post("/api/images/1/annotations", json={"box": [1, 2, 30, 40], "category_id": 1}),
        lambda: ana.post("/api/images/1/convert", json={}),
        lambda: ana.post("/api/images/1/renew", json={}),
        lambda: ana.post("/api/images/1/reviewed", json={"reviewed": True}),
    ):
        assert problem(call(), 423, "leased")["by"] == "ben"
    assert annotation(project, record["id"]).version == 1


def test_delete_undo_redo(ana: Browser) -> None:
    record = first(ana)
    gone = ana.delete(f"/api/annotations/{record['id']}?version=1").json()["annotation"]
    assert gone["deleted"] is True
    assert len(photo(ana)["annotations"]) == 1
    back = ana.post("/api/undo", json={}).json()
    assert back["image_id"] == 1
    assert back["kind"] == "delete"
    assert back["annotations"][0]["deleted"] is False
    assert len(photo(ana)["annotations"]) == 2
    assert ana.post("/api/redo", json={}).json()["annotations"][0]["deleted"] is True
    assert "redo" in problem(ana.post("/api/redo", json={}), 422, "invalid")["message"]


def test_previous_shows_the_state_before_the_last_act(ana: Browser) -> None:
    record = first(ana)
    url = f"/api/annotations/{record['id']}"
    assert ana.get(f"{url}/previous").json()["annotation"] is None
    ana.post(f"{url}/decode", json={"version": 1})
    ana.patch(url, json={"version": 2, "box": [4, 6, 30, 20]})
    before = ana.get(f"{url}/previous").json()
    assert before["kind"] == "update"
    assert before["actor"] == "ana"
    assert before["annotation"]["box"] == [4, 6, 24, 16]
    assert before["annotation"]["mask"] is not None


def test_convert_all_boxes_of_a_photo_in_one_act(ana: Browser) -> None:
    done = ana.post("/api/images/2/convert", json={}).json()
    assert [found["id"] for found in done["annotations"]] == [3]
    assert [lost["id"] for lost in done["failed"]] == [4]
    assert "no pixel" in done["failed"][0]["reason"]
    again = ana.post("/api/images/2/convert", json={}).json()
    assert again["annotations"] == []
    redone = ana.post("/api/images/2/convert", json={"redo": True}).json()
    assert [found["id"] for found in redone["annotations"]] == [3]
    ana.post("/api/undo", json={})
    ana.post("/api/undo", json={})
    assert all(found["mask"] is None for found in photo(ana, 2)["annotations"])


def test_accept_all_is_one_act_and_all_or_nothing(ana: Browser, project: Project) -> None:
    picked = [{"id": found["id"], "version": found["version"]} for found in photo(ana)["annotations"]]
    stale = [picked[0], {**picked[1], "version": 9}]
    answer = ana.post("/api/annotations/batch", json={"annotations": stale, "state": "accepted"})
    problem(answer, 409, "conflict")
    assert {found.state for found in annotations_of(project, 1)} == {"proposed"}
    done = ana.post("/api/annotations/batch", json={"annotations": picked, "state": "accepted"}).json()
    assert [found["state"] for found in done["annotations"]] == ["accepted", "accepted"]
    assert len(ana.post("/api/undo", json={}).json()["annotations"]) == 2
    doubled = {"annotations": [picked[0], picked[0]], "state": "accepted"}
    problem(ana.post("/api/annotations/batch", json=doubled), 422, "invalid")


def test_ids_of_other_projects_are_not_there(ana: Browser, project: Project) -> None:
    other = create_project(project.database, name="other", images_root=project.images_root)
    theirs = _annotation_in(other)
    body = {"version": 1}
    for call in (
        ana.get(f"/api/images/{theirs.image_id}"),
        ana.get(f"/api/images/{theirs.image_id}/photo"),
        ana.post(f"/api/images/{theirs.image_id}/annotations", json={"box": [1, 2, 30, 40], "category_id": 1}),
        ana.post(f"/api/images/{theirs.image_id}/prefetch", json={}),
        ana.post(f"/api/images/{theirs.image_id}/renew", json={}),
        ana.post(f"/api/images/{theirs.image_id}/convert", json={}),
        ana.post(f"/api/images/{theirs.image_id}/reviewed", json={"reviewed": True}),
        ana.patch(f"/api/annotations/{theirs.id}", json={**body, "state": "accepted"}),
        ana.post(f"/api/annotations/{theirs.id}/decode", json=body),
        ana.post(f"/api/annotations/{theirs.id}/fill", json=body),
        ana.delete(f"/api/annotations/{theirs.id}?version=1"),
        ana.get(f"/api/annotations/{theirs.id}/polygon"),
        ana.get(f"/api/annotations/{theirs.id}/previous"),
        ana.post(
            "/api/annotations/batch", json={"annotations": [{"id": theirs.id, "version": 1}], "state": "accepted"}
        ),
        ana.post("/api/queue/next", json={"after": theirs.image_id}),
        ana.get("/api/images/77/photo"),
    ):
        problem(call, 404, "not_found")
    assert annotation(other, theirs.id).version == 1


def _annotation_in(other: Project) -> Any:
    """One photo with one annotation, as an import would make them."""
    from sqlalchemy import select

    from app.store.acts import Create
    from app.store.bulk import insert_rows
    from app.store.schema import ImageRow

    with other.database.writing() as session:
        row = dict(session.execute(select(ImageRow.__table__).limit(1)).mappings().one())
        insert_rows(session, ImageRow, [{**row, "id": None, "project_id": other.id}])
        image_id = session.scalar(select(ImageRow.id).where(ImageRow.project_id == other.id))
    values = {"box": (1.0, 2.0, 30.0, 40.0), "source": "human"}
    return commit(other, [Create(values)], actor="eve", kind="create", image_id=image_id).annotations[0]


@pytest.mark.parametrize("path", ["/api/images/0", "/api/images/-1", "/api/images/x", f"/api/images/{2**80}"])
def test_ids_that_no_database_has_are_refused(ana: Browser, path: str) -> None:
    problem(ana.get(path), 422, "invalid")


def test_a_conflict_names_who_undid_and_not_whose_the_annotation_is_again(ana: Browser) -> None:
    ana.patch("/api/annotations/1", json={"version": 1, "state": "rejected"})
    ana.post("/api/undo", json={})
    error = problem(ana.patch("/api/annotations/1", json={"version": 1, "state": "accepted"}), 409, "conflict")
    assert error["theirs"]["author"] == "import"
    assert error["by"] == "ana"
    assert error["message"].startswith("ana changed")


def test_undo_finds_nothing_at_first(ana: Browser) -> None:
    problem(ana.post("/api/undo", json={}), 422, "invalid")


def test_the_photo_file_must_be_the_one_of_the_import(ana: Browser, project: Project) -> None:
    from PIL import Image

    Image.new("RGB", (10, 10)).save(Path(project.images_root) / "photo1.png")
    error = problem(ana.post("/api/annotations/1/decode", json={"version": 1}), 422, "invalid")
    assert "10 x 10" in error["message"]
    (Path(project.images_root) / "photo1.png").unlink()
    gone = problem(ana.post("/api/annotations/1/decode", json={"version": 1}), 404, "not_found")
    assert str(project.images_root) not in error["message"] + gone["message"]
    assert "photo1.png" in gone["message"]


def test_a_locked_database_is_told_without_its_place(ana: Browser, project: Project) -> None:
    # half a minute is too long for a test
    event.listen(project.database.engine, "checkout", lambda raw, *_: raw.execute("PRAGMA busy_timeout = 50"))
    with closing(sqlite3.connect(project.database.url, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = ana.patch("/api/annotations/1", json={"version": 1, "state": "rejected"})
    error = problem(answer, 503, "busy")
    assert "locked" in error["message"]
    assert Path(project.database.url).name not in error["message"]


def test_a_full_disk_is_no_fault_of_the_act_and_names_no_folder(ana: Browser, project: Project) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        answer = ana.patch("/api/annotations/1", json={"version": 1, "state": "rejected"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    error = problem(answer, 503, "storage")
    assert "can't use its database now" in error["message"]
    for secret in (str(project.images_root), Path(project.database.url).name, "disk I/O"):
        assert secret not in error["message"]
    assert ana.patch("/api/annotations/1", json={"version": 1, "state": "rejected"}).status_code == 200
