"""Crops through OpenVINO, in float32 or with int8 convolutions. Everything else stays with torch.

A crop always has the same shape and boxes come in full chunks, so two graphs of fixed shape do all the work of
``convert-boxes``; the whole photo, whose shape changes from photo to photo, is encoded by torch.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openseed_core.cores import usable_cores
from openseed_core.decoder import Memory
from openseed_core.model import ImageFeatures, OpenSeeD
from openseed_core.runtimes.errors import RuntimeUnavailable
from openseed_core.runtimes.graph_cache import cached, code_key
from openseed_core.runtimes.openvino_graphs import Crop, graphs, level_shapes, quantized
from openseed_core.runtimes.runtime import TorchRuntime
from openseed_core.weights.store import version_of

_log = logging.getLogger(__name__)

INSTALL = 'pip install "openseed-label[openvino]"'
ENCODER, DECODER = "encoder.xml", "decoder.xml"


class OpenVINORuntime:
    """See ``Runtime``. One request at a time for each thread, each on one core."""

    def __init__(self, model: OpenSeeD, encoder: Path, decoder: Path, *, chunk: int, streams: int) -> None:
        import openvino

        core = openvino.Core()
        # float32 has to be asked for: where the processor has bfloat16, OpenVINO takes that by default. Pinned
        # threads of several processes would all sit on the same cores.
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "NUM_STREAMS": str(streams),
            "INFERENCE_NUM_THREADS": str(streams),
            "ENABLE_CPU_PINNING": "NO",
        }
        self.torch = TorchRuntime(model)
        self.side, self.chunk = model.config.zoom_side, chunk
        self.shapes = level_shapes(model)
        self._encoder = core.compile_model(str(encoder), "CPU", settings)
        self._decoder = core.compile_model(str(decoder), "CPU", settings)
        self._requests = threading.local()

    @staticmethod
    def of(
        model: OpenSeeD, *, chunk: int, crops: Callable[[], Sequence[Crop]] | None = None, cache: Path | None = None
    ) -> OpenVINORuntime:
        """Convert the model, or take what an earlier run converted.

        Args:
            model: on the CPU, in evaluation mode.
            chunk: boxes decoded in one pass.
            crops: for int8: makes the crops whose values decide the ranges. None: float32.
            cache: folder for converted models; by default that of the program.

        Raises:
            RuntimeUnavailable: a package is missing, or OpenVINO can't convert this model.
        """
        require(int8=crops is not None)
        inputs = list(crops()) if crops is not None else []
        key = [b"openvino", version_of(model).encode(), str(chunk).encode(), code_key()]
        key += [f"{name} {version(name)}".encode() for name in ("torch", "openvino", *(["nncf"] if inputs else []))]
        key += [np.array(size).tobytes() + pixels.tobytes() for pixels, size in inputs]

        def make(folder: Path) -> None:
            import openvino

            _log.warning("converting the model for OpenVINO: once for these weights, about half a minute")
            encoder, decoder = graphs(model, chunk=chunk)
            if inputs:
                encoder = quantized(encoder, inputs)
            for graph, name in ((encoder, ENCODER), (decoder, DECODER)):
                openvino.save_model(graph, str(folder / name), compress_to_fp16=False)

        try:
            folder = cached(key, make, root=cache)
            cores = usable_cores()
            return OpenVINORuntime(model, folder / ENCODER, folder / DECODER, chunk=chunk, streams=cores)
        except RuntimeError as error:  # what OpenVINO raises
            said = str(error).strip().partition("\n")[0]
            raise RuntimeUnavailable(
                f"OpenVINO can't run this model ({said}); leave --runtime out to use torch"
            ) from error

    def encode(self, images: Sequence[NDArray[np.uint8]], size: tuple[int, int]) -> ImageFeatures:
        """Each crop by itself, other images by torch; ``multi_scale`` of crops stays empty."""
        if any(image.shape[:2] != (self.side, self.side) for image in images):
            return self.torch.encode(images, size)
        shown = np.array(size, np.int64)
        parts = [self._run("encoder", image[None], shown) for image in images]
        tokens, mask_features = (torch.cat([part[k] for part in parts]) for k in range(2))
        memory = Memory(tokens, self.shapes, mask_features)
        return ImageFeatures((), memory, (size,) * len(images), (self.side, self.side))

    def masks(self, features: ImageFeatures, boxes: Tensor, text: Tensor) -> Tensor:
        if features.padded != (self.side, self.side) or len(text) != self.chunk:
            return self.torch.masks(features, boxes, text)
        height, width = features.sizes[0]
        inside = np.clip(boxes.numpy(), 0, np.array([width, height] * 2, np.float32))
        rows, memory = text.numpy(), features.memory
        parts = [
            self._run("decoder", memory.tokens[i : i + 1].numpy(), memory.mask_features[i : i + 1].numpy(), box, rows)
            for i, box in enumerate(inside[:, None])
        ]
        return torch.cat([part[0] for part in parts])

    def _run(self, graph: str, *inputs: NDArray[Any]) -> list[Tensor]:
        """One pass in this thread's own request."""
        request = getattr(self._requests, graph, None)
        if request is None:
            compiled = self._encoder if graph == "encoder" else self._decoder
            request = compiled.create_infer_request()
            setattr(self._requests, graph, request)
        # inputs are read where they are; outputs are copied, as the request writes into them again
        found = request.infer(list(inputs), share_inputs=True, share_outputs=False)
        return [torch.from_numpy(found[k]) for k in range(len(found))]


def require(*, int8: bool) -> None:
    """Raise RuntimeUnavailable where a package is missing."""
    for name in ("openvino", *(["nncf"] if int8 else [])):
        if find_spec(name) is None:
            raise RuntimeUnavailable(f"--runtime openvino needs the package {name}; run: {INSTALL}")
