"""The engine: loading, clicks before prefetch, photos that changed."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from coco_data import COCO, save_photos
from fakes import FakeLabeler
from PIL import Image

from app.serving.loading import ModelFailed, NotReady
from app.store.coco_import import import_coco
from app.store.database import open_database
from app.store.images import image
from app.store.projects import Project, set_synonyms
from app.ui.engine import Engine
from labelers.photos import MissingPhoto, Unreadable
from labelers.records import Boxes, Instances
from labelers.vocabulary import Vocabulary

BOX = (4.0, 6.0, 24.0, 16.0)


@contextmanager
def running(factory: Callable[[], Any], project: Project, **options: Any) -> Iterator[Engine]:
    engine = Engine(factory, project, name="fake", **options)
    engine.start()
    try:
        yield engine
    finally:
        engine.close()


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


def test_a_photo_is_opened_once_for_many_clicks(project: Project) -> None:
    labeler = FakeLabeler()
    with running(lambda: labeler, project) as engine:
        for _ in range(3):
            assert engine.masks(1, [BOX], ["cat"]).masks[0] is not None
        assert labeler.opened == ["1"]
        assert engine.state.state == "ready"
        assert engine.source == "model:fake"


def test_while_the_model_loads_clicks_wait_a_while(project: Project) -> None:
    gate = threading.Event()

    def slow() -> FakeLabeler:
        gate.wait(5)
        return FakeLabeler()

    with running(slow, project, wait=0.05) as engine:
        assert engine.state.state == "loading"
        with pytest.raises(NotReady, match="being loaded"):
            engine.masks(1, [BOX], ["cat"])
        gate.set()
        until(lambda: engine.state.state == "ready")
        assert engine.masks(1, [BOX], ["cat"]).masks[0] is not None


def test_a_model_that_can_not_be_loaded_says_why(project: Project) -> None:
    def broken() -> FakeLabeler:
        raise ValueError("there is no model 'nono'; choose nano")

    with running(broken, project) as engine:
        with pytest.raises(ModelFailed, match="choose nano"):
            engine.masks(1, [BOX], ["cat"])
        assert engine.state.state == "failed"
        assert "choose nano" in engine.state.message


def test_prefetch_opens_the_photo_and_asks_for_its_boxes(project: Project) -> None:
    asked: list[tuple[float, ...]] = []
    with running(lambda: Watching(asked), project) as engine:
        engine.prefetch(1)
        until(lambda: len(asked) == 3)
        assert asked == [(4, 6, 24, 16), (30, 20, 54, 40), (0, 0, 64, 48)]


def test_a_click_goes_before_the_prefetch(project: Project) -> None:
    """While somebody waits for a click, the prefetch asks for nothing; it goes on afterwards."""
    asked: list[tuple[float, ...]] = []
    entered, gate = threading.Event(), threading.Event()
    click = (1.0, 1.0, 9.0, 9.0)

    def hold(box: tuple[float, ...]) -> None:
        if box == click:
            entered.set()
            gate.wait(5)

    with running(lambda: Watching(asked, hold), project) as engine:
        clicking = threading.Thread(target=lambda: engine.masks(3, [click], ["cat"]))
        clicking.start()
        assert entered.wait(5)
        engine.prefetch(1)
        time.sleep(0.1)
        assert asked == [click]
        gate.set()
        clicking.join(5)
        until(lambda: len(asked) == 4)


def test_a_photo_that_would_push_out_the_current_one_is_not_prefetched(project: Project) -> None:
    labeler = FakeLabeler()
    with running(lambda: labeler, project, memory=1000) as engine:
        engine.masks(2, [BOX], ["cat"])
        engine.prefetch(1)
        time.sleep(0.1)
        assert labeler.opened == ["2"]


def test_a_broken_photo_does_not_stop_the_prefetch(project: Project) -> None:
    labeler = FakeLabeler(fail_on=("1",))
    with running(lambda: labeler, project) as engine:
        engine.prefetch(2)
        engine.prefetch(1)
        until(lambda: set(labeler.opened) == {"1", "2"})


def test_the_photo_is_remembered_and_a_change_is_told(project: Project) -> None:
    with running(FakeLabeler, project) as engine:
        engine.masks(1, [BOX], ["cat"])
        assert image(project, 1).sha256 is not None
        assert engine.warning(1) is None
    Image.new("RGB", (64, 48)).save(project.images_root / "photo1.png")
    with running(FakeLabeler, project) as engine:
        engine.masks(1, [BOX], ["cat"])
        assert "changed" in (engine.warning(1) or "")


def test_a_photo_of_another_size_or_none_at_all_is_refused(project: Project) -> None:
    Image.new("RGB", (64, 49)).save(project.images_root / "photo1.png")
    (project.images_root / "photo2.png").unlink()
    with running(FakeLabeler, project) as engine:
        with pytest.raises(Unreadable, match="64 x 49"):
            engine.masks(1, [BOX], ["cat"])
        with pytest.raises(MissingPhoto):
            engine.masks(2, [BOX], ["cat"])


def test_a_photo_that_was_missing_at_the_import_is_well_once_it_is_back(tmp_path: Path, empty_store: Path) -> None:
    save_photos(tmp_path)
    photo, kept = tmp_path / "photo1.png", tmp_path / "kept.png"
    photo.rename(kept)
    (tmp_path / "data.json").write_text(COCO)
    database = open_database(shutil.copy(empty_store, tmp_path / "data.openseed.db"))
    project = import_coco(database, tmp_path / "data.json", images_root=tmp_path, name="data")
    assert image(project, 1).problem == "the photo is not in the image folder"
    kept.rename(photo)
    with running(FakeLabeler, project) as engine:
        engine.masks(1, [BOX], ["cat"])
        assert (image(project, 1).problem, engine.warning(1)) == (None, None)
    database.close()


def test_the_words_of_the_project_reach_the_labeler(project: Project) -> None:
    words: list[Vocabulary] = []
    with running(lambda: Watching([], words=words), project) as engine:
        set_synonyms(project, 1, ["kitten", "tomcat"])
        engine.masks(1, [BOX], ["cat"])
    assert words[0].prompts("cat") == ("kitten", "tomcat")


def test_closing_ends_the_prefetch(project: Project) -> None:
    engine = Engine(FakeLabeler, project)
    engine.start()
    engine.close()
    assert not engine._worker.is_alive()


class Watching:
    """A labeler that tells what it is asked."""

    def __init__(
        self,
        asked: list[tuple[float, ...]],
        hold: Callable[[tuple[float, ...]], None] = lambda box: None,
        words: list[Vocabulary] | None = None,
    ) -> None:
        self.spec = FakeLabeler().spec
        self.asked, self.hold, self.words = asked, hold, [] if words is None else words

    def open(self, photo: Any) -> Any:
        inner, outer = FakeLabeler().open(photo), self

        class Opened:
            def masks(self, boxes: Boxes, vocabulary: Vocabulary) -> Instances:
                outer.asked += [tuple(box) for box in boxes.xyxy.tolist()]
                outer.words.append(vocabulary)
                for box in boxes.xyxy.tolist():
                    outer.hold(tuple(box))
                return inner.masks(boxes, vocabulary)

        return Opened()
