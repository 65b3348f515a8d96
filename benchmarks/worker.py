"""One contestant in a process of its own, so that its memory and threads are its own too.

Requests and replies are lines of JSON. The parent asks one worker at a time; the others wait in a read and use no CPU.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import contextmanager, nullcontext
from typing import Any

from benchmarks.contestants import Contestant, Spec, Stages, build
from benchmarks.peak import peak_megabytes
from benchmarks.photos import SpeedPhoto


def timed(contestant: Contestant, photo: SpeedPhoto, *, zoom: bool = True) -> dict[str, Any]:
    """Label one photo: seconds in all and by stage, calls by stage, masks made."""
    stages = Stages()
    start = time.perf_counter()
    masks = contestant.label(photo, stages, zoom=zoom)
    seconds = time.perf_counter() - start
    made = sum(mask is not None for mask in masks)
    return {"seconds": seconds, "stages": stages.seconds, "calls": stages.calls, "rows": len(masks), "masks": made}


def flops(contestant: Contestant, photo: SpeedPhoto) -> int:
    """Operations of one photo in matrix products, convolutions and attention; a multiply-add counts as two."""
    if "torch" not in sys.modules:
        return 0
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # the fused attention has no formula and would count as nothing
    try:
        inline = getattr(contestant, "in_one_thread", nullcontext)
        with inline(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            contestant.label(photo, Stages())
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return int(counter.get_total_flops())


def answer(contestant: Contestant, request: dict[str, Any]) -> Any:
    """One request's result. Raises ValueError for a request that isn't known."""
    what = request["do"]
    if what == "facts":
        return contestant.facts()
    if what == "peak":
        return peak_megabytes()
    photo = SpeedPhoto.from_json(request["photo"])
    if what == "label":
        return timed(contestant, photo, zoom=request.get("zoom", True))
    if what == "click":
        return contestant.click(photo, new_crop=request["new_crop"])
    if what == "flops":
        return flops(contestant, photo)
    raise ValueError(f"there is no request {what!r}")


def serve(spec: Spec, lines: Iterable[str], reply: Callable[[str], None]) -> None:
    """Build the contestant, say that it is ready, answer line by line. An exception becomes an error reply."""
    with _reported(reply):
        contestant = build(spec)
        reply(json.dumps({"result": "ready"}))
        for line in lines:
            with _reported(reply):
                reply(json.dumps({"result": answer(contestant, json.loads(line))}))


@contextmanager
def _reported(reply: Callable[[str], None]) -> Any:
    try:
        yield
    except Exception:
        reply(json.dumps({"error": traceback.format_exc()}))


def main() -> None:
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not get between the replies
    spec = Spec(**json.loads(sys.argv[1]))
    if spec.kind != "labeler":
        import torch

        torch.set_num_threads(int(sys.argv[2]))  # the environment sets OpenMP's count, torch keeps its own

    def reply(text: str) -> None:
        channel.write(text + "\n")
        channel.flush()

    serve(spec, sys.stdin, reply)


if __name__ == "__main__":
    main()
