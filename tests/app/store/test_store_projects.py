"""Projects of a database and their classes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from sample_project import sample_project
from sqlalchemy import text

from app.reports.colours import colour_at
from app.store.database import Database
from app.store.errors import NotFound, StoreError
from app.store.projects import (
    add_category,
    categories,
    create_project,
    open_project,
    projects,
    set_colour,
    set_synonyms,
    vocabulary,
)


def test_projects_are_opened_by_name_or_alone(database: Database) -> None:
    with pytest.raises(StoreError, match="import a dataset first"):
        open_project(database)
    made = create_project(database, name="cats", images_root="/photos", source="/cats.json", now=lambda: 7.0)
    assert open_project(database) == open_project(database, "cats") == made
    assert made.images_root == Path("/photos")
    create_project(database, name="dogs", images_root="/others")
    with pytest.raises(StoreError, match="several projects; choose one of 'cats', 'dogs'"):
        open_project(database)
    with pytest.raises(StoreError, match="no project 'birds'; choose one of 'cats', 'dogs'"):
        open_project(database, "birds")
    assert open_project(database, "dogs").images_root == Path("/others")
    assert [(p.name, p.images_root, p.source) for p in projects(database)] == [
        ("cats", "/photos", "/cats.json"),
        ("dogs", "/others", None),
    ]
    assert projects(database)[0].created_at == 7.0


@pytest.mark.parametrize("name", ["cats", "", " cats", "a\nb", "x" * 201])
def test_bad_project_names_are_refused(database: Database, name: str) -> None:
    create_project(database, name="cats", images_root="/photos")
    with pytest.raises(StoreError):
        create_project(database, name=name, images_root="/photos")
    assert len(projects(database)) == 1


def test_classes_have_an_order_a_colour_and_synonyms(database: Database) -> None:
    project = create_project(database, name="p", images_root="/photos")
    cat = add_category(project, "cat", actor="ann")
    dog = add_category(project, "dog", actor="ann")
    assert categories(project) == [cat, dog]
    assert (cat.position, dog.position, cat.colour, cat.synonyms) == (0, 1, colour_at(0), ())
    with pytest.raises(StoreError, match="already there"):
        add_category(project, "cat", actor="ann")
    assert set_synonyms(project, dog.id, ["puppy", "hound", "puppy"]).synonyms == ("puppy", "hound")
    assert set_colour(project, cat.id, "#A0b1C2").colour == "#a0b1c2"
    assert [(c.colour, c.synonyms) for c in categories(project)] == [
        ("#a0b1c2", ()),
        (colour_at(1), ("puppy", "hound")),
    ]
    assert set_synonyms(project, dog.id, []).synonyms == ()


def test_bad_classes_are_refused(database: Database) -> None:
    project = sample_project(database)
    other = sample_project(database, name="other")
    mine, foreign = categories(project)[0].id, categories(other)[0].id
    wrong: list[Any] = [
        lambda: add_category(project, "", actor="ann"),
        lambda: add_category(project, "a\x00b", actor="ann"),
        lambda: add_category(project, "bird", actor=""),
        lambda: set_colour(project, mine, "red"),
        lambda: set_colour(project, mine, "#12345"),
        lambda: set_synonyms(project, mine, "cat"),
        lambda: set_synonyms(project, mine, ["cat", ""]),
        lambda: set_synonyms(project, mine, [f"cat {k}" for k in range(51)]),
    ]
    before = categories(project)
    for call in wrong:
        with pytest.raises(StoreError):
            call()
    for number in (foreign, 10**30, 0):
        with pytest.raises(NotFound):
            set_colour(project, number, "#123456")
        with pytest.raises(NotFound):
            set_synonyms(project, number, ["x"])
    assert categories(project) == before


def test_classes_added_at_once_get_places_of_their_own(database: Database) -> None:
    project = create_project(database, name="p", images_root="/photos")
    failures: list[BaseException] = []

    def add(name: str) -> None:
        try:
            add_category(project, name, actor="ann")
        except StoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=add, args=(f"class {k // 2}",)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = categories(project)
    assert sorted(c.name for c in found) == [f"class {k}" for k in range(4)]
    assert [c.position for c in found] == [0, 1, 2, 3]
    assert len(failures) == 4


def test_the_vocabulary_joins_twins(database: Database) -> None:
    project = sample_project(database, classes=("cat", "dog", "bat"))
    cat, dog, twin = categories(project)
    with database.writing() as session:
        session.execute(text(f"UPDATE categories SET name = 'cat' WHERE id = {twin.id}"))
    set_synonyms(project, cat.id, ["kitten", "tabby"])
    set_synonyms(project, twin.id, ["tabby", "tomcat"])
    words = vocabulary(project)
    assert words.names == ("cat", "dog")
    assert words.prompts("cat") == ("kitten", "tabby", "tomcat")
    assert words.prompts(dog.name) == ("dog",)
