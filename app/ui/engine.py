"""Masks for the annotators: the model loads in the background, photos stay open, clicks go before prefetch."""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import numpy as np

from app.serving.cache import SharedCache
from app.serving.loading import LoadingLabeler, ModelState
from app.serving.opened import bytes_of
from app.store import images
from app.store.annotations import annotations_of
from app.store.projects import Project, categories, vocabulary
from app.store.records import AnnotationRecord, Box, ImageRecord
from app.ui.settings import MEBI
from labelers.paths import find_photo
from labelers.photos import Unreadable, read_header
from labelers.protocol import CannotPropose, Labeler, Opened
from labelers.records import RLE, Boxes, Instances
from labelers.repair import repair
from labelers.rows import describe
from labelers.vocabulary import Vocabulary

_log = logging.getLogger(__name__)

WARMED_BOXES = 7
"""Boxes whose views are encoded ahead: with that of the whole photo as many as an opened photo keeps."""


class Engine:
    """One project's labeler. Safe to use from several threads.

    Args:
        labeler_factory: builds the labeler; called once, in a thread of its own.
        project: whose photos are opened.
        name: shown while the model loads.
        keep: how many photos stay open.
        memory: bytes that open photos may take.
        wait: seconds that ``masks`` and ``repair`` wait for the model.
    """

    def __init__(
        self,
        labeler_factory: Callable[[], Labeler],
        project: Project,
        *,
        name: str = "model",
        keep: int = 4,
        memory: int = 1024 * MEBI,
        wait: float = 30.0,
    ) -> None:
        self._model = LoadingLabeler(labeler_factory, name=name, wait=wait)
        self._project = project
        self._memory = memory
        # two at once: each needs its decoded pixels, twice for a moment
        self._photos: SharedCache[int, Opened] = SharedCache(keep, memory, at_once=2)
        self._warnings: dict[int, str] = {}
        # Prefetch: what is wanted, latest first, and how many clicks are being answered.
        self._turn = threading.Condition()
        self._wanted: list[int] = []
        self._clicks = 0
        self._closing = False
        self._worker = threading.Thread(target=self._prefetch_all, name="prefetch", daemon=True)

    def start(self) -> None:
        """Begin to load the model; returns at once."""
        self._model.start()
        self._worker.start()

    def close(self) -> None:
        """Stop the prefetch and forget the photos."""
        with self._turn:
            self._closing = True
            self._turn.notify_all()
        if self._worker.is_alive():
            self._worker.join(timeout=5.0)
        self._photos.clear()

    @property
    def state(self) -> ModelState:
        return self._model.state

    @property
    def source(self) -> str:
        """Where its masks come from, as annotations say it. Raises NotReady, ModelFailed."""
        return f"model:{self._model.get().spec.name}"

    def warning(self, image_id: int) -> str | None:
        """What opening the photo brought to light, None if nothing did."""
        return self._warnings.get(image_id)

    def masks(self, image_id: int, boxes: Sequence[Box], names: Sequence[str]) -> Instances:
        """A mask for each box (xyxy pixels of the upright photo); row k is box k.

        Raises NotReady, ModelFailed, NotFound, PhotoError.
        """
        with self._click():
            opened = self._opened(images.image(self._project, image_id))
            asked = Boxes(np.array(boxes, np.float32).reshape(-1, 4), tuple(names))
            return opened.masks(asked, vocabulary(self._project))

    def propose(self, image_id: int, words: Vocabulary) -> Instances:
        """What the labeler finds on the photo by itself, in pixels of the upright photo.

        Raises NotReady, ModelFailed, NotFound, PhotoError; CannotPropose: this labeler needs boxes.
        """
        labeler = self._model.get()
        if not labeler.spec.makes_boxes:
            raise CannotPropose(f"the model {labeler.spec.name} can't find objects by itself; draw a box with B")
        with self._click():
            return self._opened(images.image(self._project, image_id)).propose(words)

    def repair(
        self, image_id: int, annotation: AnnotationRecord, x: float, y: float, include: bool, *, name: str
    ) -> RLE:
        """The annotation's mask after an include or exclude click at (x, y), pixels of the upright photo.

        Raises NotReady, ModelFailed, NotFound, PhotoError; ValueError: the click lies outside the photo, or the
        annotation has no box.
        """
        if annotation.box is None:
            raise ValueError("this annotation has no box; draw one first")
        with self._click():
            image = images.image(self._project, image_id)
            return repair(
                self._opened(image),
                vocabulary(self._project),
                mask=annotation.mask,
                box=annotation.box,
                name=name,
                x=x,
                y=y,
                include=include,
                height=image.height,
                width=image.width,
            )

    def prefetch(self, image_id: int) -> None:
        """Open the photo and encode the views of its boxes when nobody waits for a click; returns at once."""
        with self._turn:
            self._wanted = [image_id, *(other for other in self._wanted if other != image_id)][:4]
            self._turn.notify_all()

    # -- photos ----------------------------------------------------------------------------------------------------

    def _opened(self, image: ImageRecord) -> Opened:
        labeler = self._model.get()
        size = bytes_of(height=image.height, width=image.width)
        return self._photos.get(image.id, lambda: self._open(labeler, image), size=size)

    def _open(self, labeler: Labeler, image: ImageRecord) -> Opened:
        root = self._project.images_root
        header = read_header(root, image.file_name)
        if (header.height, header.width) != (image.height, image.width):
            raise Unreadable(
                image.file_name,
                f"the file has {header.width} x {header.height} pixels, the project {image.width} x {image.height}",
                "put the photo of the import back",
            )
        with find_photo(root, image.file_name).open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            size = stream.tell()
        warning = images.note_photo(self._project, image.id, sha256=digest, size=size)
        if warning is not None:
            self._warnings[image.id] = warning
        else:
            self._warnings.pop(image.id, None)
        return labeler.open(header.photo(str(image.id)))

    # -- prefetch --------------------------------------------------------------------------------------------------

    @contextmanager
    def _click(self) -> Iterator[None]:
        """Somebody waits: the prefetch stands aside until they have their answer."""
        with self._turn:
            self._clicks += 1
        try:
            yield
        finally:
            with self._turn:
                self._clicks -= 1
                self._turn.notify_all()

    def _quiet(self) -> bool:
        """Wait until nobody waits for a click. False: the engine is closing."""
        with self._turn:
            self._turn.wait_for(lambda: self._closing or not self._clicks)
            return not self._closing

    def _prefetch_all(self) -> None:
        _give_way()
        self._model.wait()
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._closing or (self._wanted and not self._clicks))
                if self._closing:
                    return
                image_id = self._wanted.pop(0)
            started = time.perf_counter()
            try:
                self._warm(image_id)
            except Exception as error:  # the annotator hears of it when they open the photo
                _log.info("prefetch of photo %d: %s", image_id, describe(error))
            else:
                _log.debug("prefetch of photo %d: %.2f s", image_id, time.perf_counter() - started)

    def _warm(self, image_id: int) -> None:
        """One box after the other, so that a click waits for one view at most."""
        image = images.image(self._project, image_id)
        if not self._quiet() or self._model.state.state != "ready":
            return
        if 2 * bytes_of(height=image.height, width=image.width) > self._memory:
            return  # it would push out the photo that is being worked on
        opened, words = self._opened(image), vocabulary(self._project)
        names = {category.id: category.name for category in categories(self._project)}
        found = [record for record in annotations_of(self._project, image_id) if record.box is not None]
        found.sort(key=lambda record: record.mask is not None)
        views = [(record.box, names.get(record.category_id or 0, "object")) for record in found[:WARMED_BOXES]]
        for box, name in [*views, ((0.0, 0.0, float(image.width), float(image.height)), "object")]:
            if not self._quiet():
                return
            opened.masks(Boxes(np.array([box], np.float32), (name,)), words)


def _give_way() -> None:
    """Let the system prefer every other thread to this one, where it knows priorities of threads."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
