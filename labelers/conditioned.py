"""The labeling engine: OpenSeeD's conditioned mask decoder behind the ``Labeler`` protocol.

Every tensor has a shape that doesn't depend on how many boxes a photo has: crops are encoded one by one, conditions
decoded in full chunks. Matrix products of another shape may round differently, and then a box could flip a pixel of
its neighbour's mask.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labelers import whole_photo
from labelers.answers import Answer, answers
from labelers.protocol import Hint, LabelerSpec
from labelers.records import RLE, Boxes, Instances, Photo, Status
from labelers.scene import Scene
from labelers.views import View, by_view, mirrored, mirrored_boxes, network_boxes, network_image
from labelers.vocabulary import Vocabulary
from openseed_core.conditioning import Context
from openseed_core.cores import usable_cores
from openseed_core.model import ImageFeatures, OpenSeeD
from openseed_core.runtimes.errors import RuntimeUnavailable
from openseed_core.runtimes.runtime import Runtime, TorchRuntime

CHUNK = 8
"""Conditions decoded in one pass from a crop, unless the caller wants another number: a crop has few boxes."""

WHOLE_CHUNK = 56
"""The same for the whole photo, which may have hundreds. A pass over 56 takes twice as long as one over 8."""

MOST_PHOTOS = 16
"""Photos labelled at the same time where there are many cores; each may keep its views in memory."""

KEPT_VIEWS = 8
"""Encoded views that an opened photo keeps for further questions."""


class ConditionedLabeler:
    """Box + class name -> mask.

    Args:
        model: an OpenSeeD model in evaluation mode.
        name, version: for provenance; the version must change with the weights and the runtime.
        context: what the boxes of a photo see of each other; only ``SOLO`` keeps them independent.
        zoom: decode boxes that are small at network scale from an enlarged crop around them.
        chunk: conditions decoded in one pass of the solo context, None for the two numbers above; another number can
            change masks by rounding.
        mirror: decode the mirror image too and average the logits: a better mask for more time. None: as the model's
            configuration says.
        runtime: who computes; by default the model itself.
    """

    def __init__(
        self,
        model: OpenSeeD,
        *,
        name: str,
        version: str,
        context: Context = Context.SOLO,
        zoom: bool = True,
        chunk: int | None = None,
        mirror: bool | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        self.model = model.eval()
        self.runtime: Runtime = runtime or TorchRuntime(self.model)
        self.mirror: bool = model.config.mirror if mirror is None else mirror
        self.context = context
        self.chunk, self.whole_chunk = chunk or CHUNK, chunk or WHOLE_CHUNK
        self.zoom = zoom and context is Context.SOLO
        # One view is too little work to share among cores (two threads inside an operation were no faster than one),
        # so each core works on a view of its own; the number of cores doesn't change any result.
        cores = usable_cores() if model.device.type == "cpu" else 1
        self.workers = ThreadPoolExecutor(cores, "view", initializer=torch.set_num_threads, initargs=(1,))
        self.spec = LabelerSpec(
            name=name,
            version=f"{version}-{context.value}{'-zoom' if self.zoom else ''}{'-mirror' if self.mirror else ''}",
            needs_boxes=True,
            makes_boxes=True,
            uses_names=True,
            photos_at_once=min(cores, MOST_PHOTOS),  # a photo's last view leaves the other cores to the next photo
        )
        self._text: dict[tuple[str, ...], Tensor] = {}
        self._lock = threading.Lock()

    @staticmethod
    def from_model(
        *,
        model_name: str = "nano",
        weights: Path | None = None,
        device: str = "auto",
        context: str = "solo",
        zoom: bool = True,
        chunk: int | None = None,
        mirror: bool | None = None,
        runtime: str = "torch",
        calibration: Path | None = None,
    ) -> ConditionedLabeler:
        """Load a model by name, or from a weights file.

        Args:
            runtime: "torch", "openvino" or "openvino-int8"; the latter two on the CPU and with zoom only.
            calibration: folder of photos that the ranges of int8 are taken from.

        Raises:
            openseed_core.weights.WeightsError: there is no such model, or the file doesn't fit.
            RuntimeUnavailable: the runtime isn't installed, or doesn't fit the other options.
        """
        from openseed_core.weights.store import load_model, version_of

        if runtime != "torch":
            device = _check_compiled(runtime, device=device, solo=context == "solo", zoom=zoom)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        source = str(weights) if weights is not None else model_name
        model = load_model(source, device=device)
        model.to(memory_format=torch.channels_last)
        name = weights.stem if weights is not None else model_name
        return ConditionedLabeler(
            model,
            name=name,
            version=version_of(model) + ("" if runtime == "torch" else f"-{runtime}"),
            context=Context(context),
            zoom=zoom,
            chunk=chunk,
            mirror=mirror,
            runtime=None if runtime == "torch" else compiled(model, runtime, chunk=chunk, calibration=calibration),
        )

    def open(self, photo: Photo) -> ConditionedOpened:
        """Decode the photo. Encoding waits for the first question, as the boxes decide what is encoded."""
        return ConditionedOpened(self, photo.pixels())

    def step(self, view: View, boxes: int) -> int:
        """How many conditions go into one pass over the view."""
        if self.context is not Context.SOLO:
            return boxes
        return self.chunk if view.zoomed else self.whole_chunk

    @torch.inference_mode()
    def text(self, names: Sequence[str], vocabulary: Vocabulary) -> Tensor:
        """Text features [K, e] of the names, cached by their prompts."""
        wanted = [vocabulary.prompts(name) for name in names]
        with self._lock:
            for prompts in wanted:
                if prompts not in self._text:
                    self._text[prompts] = self.model.encode_text([prompts])[0]
            return torch.stack([self._text[prompts] for prompts in wanted])


@dataclass
class ConditionedOpened:
    """A decoded photo with the views of it that were encoded last."""

    labeler: ConditionedLabeler
    pixels: NDArray[np.uint8] = field(repr=False)
    _encoded: OrderedDict[View, Future[ImageFeatures]] = field(default_factory=OrderedDict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def masks(self, boxes: Boxes, vocabulary: Vocabulary) -> Instances:
        """One mask for each box; see ``labelers.protocol`` for the contract."""
        height, width = self.pixels.shape[:2]
        problems = boxes.problems(height=height, width=width)
        usable = [k for k, problem in enumerate(problems) if problem is None]
        cut = boxes.clamped(height=height, width=width)
        names = list(dict.fromkeys(boxes.names[k] for k in usable))
        found: dict[int, Answer] = {}
        if usable:
            text = self.labeler.text(names, vocabulary)
            label = {name: i for i, name in enumerate(names)}

            def ask(part: tuple[View, list[int]]) -> list[Answer]:
                view, rows = part
                return self._decode(view, cut.xyxy[rows], text, [label[boxes.names[k]] for k in rows])

            parts = self._parts(self.views(cut, usable))
            for (_, rows), answered in zip(parts, self.labeler.workers.map(ask, parts), strict=True):
                found.update(zip(rows, answered, strict=True))
        return _instances(boxes, problems, found)

    def hint(
        self, box: NDArray[np.float32], name: str, vocabulary: Vocabulary, *, at: tuple[float, float]
    ) -> Hint | None:
        """What the model thinks around one box; see ``labelers.protocol.Hinting``."""
        height, width = self.pixels.shape[:2]
        asked = Boxes(box[None], (name,))
        if asked.problems(height=height, width=width)[0] is not None:
            return None
        cut = asked.clamped(height=height, width=width)
        [view] = self.views(cut, [0])
        text = self.labeler.text([name], vocabulary)
        return self.labeler.workers.submit(self._hint, view, cut.xyxy, text, at).result()

    def propose(self, vocabulary: Vocabulary) -> Instances:
        """Objects and stuff above their thresholds; see ``labelers.protocol.SceneOpened``."""
        return whole_photo.propose(self, vocabulary)

    def scene(
        self, vocabulary: Vocabulary, *, panoptic: bool = False, semantic: bool = False, top: int | None = None
    ) -> Scene:
        """Everything, unthresholded; see ``labelers.protocol.SceneOpened``."""
        return whole_photo.scene(self, vocabulary, panoptic=panoptic, semantic=semantic, top=top)

    def detections(self, vocabulary: Vocabulary, *, top: int | None = None) -> tuple[Boxes, NDArray[np.float32]]:
        """Boxes and scores of things, without masks."""
        return whole_photo.detections(self, vocabulary, top=top)

    def rank_names(self, boxes: Boxes, vocabulary: Vocabulary) -> NDArray[np.float32]:
        """How well each class fits each box: [N, K]; see ``labelers.protocol.SceneOpened``."""
        return whole_photo.rank_names(self, boxes, vocabulary)

    def views(self, boxes: Boxes, rows: Sequence[int]) -> dict[View, list[int]]:
        """Which rows are decoded from which view of the photo, in order of first use."""
        height, width = self.pixels.shape[:2]
        return by_view(boxes, rows, self.labeler.model.config, height=height, width=width, zoom=self.labeler.zoom)

    def features(self, view: View) -> ImageFeatures:
        """Features of one view, kept for the next question. Who asks while another thread encodes it waits for that."""
        with self._lock:
            future = self._encoded.get(view)
            mine = future is None
            if future is None:
                future = self._encoded[view] = Future()
                while len(self._encoded) > KEPT_VIEWS:
                    self._encoded.popitem(last=False)
            self._encoded.move_to_end(view)
        if mine:
            try:
                future.set_result(self._encode(view))
            except BaseException as error:
                with self._lock:  # the next question tries again
                    if self._encoded.get(view) is future:
                        del self._encoded[view]
                future.set_exception(error)
                raise
        return future.result()

    @torch.inference_mode()
    def _encode(self, view: View) -> ImageFeatures:
        image, size = network_image(self.pixels, view, self.labeler.model.config)
        images = [image, mirrored(image, size)] if self.labeler.mirror else [image]
        return self.labeler.runtime.encode(images, size)

    def _parts(self, views: dict[View, list[int]]) -> list[tuple[View, list[int]]]:
        """What the threads share out: the rows of one pass each."""
        parts = []
        for view, rows in views.items():
            step = self.labeler.step(view, len(rows))
            parts += [(view, rows[start : start + step]) for start in range(0, len(rows), step)]
        return parts

    @torch.inference_mode()
    def _decode(self, view: View, boxes: NDArray[np.float32], text: Tensor, labels: Sequence[int]) -> list[Answer]:
        """Answers for the boxes (xyxy photo pixels) of one pass."""
        height, width = self.pixels.shape[:2]
        features = self.features(view)
        logits = self._logits(features, view, boxes, text, labels)
        return answers(logits, features, view.window, boxes, height=height, width=width)

    def _logits(
        self, features: ImageFeatures, view: View, boxes: NDArray[np.float32], text: Tensor, labels: Sequence[int]
    ) -> Tensor:
        """Mask logits [1 or 2, n, h, w] on the stride-4 grid of the view, and of its mirror image if wanted."""
        labeler, size = self.labeler, features.sizes[0]
        spare = labeler.step(view, len(boxes)) - len(boxes)
        network = np.pad(network_boxes(boxes, view.window, size), ((0, spare), (0, 0)), mode="edge")
        sides = [network, mirrored_boxes(network, size[1])] if labeler.mirror else [network]
        device = labeler.model.device
        rows = torch.from_numpy(np.stack(sides)).to(device)
        index = torch.tensor([*labels, *[labels[-1]] * spare], device=device)
        if labeler.context is Context.SOLO:
            # one row of text for each condition, so that the shapes don't tell how many names the photo has
            masks = labeler.runtime.masks(features, rows, text[index])
        else:
            expanded = index.expand(len(sides), -1)
            masks = labeler.model.masks_for_boxes(features, rows, text, expanded, context=labeler.context).masks
        return masks[:, : len(boxes)]

    @torch.inference_mode()
    def _hint(self, view: View, box: NDArray[np.float32], text: Tensor, at: tuple[float, float]) -> Hint:
        features, window = self.features(view), view.window
        logits = self._logits(features, view, box, text, [0])[0, 0]
        stride = features.padded[0] // logits.shape[0]
        rows, columns = (-(-side // stride) for side in features.sizes[0])
        # cells of the maps in photo pixels
        cell_y = stride * (window.y1 - window.y0) / features.sizes[0][0]
        cell_x = stride * (window.x1 - window.x0) / features.sizes[0][1]
        row = min(max(int((at[1] - window.y0) / cell_y), 0), rows - 1)
        column = min(max(int((at[0] - window.x0) / cell_x), 0), columns - 1)
        alike = _likeness(features.memory.mask_features[0, :, :rows, :columns], row, column)
        return Hint(
            logits[:rows, :columns].float().cpu().numpy(),
            alike.float().cpu().numpy(),
            (window.x0, window.y0, window.x0 + columns * cell_x, window.y0 + rows * cell_y),
        )


def _check_compiled(runtime: str, *, device: str, solo: bool, zoom: bool) -> str:
    """The device for a compiled runtime. Raises RuntimeUnavailable."""
    if device not in ("auto", "cpu"):
        raise RuntimeUnavailable(f"--runtime {runtime} works on the CPU; leave out --device {device}, or --runtime")
    if not (solo and zoom):
        raise RuntimeUnavailable(f"runtime {runtime} decodes crops of single boxes only; use torch without zoom")
    return "cpu"


def compiled(model: OpenSeeD, runtime: str, *, chunk: int | None = None, calibration: Path | None = None) -> Runtime:
    """The model's two steps in another engine; arguments as ``ConditionedLabeler.from_model`` has them.

    Raises:
        RuntimeUnavailable: it isn't installed, or there is no such runtime.
    """
    chunk = chunk or CHUNK
    from openseed_core.runtimes.openvino_runtime import OpenVINORuntime

    if runtime == "openvino":
        return OpenVINORuntime.of(model, chunk=chunk)
    if runtime != "openvino-int8":
        raise RuntimeUnavailable(f"there is no runtime {runtime!r}; use torch, openvino or openvino-int8")
    if calibration is None:
        raise RuntimeUnavailable("openvino-int8 needs a folder of photos (calibration) to take its ranges from")
    from labelers.calibration import crops

    return OpenVINORuntime.of(model, chunk=chunk, crops=lambda: crops(calibration, model.config.zoom_side))


def _likeness(features: Tensor, row: int, column: int) -> Tensor:
    """Cosine between the features [d, h, w] of every place and those of one, each channel standardised: [h, w]."""
    spread, mean = torch.std_mean(features, dim=(1, 2), keepdim=True)
    unit = torch.nn.functional.normalize((features - mean) / (spread + 1e-6), dim=0)
    return torch.einsum("dhw,d->hw", unit, unit[:, row, column])


def _instances(boxes: Boxes, problems: Sequence[tuple[Status, str] | None], found: dict[int, Answer]) -> Instances:
    masks: list[RLE | None] = []
    status: list[Status] = []
    reasons: list[str] = []
    scores = np.zeros(len(boxes), np.float32)
    for k, problem in enumerate(problems):
        state, reason = problem or (Status.OK, "")
        mask = found[k].mask if problem is None else None
        if problem is None:
            scores[k] = found[k].score
            if mask is None:
                state, reason = Status.EMPTY, "the model found no pixel of this class in the box"
        masks.append(mask)
        status.append(state)
        reasons.append(reason)
    return Instances(boxes, tuple(masks), scores, tuple(status), tuple(reasons))
