"""Objects found by the labeler through the route: proposals only, new ones only, and undo takes them back."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from fakes import FakeFinder, FakeLabeler
from page_client import Browser
from starlette.testclient import TestClient

from app.store.acts import Delete, Update, commit
from app.store.annotations import annotation, annotations_of
from app.store.leases import claim
from app.store.projects import Project, set_synonyms
from app.store.records import State
from app.store.schema import CategoryRow
from app.ui.app import build_api
from app.ui.settings import UiSettings

URL = "/api/images/{}/propose"


@pytest.fixture
def finder(project: Project, settings: UiSettings) -> Iterator[Browser]:
    """The finder sees a cat, a dog and a ghost, each in a quarter of the upper half; scores 0.8, 0.44, 0.31."""
    app = build_api(project, lambda: FakeFinder(), settings)
    with TestClient(app):
        yield Browser(app)


def test_what_is_found_is_proposed_with_a_score(finder: Browser, project: Project) -> None:
    answer = finder.post(URL.format(3))
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["known"] == 0
    records = annotations_of(project, 3)
    assert [one.state for one in records] == [State.PROPOSED] * 3
    assert [round(one.quality or 0, 2) for one in records] == [0.8, 0.44, 0.31]
    assert {one.source for one in records} == {"model:finder"}
    assert records[0].box == (0, 0, 16, 24)
    assert [one["id"] for one in found["annotations"]] == [one.id for one in records]


@pytest.mark.parametrize(
    ("body", "scores"),
    [
        ({}, [0.8, 0.44, 0.31]),
        ({"threshold": None}, [0.8, 0.44, 0.31]),
        ({"threshold": 0.4}, [0.8, 0.44]),
        ({"threshold": 0.8}, [0.8]),
        ({"threshold": 1}, []),
    ],
)
def test_the_lowest_score_may_be_told(
    finder: Browser, project: Project, body: dict[str, float | None], scores: list[float]
) -> None:
    assert finder.post(URL.format(3), json=body).status_code == 200
    assert [round(one.quality or 0, 2) for one in annotations_of(project, 3)] == scores


def test_a_lower_score_adds_to_what_was_found(finder: Browser, project: Project) -> None:
    finder.post(URL.format(3), json={"threshold": 0.4})
    more = finder.post(URL.format(3), json={"threshold": 0.3}).json()
    assert (len(more["annotations"]), more["known"]) == (1, 2)
    assert len(annotations_of(project, 3)) == 3


@pytest.mark.parametrize("body", [{"threshold": 1.1}, {"threshold": -0.1}, {"threshold": "high"}, {"score": 0.5}, 0.5])
def test_a_score_that_can_not_be_is_refused(finder: Browser, project: Project, body: object) -> None:
    assert finder.post(URL.format(3), json=body).status_code == 422
    assert annotations_of(project, 3) == []


def test_asked_twice_nothing_is_found_twice(finder: Browser, project: Project) -> None:
    finder.post(URL.format(3))
    again = finder.post(URL.format(3)).json()
    assert again == {"annotations": [], "known": 3}
    assert len(annotations_of(project, 3)) == 3


def test_one_undo_takes_all_of_it_back(finder: Browser, project: Project) -> None:
    finder.post(URL.format(3))
    answer = finder.post("/api/undo").json()
    assert (answer["kind"], len(answer["annotations"])) == ("find", 3)
    assert annotations_of(project, 3) == []
    finder.post("/api/redo")
    assert len(annotations_of(project, 3)) == 3


@pytest.mark.parametrize("state", list(State))
def test_what_people_decided_stays_and_is_not_proposed_again(finder: Browser, project: Project, state: State) -> None:
    values = {"box": (0.0, 0.0, 16.0, 24.0), "state": state}
    commit(project, [Update(1, 1, values)], actor="ben", kind="update", image_id=1)
    before = annotation(project, 1)
    answer = finder.post(URL.format(1)).json()
    assert answer["known"] == 1
    assert annotation(project, 1) == before
    assert [one["category_id"] for one in answer["annotations"]] == [2, 3]


def test_what_was_deleted_may_be_found_again(finder: Browser, project: Project) -> None:
    made = finder.post(URL.format(3)).json()["annotations"]
    changes = [Delete(one["id"], one["version"]) for one in made]
    commit(project, changes, actor="ana", kind="delete", image_id=3)
    assert len(finder.post(URL.format(3)).json()["annotations"]) == 3


def test_a_synonym_is_the_same_class(finder: Browser, project: Project) -> None:
    set_synonyms(project, 2, ["dog", "cat"])
    values = {"box": (0.0, 0.0, 16.0, 24.0), "category_id": 2}
    commit(project, [Update(1, 1, values)], actor="ben", kind="update", image_id=1)
    assert finder.post(URL.format(1)).json()["known"] == 1


def test_a_labeler_that_needs_boxes_says_so(ana: Browser, project: Project) -> None:
    answer = ana.post(URL.format(3))
    assert answer.status_code == 422
    assert answer.json()["error"]["message"] == "the model fake can't find objects by itself; draw a box with B"
    assert annotations_of(project, 3) == []


def test_a_photo_that_somebody_else_works_on_is_left_alone(finder: Browser, project: Project) -> None:
    claim(project, 3, actor="ben")
    answer = finder.post(URL.format(3))
    assert answer.status_code == 423
    assert annotations_of(project, 3) == []


def test_no_such_photo(finder: Browser) -> None:
    assert finder.post(URL.format(99)).status_code == 404


def test_without_an_account_nothing_is_found(guarded: Callable[[], Browser], labeler: FakeLabeler) -> None:
    assert guarded().post(URL.format(1)).status_code in (401, 403)
    assert labeler.opened == []


def test_stuff_of_the_imported_file_is_looked_for_as_stuff(project: Project, settings: UiSettings) -> None:
    with project.database.writing() as session:
        row = session.get_one(CategoryRow, 2)
        row.raw = '{"id": 7, "name": "dog", "supercategory": "stuff"}'
    app = build_api(project, lambda: FakeFinder(), settings)
    with TestClient(app):
        made = Browser(app).post(URL.format(3)).json()["annotations"]
    assert [one["box"] for one in made] == [[0, 0, 16, 24], [0, 24, 16, 48], [16, 0, 32, 24]]
