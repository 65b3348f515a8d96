"""Which project a start is about."""

from __future__ import annotations

from pathlib import Path

import pytest
from coco_data import COCO, save_photos

from app.errors import UsageError
from app.store.annotations import annotations_of
from app.store.errors import StoreError
from app.store.images import image_count
from app.store.projects import categories
from app.store.stuff import vocabulary_with_stuff
from app.ui.start import Wanted, find_project, is_project_file, place_of
from labelers.vocabulary import Entry


@pytest.fixture
def data(tmp_path: Path) -> Path:
    save_photos(tmp_path)
    (tmp_path / "data.json").write_text(COCO)
    return tmp_path


def test_the_first_start_imports_and_the_second_opens(data: Path) -> None:
    said: list[str] = []
    wanted = Wanted(source=data / "data.json")
    first = find_project(wanted, quiet=True, say=said.append)
    assert first.name == "data"
    assert (data / "data.openseed.db").exists()
    assert len(annotations_of(first, 1)) == 2
    again = find_project(wanted, quiet=True, say=said.append)
    assert again.id == first.id
    assert said == []
    by_file = find_project(Wanted(source=data / "data.openseed.db"), quiet=True, say=said.append)
    assert by_file.id == first.id


def test_a_changed_file_is_told_and_not_imported_over_the_work(data: Path) -> None:
    said: list[str] = []
    wanted = Wanted(source=data / "data.json")
    find_project(wanted, quiet=True, say=said.append)
    (data / "data.json").write_text(COCO.replace("cat", "cow"))
    project = find_project(wanted, quiet=True, say=said.append)
    assert [category.name for category in categories(project)] == ["cat", "dog", "ghost"]
    assert len(said) == 1
    assert "changed" in said[0]
    assert "--merge" in said[0]


def test_a_folder_of_bare_photos(data: Path) -> None:
    (data / "data.json").unlink()
    wanted = Wanted(source=data, names=("person, car", "car"))
    project = find_project(wanted, quiet=True, say=lambda text: None)
    assert (data / "openseed.db").exists()
    assert image_count(project) == 3
    assert [category.name for category in categories(project)] == ["person", "car"]
    assert find_project(Wanted(source=data), quiet=True, say=lambda text: None).id == project.id


def test_classes_of_bare_photos_may_have_marks(data: Path) -> None:
    (data / "data.json").unlink()
    wanted = Wanted(source=data, names=("person, sky (stuff)", "tv = television | monitor, sky"))
    project = find_project(wanted, quiet=True, say=lambda text: None)
    assert vocabulary_with_stuff(project).entries == (
        Entry("person", ("person",)),
        Entry("sky", ("sky",), stuff=True),
        Entry("tv", ("television", "monitor")),
    )


def test_a_project_keeps_no_thresholds(data: Path) -> None:
    (data / "data.json").unlink()
    with pytest.raises(UsageError, match="leave that of 'cat' out"):
        find_project(Wanted(source=data, names=("cat (threshold 0.3)",)), quiet=True, say=print)


def test_photos_elsewhere_need_their_folder(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    save_photos(tmp_path / "photos")
    (tmp_path / "data.json").write_text(COCO)
    wanted = Wanted(source=tmp_path / "data.json", images=tmp_path / "photos")
    project = find_project(wanted, quiet=True, say=lambda text: None)
    assert project.images_root == tmp_path / "photos"


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted(), "Give a COCO file"),
        (Wanted(source=Path("missing.json")), "no such file"),
        (Wanted(source=Path("data.json"), names=("cat",)), "names its classes itself"),
        (Wanted(source=Path(), images=Path()), "folder of photos itself"),
        (Wanted(source=Path("project.db"), database="postgresql://x/y"), "names another"),
    ],
)
def test_wishes_that_contradict_are_refused(
    data: Path, monkeypatch: pytest.MonkeyPatch, wanted: Wanted, message: str
) -> None:
    monkeypatch.chdir(data)
    (data / "project.db").write_bytes(b"")
    with pytest.raises(UsageError, match=message):
        place_of(wanted)


def test_what_is_no_project_is_not_opened_as_one(data: Path) -> None:
    (data / "text.db").write_text("not a database")
    assert is_project_file(data / "text.db")
    with pytest.raises(StoreError, match="not an SQLite database"):
        find_project(Wanted(source=data / "text.db"), quiet=True, say=lambda text: None)
    assert not is_project_file(data / "data.json")
    assert not is_project_file(data)


def test_an_import_that_fails_leaves_nothing_to_trip_over(data: Path) -> None:
    (data / "data.json").write_text('{"images": 3}')
    with pytest.raises(ValueError, match="images is no list"):
        find_project(Wanted(source=data / "data.json"), quiet=True, say=lambda text: None)
    (data / "data.json").write_text(COCO)
    project = find_project(Wanted(source=data / "data.json"), quiet=True, say=lambda text: None)
    assert image_count(project) == 3


def test_photos_that_moved_are_found_with_images(data: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    find_project(Wanted(source=data / "data.json"), quiet=True, say=print)
    moved = tmp_path_factory.mktemp("moved")
    save_photos(moved)
    for source in (data / "data.json", data / "data.openseed.db"):
        project = find_project(Wanted(source=source, images=moved), quiet=True, say=print)
        assert project.images_root == moved.resolve()
    with pytest.raises(UsageError, match="no such folder"):
        find_project(Wanted(source=data / "data.json", images=data / "nowhere"), quiet=True, say=print)


def test_a_folder_that_moved_takes_its_project_along(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    save_photos(old)
    find_project(Wanted(source=old, names=("cat",)), quiet=True, say=print).database.close()
    old.rename(new)
    assert find_project(Wanted(source=new), quiet=True, say=print).images_root == new.resolve()
