"""Photos of a project: one, a page of them, and whether the file is still the same."""

from __future__ import annotations

import pytest
from sample_project import HEIGHT, WIDTH, image_ids, sample_project

from app.store.acts import Delete, Update, commit
from app.store.annotations import annotations_of
from app.store.database import Database
from app.store.errors import NotFound
from app.store.images import image, image_count, list_images, note_photo
from app.store.queue import set_reviewed


def test_one_photo(database: Database) -> None:
    project = sample_project(database)
    first, second = image_ids(project)[:2]
    found = image(project, second)
    assert (found.id, found.position, found.file_name) == (second, 1, "photo00001.png")
    assert (found.width, found.height, found.frame_width, found.frame_height) == (WIDTH, HEIGHT, WIDTH, HEIGHT)
    assert (found.reviewed, found.lease_by, found.sha256, found.problem) == (False, None, None, None)
    assert image_count(project) == 3
    other = sample_project(database, name="other", photos=1)
    assert image_count(other) == 1
    for number in (image_ids(other)[0], first + 10**6, 10**30, 0, -1):
        with pytest.raises(NotFound, match="no photo"):
            image(project, number)


def test_a_page_of_photos_with_counts(database: Database) -> None:
    project = sample_project(database, photos=12, boxes=3)
    sample_project(database, name="other")
    photos = image_ids(project)
    one, two, _ = annotations_of(project, photos[2])
    made = [Update(one.id, 1, {"state": "accepted"}), Delete(two.id, 1)]
    commit(project, made, actor="ann", kind="update", image_id=photos[2])
    set_reviewed(project, photos[3], actor="ann", reviewed=True)
    page = list_images(project, offset=1, limit=3)
    assert [p.id for p in page] == photos[1:4]
    assert [(p.pending, p.total, p.reviewed) for p in page] == [(3, 3, False), (1, 2, False), (3, 3, True)]
    assert [p.position for p in list_images(project, search="PHOTO0001")] == [10, 11]
    assert list_images(project, search="%") == []
    assert len(list_images(project)) == 12
    bare = sample_project(database, name="bare", boxes=0)
    assert [(p.pending, p.total) for p in list_images(bare)] == [(0, 0)] * 3


def test_a_file_that_changed_is_noticed(database: Database) -> None:
    project = sample_project(database)
    photo = image_ids(project)[0]
    assert note_photo(project, photo, sha256="a" * 64, size=9) is None
    assert image(project, photo).sha256 == "a" * 64
    assert note_photo(project, photo, sha256="a" * 64, size=9) is None
    assert "changed" in (note_photo(project, photo, sha256="b" * 64, size=9) or "")
    assert image(project, photo).sha256 == "a" * 64
    with pytest.raises(NotFound):
        note_photo(project, 10**30, sha256="a" * 64, size=9)
