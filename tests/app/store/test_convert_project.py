"""Boxes to masks in a project: what is converted, what is left alone, interruption, and annotators at work."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from coco_project import exported, photo, rectangle, save_odd
from fakes import FakeLabeler

from app.convert import Settings, convert
from app.convert.project import check_project, convert_project
from app.convert.project_plan import ACTOR
from app.convert.summary import Summary
from app.errors import UsageError
from app.store.acts import Delete, Update, commit
from app.store.annotations import annotations_of, history
from app.store.coco_import import import_coco
from app.store.database import Database
from app.store.errors import NothingToUndo
from app.store.images import list_images
from app.store.leases import claim, release
from app.store.projects import Project, categories, set_synonyms
from app.store.records import AnnotationRecord
from app.store.runs import runs
from app.store.undo import undo
from exporters.masks import box_xyxy
from labelers.protocol import LabelerSpec
from labelers.rectangle import RectangleLabeler

RING = [[4.0, 4.0, 30.0, 4.0, 30.0, 20.0]]


def save(folder: Path, *, photos: int = 3, boxes: int = 2, **more: Any) -> Path:
    """``boxes`` boxes in each photo, those of different photos interleaved."""
    for k in range(1, photos + 1):
        photo(folder / f"{k}.png")
    annotations = [
        {"id": 10 + k, "image_id": k % photos + 1, "category_id": 1, "bbox": [2 + k, 3, 10, 8]}
        for k in range(photos * boxes)
    ]
    content = {
        "images": [{"id": k, "file_name": f"{k}.png", "width": 64, "height": 48} for k in range(1, photos + 1)],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        **more,
    }
    path = folder / "in.json"
    path.write_text(json.dumps(content))
    return path


def loaded(database: Database, folder: Path, **more: Any) -> Project:
    return import_coco(database, save(folder, **more), images_root=folder, name="p")


def settings(**options: Any) -> Settings:
    return Settings(source=Path("x"), output=Path("x"), **options)


def of(project: Project, k: int = 0) -> list[AnnotationRecord]:
    return annotations_of(project, list_images(project)[k].id)


def everything(project: Project) -> list[AnnotationRecord]:
    return [one for summary in list_images(project) for one in annotations_of(project, summary.id)]


def update(project: Project, one: AnnotationRecord, **values: Any) -> AnnotationRecord:
    return commit(
        project, [Update(one.id, one.version, values)], actor="Ann", kind="update", image_id=one.image_id
    ).annotations[0]


def test_every_box_gets_its_own_mask(database: Database, tmp_path: Path) -> None:
    project = loaded(database, tmp_path)
    summary = convert_project(project, settings(), RectangleLabeler())
    assert (summary.annotations, summary.exit_code) == ({"converted": 6}, 0)
    assert summary.photos == {"in_file": 3, "asked": 3, "unreadable": 0, "resumed": 0}
    for one in everything(project):
        assert one.box is not None
        assert one.mask is not None
        assert tuple(box_xyxy(one.mask).tolist()) == one.box  # row k belongs to box k
        assert (one.source, one.quality, one.author) == ("model:rectangle", 0.5, ACTOR)
        assert one.state.value == "proposed"
        (record,) = history(project, one.id)
        assert (record.actor, record.kind) == (ACTOR, "convert run")
    (run,) = runs(project)
    assert (run.labeler, run.version, run.photos, run.annotations) == ("rectangle", "1", 3, 6)
    assert run.finished_at is not None
    with pytest.raises(NothingToUndo):
        undo(project, actor=ACTOR)


def test_the_export_is_what_the_conversion_of_the_file_gives(database: Database, tmp_path: Path) -> None:
    photo(tmp_path / "turned.png", orientation=6)
    source = save(tmp_path)
    content = json.loads(source.read_text())
    content["images"].append({"id": 9, "file_name": "turned.png", "width": 64, "height": 48})
    content["annotations"].append({"id": 99, "image_id": 9, "category_id": 2, "bbox": [10, 20, 30, 8]})
    source.write_text(json.dumps(content))
    by_file = convert(Settings.of(source=source, provenance=False), labeler=FakeLabeler())
    project = import_coco(database, source, images_root=tmp_path, name="p")
    by_project = convert_project(project, settings(), FakeLabeler())
    assert by_project.annotations == by_file.annotations
    assert by_project.mean_score == by_file.mean_score
    wanted = json.loads(Path(by_file.output or "").read_text())
    assert exported(project, tmp_path, provenance=False) == wanted


def test_counts_problems_and_exit_code_are_those_of_a_file(database: Database, tmp_path: Path) -> None:
    source = save_odd(tmp_path)
    by_file = convert(Settings.of(source=source), labeler=FakeLabeler())
    project = import_coco(database, source, images_root=tmp_path, name="odd")
    by_project = convert_project(project, settings(), FakeLabeler())
    assert by_project.exit_code == by_file.exit_code == 1

    def trouble(summary: Summary) -> list[tuple[str, str]]:
        return [(one.annotation, one.outcome) for one in summary.problems if one.outcome != "no_photo"]

    # what the file says of masks that can't be read, it counts as kept; the project knows that there are none
    kept = {"21", "22", "23", "24"}
    assert [one for one in trouble(by_project) if one[0] not in kept] == [
        one for one in trouble(by_file) if one[0] not in kept and one[1] != "no_image"
    ] + [one for one in trouble(by_file) if one[1] == "no_image"]


@pytest.mark.parametrize("size", [(128, 96), (100, 100)])
def test_contradicting_sizes_are_reported(database: Database, tmp_path: Path, size: tuple[int, int]) -> None:
    images = [{"id": 1, "file_name": "1.png", "width": size[0], "height": size[1]}]
    project = loaded(database, tmp_path, photos=1, images=images)
    summary = convert_project(project, settings(), FakeLabeler())
    assert summary.annotations == {"converted": 2}
    assert len(summary.mismatches) == 1
    assert summary.exit_code == 1


def test_what_needs_no_mask_is_left_alone(database: Database, tmp_path: Path) -> None:
    project = loaded(database, tmp_path, photos=1, boxes=6)
    rejected, deleted, drawn, crowd, accepted, work = of(project)
    update(project, rejected, state="rejected")
    commit(project, [Delete(deleted.id, deleted.version)], actor="Ann", kind="delete", image_id=deleted.image_id)
    update(project, drawn, mask=rectangle(1, 1, 5, 5), source="human")
    update(project, crowd, iscrowd=True)
    update(project, accepted, state="accepted")
    update(project, work, state="needs work")
    summary = convert_project(project, settings(), FakeLabeler())
    assert summary.annotations == {"converted": 2, "kept": 1, "crowd": 1}
    found = {one.id: one for one in of(project)}
    assert found[rejected.id].mask is None
    assert found[drawn.id].mask == rectangle(1, 1, 5, 5)
    assert found[crowd.id].mask is None
    # accepted as a box: nobody has seen this mask. What needed work still does.
    assert (found[accepted.id].mask is not None, found[accepted.id].state.value) == (True, "proposed")
    assert (found[work.id].mask is not None, found[work.id].state.value) == (True, "needs work")


def test_redo_spares_what_people_did(database: Database, tmp_path: Path) -> None:
    project = loaded(database, tmp_path, photos=1, boxes=4)
    convert_project(project, settings(), RectangleLabeler())
    model, human, accepted, work = of(project)
    update(project, human, source="human", mask=rectangle(1, 1, 5, 5))
    update(project, accepted, state="accepted")
    update(project, work, state="needs work")
    summary = convert_project(project, settings(redo=True), FakeLabeler())
    assert summary.annotations == {"converted": 1, "kept": 3}
    assert [one.source for one in of(project)] == ["model:fake", "human", "model:rectangle", "model:rectangle"]
    assert of(project)[0].version == model.version + 1


def test_a_second_run_has_nothing_to_do(database: Database, tmp_path: Path) -> None:
    project = loaded(database, tmp_path)
    convert_project(project, settings(), FakeLabeler())
    before = everything(project)
    labeler = FakeLabeler()
    assert convert_project(project, settings(), labeler).annotations == {"kept": 6}
    assert labeler.opened == []
    assert everything(project) == before


class Interrupted(FakeLabeler):
    """Breaks off, as Ctrl+C does, when the third photo is opened."""

    def open(self, photo: Any) -> Any:
        if len(self.opened) == 2:
            raise KeyboardInterrupt
        return super().open(photo)


@pytest.mark.parametrize("redo", [False, True])
def test_an_interrupted_run_goes_on(database: Database, tmp_path: Path, redo: bool) -> None:
    project = loaded(database, tmp_path, photos=5)
    if redo:
        convert_project(project, settings(), RectangleLabeler())
    with pytest.raises(KeyboardInterrupt):
        convert_project(project, settings(redo=redo), Interrupted())
    done = [one for one in everything(project) if one.source == "model:fake"]
    assert len(done) == 4
    labeler = FakeLabeler()
    summary = convert_project(project, settings(redo=redo), labeler)
    assert len(labeler.opened) == 3
    assert summary.annotations == {"converted": 10}
    assert summary.photos["resumed"] == 2
    after = {one.id: one for one in everything(project)}
    assert [after[one.id] for one in done] == done
    assert [run.finished_at is None for run in runs(project)] == [False] * (1 + redo)
    # with --redo once more, all of it is made anew
    assert len(convert_project(project, settings(redo=True), FakeLabeler()).annotations) == 1
    assert all(one.version > done[0].version for one in everything(project))


def test_other_settings_are_another_run(database: Database, tmp_path: Path) -> None:
    project = loaded(database, tmp_path, photos=5)
    with pytest.raises(KeyboardInterrupt):
        convert_project(project, settings(), Interrupted())
    summary = convert_project(project, settings(clip=True), FakeLabeler(spec=LabelerSpec("fake", "2")))
    assert summary.annotations == {"converted": 6, "kept": 4}
    assert [run.finished_at is None for run in runs(project)] == [True, False]


def test_photos_that_annotators_hold_are_waited_for(database: Database, tmp_path: Path) -> None:
    project = loaded(database, tmp_path)
    held = list_images(project)[0].id
    claim(project, held, actor="Ann")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        assert len([one for one in everything(project) if one.mask is not None]) == 4  # the rest is done first
        slept.append(seconds)
        if len(slept) == 2:
            release(project, "Ann")

    said: list[str] = []
    summary = convert_project(project, settings(), FakeLabeler(), sleep=sleep, on_wait=said.append)
    assert summary.annotations == {"converted": 6}
    assert len(slept) == 2
    assert len(said) == 1


def test_photos_that_annotators_keep_are_reported(database: Database, tmp_path: Path) -> None:
    project = loaded(database, tmp_path)
    claim(project, list_images(project)[1].id, actor="Ann")
    labeler = FakeLabeler()
    summary = convert_project(project, settings(), labeler, wait_seconds=4, sleep=lambda seconds: None)
    assert summary.annotations == {"converted": 4, "failed": 2}
    assert len(labeler.opened) == 2  # nothing is computed for nothing
    assert {problem.reason for problem in summary.problems} == {"Ann works on this photo; run the command again later"}
    assert summary.exit_code == 1


class Meddling(FakeLabeler):
    """An annotator moves the first box of a photo while its masks are being made; once."""

    project: Project

    def open(self, photo: Any) -> Any:
        first = annotations_of(self.project, int(photo.key))[0]
        if len(self.opened) == 0:
            update(self.project, first, box=(20, 20, 40, 40))
        return super().open(photo)


def test_a_box_that_is_moved_meanwhile_gets_the_mask_of_its_new_place(database: Database, tmp_path: Path) -> None:
    project = loaded(database, tmp_path)
    labeler = Meddling()
    object.__setattr__(labeler, "project", project)
    summary = convert_project(project, settings(), labeler)
    assert summary.annotations == {"converted": 6}
    moved = of(project)[0]
    assert moved.mask is not None
    assert box_xyxy(moved.mask).tolist() == [20, 20, 40, 40]
    assert len(labeler.opened) == 4


def test_a_lease_that_is_taken_meanwhile_is_respected(database: Database, tmp_path: Path) -> None:
    project = loaded(database, tmp_path, photos=1)

    class Claiming(FakeLabeler):
        def open(self, photo: Any) -> Any:
            if not self.opened:
                claim(project, int(photo.key), actor="Ann", lease_seconds=2)
            return super().open(photo)

    labeler = Claiming()
    summary = convert_project(project, settings(), labeler, sleep=lambda seconds: time.sleep(0.5))
    assert summary.annotations == {"converted": 2}
    assert len(labeler.opened) == 2


def test_photos_that_cannot_be_read_and_labelers_that_fail(database: Database, tmp_path: Path) -> None:
    project = loaded(database, tmp_path)
    (tmp_path / "1.png").unlink()
    photo(tmp_path / "2.png", width=32, height=20)  # another photo than at the import
    broken = str(list_images(project)[2].id)
    summary = convert_project(project, settings(), FakeLabeler(fail_on=[broken]))
    assert summary.annotations == {"failed": 2, "no_photo": 4}
    assert summary.photos["unreadable"] == 2
    reasons = [problem.reason for problem in summary.problems]
    assert any("no such file" in reason for reason in reasons)
    assert any("32 x 20" in reason and "64 x 48" in reason for reason in reasons)
    assert any("told to fail" in reason for reason in reasons)
    save(tmp_path)
    assert convert_project(project, settings(), FakeLabeler()).annotations == {"converted": 6}


def test_a_folder_without_any_photo_is_refused(database: Database, tmp_path: Path) -> None:
    project = loaded(database, tmp_path, photos=7)
    for k in range(1, 8):
        (tmp_path / f"{k}.png").rename(tmp_path / f"{k}.gone")
    with pytest.raises(UsageError, match="--images"):
        convert_project(project, settings(), FakeLabeler())
    (tmp_path / "moved").mkdir()
    for k in range(1, 8):
        (tmp_path / f"{k}.gone").rename(tmp_path / "moved" / f"{k}.png")
    summary = convert_project(project, settings(images=tmp_path / "moved"), FakeLabeler())
    assert summary.annotations == {"converted": 14}


def test_classes_and_a_limit(database: Database, tmp_path: Path) -> None:
    project = loaded(database, tmp_path)
    cat, dog = categories(project)
    update(project, of(project)[0], category_id=dog.id)
    assert convert_project(project, settings(categories=("dog",)), FakeLabeler()).annotations == {
        "converted": 1,
        "left_out": 5,
    }
    assert convert_project(project, settings(limit=1), FakeLabeler()).annotations == {
        "converted": 1,
        "kept": 1,
        "left_out": 4,
    }
    with pytest.raises(UsageError, match="dgo"):
        convert_project(project, settings(categories=("dgo",)), FakeLabeler())
    assert cat.name == "cat"


def test_synonyms_reach_the_labeler_and_prompts_replace_them(database: Database, tmp_path: Path) -> None:
    project = loaded(database, tmp_path, photos=1)
    set_synonyms(project, categories(project)[0].id, ["kitten", "tomcat"])
    heard: list[Any] = []

    class Listening(FakeLabeler):
        def open(self, photo: Any) -> Any:
            opened = super().open(photo)

            class Ear:
                def masks(self, boxes: Any, vocabulary: Any) -> Any:
                    heard.append([vocabulary.prompts(name) for name in boxes.names])
                    return opened.masks(boxes, vocabulary)

            return Ear()

    convert_project(project, settings(), Listening())
    convert_project(project, settings(redo=True, prompts=("cat=feline",)), Listening())
    assert heard == [[("kitten", "tomcat")] * 2, [("feline",)] * 2]


def test_options_for_masks(database: Database, tmp_path: Path) -> None:
    project = loaded(database, tmp_path, photos=1)
    convert_project(project, settings(tighten=True, form="rle", simplify=0.5), FakeLabeler())
    for one in of(project):
        assert one.mask is not None
        assert one.box == tuple(box_xyxy(one.mask).tolist())
        assert (one.form, one.simplify) == ("rle", 0.5)


def test_a_dry_run_writes_nothing(database: Database, tmp_path: Path) -> None:
    project = loaded(database, tmp_path)
    (tmp_path / "2.png").unlink()
    update(project, of(project)[0], box=(60, 40, 63, 47))
    before = everything(project)
    summary = check_project(project, settings())
    assert summary.annotations == {"todo": 4, "no_photo": 2}
    assert (summary.output, summary.exit_code) == (None, 1)
    assert everything(project) == before
    assert runs(project) == []
