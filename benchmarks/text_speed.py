"""``python -m benchmarks.text_speed``: COCO's 133 names in 81 templates, the plain way and ours, and a second start.

The plain way computes whole sequences of the full context, one name at a time. It takes minutes, so it runs for a few
names spread over the list; our way runs for the same names in turn, and then for all.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.machine import describe
from labelers.named_vocabularies import named
from openseed_core.config import OpenSeeDConfig, swin_t, swin_t_o365
from openseed_core.text_cache import VARIABLE
from openseed_core.text_encoder import TextEncoder


def encoder_of(config: OpenSeeDConfig, seed: int = 0) -> TextEncoder:
    """Random weights: they cost the same as trained ones. Biases and positions are not zero, so that errors show."""
    torch.manual_seed(seed)
    made = TextEncoder(config).eval()
    with torch.no_grad():
        for name, parameter in made.lang_encoder.named_parameters():
            if parameter.ndim == 1 or name.endswith("positional_embedding"):
                parameter.add_(0.1 * torch.randn_like(parameter))
    return made


def timed(work: Callable[[], Tensor]) -> tuple[float, float, Tensor]:
    """Processor seconds, wall seconds, and the result."""
    cpu, wall = time.process_time(), time.perf_counter()
    with torch.inference_mode():
        result = work()
    return time.process_time() - cpu, time.perf_counter() - wall, result


def measure(config: OpenSeeDConfig, names: Sequence[str], *, plain_names: int) -> dict[str, Any]:
    """All numbers of the report."""
    prompts = [[name] for name in names]
    step = max(len(names) // plain_names, 1)
    sample = prompts[step // 2 :: step][:plain_names]
    with tempfile.TemporaryDirectory() as folder:
        os.environ[VARIABLE] = "off"
        encoder = encoder_of(config)
        first = timed(lambda: encoder.encode_names(sample[:1]))  # with what the templates have in common
        pairs, worst = [], 0.0
        for entry in sample:
            ours = timed(lambda entry=entry: encoder.encode_names([entry]))
            plain = timed(lambda entry=entry: encoder.encode_names([entry], full_length=True))
            pairs.append((plain[0], ours[0]))
            worst = max(worst, float((plain[2] - ours[2]).abs().max()))
        os.environ[VARIABLE] = folder
        one, other = encoder_of(config), encoder_of(config)  # as two processes would load them
        everything = timed(lambda: one.encode_names(prompts))
        again = timed(lambda: other.encode_names(prompts))
    return {
        "names": len(names),
        "context": config.text_context,
        "plain_seconds_a_name": statistics.median(plain for plain, _ in pairs),
        "seconds_a_name": statistics.median(ours for _, ours in pairs),
        "first_name_seconds": first[0],
        "ratio": statistics.median(plain / ours for plain, ours in pairs),
        "largest_difference": worst,
        "all_seconds": everything[0],
        "second_start_seconds": again[1],
        "second_start_equal": bool(torch.equal(everything[2], again[2])),
    }


def report(found: dict[str, Any]) -> str:
    return (
        f"Context {found['context']}: {found['plain_seconds_a_name']:.2f} s a name the plain way, "
        f"{found['seconds_a_name']:.3f} s ours: {found['ratio']:.1f} times as fast (paired, processor seconds); "
        f"largest difference {found['largest_difference']:.0e}.\n"
        f"All {found['names']} names: {found['all_seconds']:.1f} s, the first alone "
        f"{found['first_name_seconds']:.2f} s; a second start: {found['second_start_seconds']:.2f} s on the wall"
        f"{', the same bits' if found['second_start_equal'] else ', BUT OTHER NUMBERS'}."
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--context", type=int, choices=(18, 77), default=77, help="tokens of a full sequence")
    parser.add_argument("--names", type=int, default=133, help="only the first N of COCO's")
    parser.add_argument("--plain-names", type=int, default=5, help="names that also run the plain way")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    machine = describe(options.threads)
    names = named("coco-133").names[: options.names]
    config = swin_t() if options.context == 18 else swin_t_o365()
    found = measure(config, names, plain_names=min(options.plain_names, len(names)))
    print(report(found))
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, **found}, indent=1))


if __name__ == "__main__":
    main()
