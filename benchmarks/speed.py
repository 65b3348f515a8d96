"""Our models beside SAM ViT-B, SAM2-tiny and MobileSAM's encoder: same run, photos and boxes, from JPEG file to RLE.

Run it from the repository: ``python -m benchmarks.speed --help``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.contestants import Spec, standard
from benchmarks.machine import describe
from benchmarks.measure import Ask, Bar, Times, box_count, click, paired_ratio, run_rounds
from benchmarks.photos import BUNDLED, SpeedPhoto, find_photos, parse_size, resized, with_boxes
from benchmarks.quality import match, read_quality
from benchmarks.table import as_markdown, as_text
from benchmarks.team import Team, WorkerFailed

BARS = {"sam-vit-b": 50.0, "sam2-tiny": 8.0, "tinyvit-5m": 8.0}
"""How many times faster ``nano`` has to be, in any of its runtimes."""

OTHERS = ("sam", "sam2", "tinyvit")
"""Kinds that ours are compared with."""

FEW, MANY = 1, 100
MANY_BAR = 1.3
CLICK_BAR = 0.020
FEW_CLICKS = 5


def compare(
    specs: Sequence[Spec],
    by_size: dict[str, list[SpeedPhoto]],
    *,
    threads: int,
    rounds: int,
    many: int = MANY,
    quality: Sequence[dict[str, Any]] = (),
    say: Any = lambda text: None,
) -> dict[str, Any]:
    """Measure everything. ``by_size``: photos with boxes, smallest size first, so that peaks belong to their size.

    Returns the document that ``--json`` writes. Raises WorkerFailed.
    """
    names = [spec.name for spec in specs]
    result: dict[str, Any] = {"machine": describe(threads), "sizes": {}, "ratios": {}, "contestants": {}}
    with Team(specs, threads=threads) as team:
        for spec in specs:
            facts = team.ask(spec.name, "facts")
            iou = match(quality, kind=spec.kind, preset=spec.preset, version=facts["version"])
            loaded = team.ask(spec.name, "peak")
            result["contestants"][spec.name] = {"kind": spec.kind, **facts, "iou": iou, "loaded_mb": loaded}
        for size, photos in by_size.items():
            times = run_rounds(
                team.ask, names, photos, rounds=rounds, tick=_Counter(say, size, len(names), rounds, len(photos))
            )
            result["sizes"][size] = {
                name: {**summary(times[name], photos), "peak_mb": team.ask(name, "peak")} for name in names
            }
            result["ratios"][size] = {
                ours.name: {
                    other.name: paired_ratio(times[other.name], times[ours.name])
                    for other in specs
                    if other.kind in OTHERS
                }
                for ours in specs
                if ours.kind == "openseed"
            }
        say("boxes per photo, clicks, operations")
        _details(team.ask, specs, by_size, result, rounds=rounds, many=many)
    result["machine"]["load_after"] = list(os.getloadavg())
    result["bars"] = [{**asdict(bar), "met": bar.met} for bar in bars(result)]
    return result


def summary(times: Times, photos: Sequence[SpeedPhoto]) -> dict[str, Any]:
    """One contestant's numbers on one size; rates are those of the median photo."""
    seconds = times.seconds()
    boxes = len(photos[0].boxes)
    made = sum(timed.masks for run in times.runs for timed in run)
    return {
        "seconds": seconds,
        "photos_per_second": 1 / seconds,
        "boxes_per_second": boxes / seconds,
        "by_photo": times.by_photo(),
        "stages": times.stages(),
        "encodes": times.encodes(),
        "mask_share": made / max(sum(timed.rows for run in times.runs for timed in run), 1),
    }


def _details(
    ask: Ask,
    specs: Sequence[Spec],
    by_size: dict[str, list[SpeedPhoto]],
    result: dict[str, Any],
    *,
    rounds: int,
    many: int,
) -> None:
    """The measurements apart from the main one, after it, so that they don't touch its memory."""
    first = next(iter(by_size.values()))[0]
    crowded = with_boxes([Path(first.path)], count=many)[0]
    result["box_count"], result["click"] = {}, {}
    for spec in specs:
        if spec.kind == "openseed" and spec.runtime == "torch":  # without zoom all is torch's
            counted = box_count(ask, spec.name, crowded, few=FEW, rounds=2 * rounds + 1)
            result["box_count"][spec.name] = asdict(counted)
    for size, photos in by_size.items():
        found: dict[str, Any] = {}
        for spec in specs:
            if spec.kind in ("labeler", "tinyvit"):
                continue
            # the bar is nano's; large models would click for half an hour
            small = spec.preset == "nano"
            photo, repeats = (photos[0], rounds) if small else (photos[0].first(FEW_CLICKS), 1)
            kinds = (False, True) if spec.kind == "openseed" else (False,)
            found[spec.name] = {
                "new crop" if new_crop else "encoded": asdict(
                    click(ask, spec.name, photo, new_crop=new_crop, rounds=repeats)
                )
                for new_crop in kinds
            }
        result["click"][size] = found
        for spec in (spec for spec in specs if spec.runtime == "torch"):  # torch's counter sees no other's products
            result["sizes"][size][spec.name]["flops"] = ask(spec.name, "flops", photo=photos[0].as_json())


def bars(result: dict[str, Any]) -> list[Bar]:
    """What was promised of ``nano``, with the values of this run; nothing for contestants that did not take part."""
    found = []
    for size, ratios in result["ratios"].items():
        for ours in (name for name in ratios if name.startswith("nano")):
            for other, limit in BARS.items():
                if other in ratios[ours]:
                    title = f"{ours} is faster than {other}, {size}, zoom included (times)"
                    found.append(Bar(title, ratios[ours][other], limit, at_least=True))
    if "nano" in result["box_count"]:
        counted = result["box_count"]["nano"]
        title = f"nano, {counted['many']} boxes against {counted['few']}, no zoom (times)"
        found.append(Bar(title, counted["ratio"], MANY_BAR, at_least=False))
    for size, clicks in result["click"].items():
        for ours in (name for name in clicks if name.startswith("nano")):
            title = f"{ours}, click to mask on an encoded photo, {size} (s)"
            found.append(Bar(title, clicks[ours]["encoded"]["median"], CLICK_BAR, at_least=False))
    return found


class _Counter:
    """Says now and then how far a measurement is."""

    def __init__(self, say: Any, size: str, names: int, rounds: int, photos: int) -> None:
        self.say, self.size, self.total, self.done, self.step = say, size, names * (rounds * photos + 1), 0, names

    def __call__(self) -> None:
        self.done += 1
        if self.done % self.step == 0:
            self.say(f"{self.size}: {self.done}/{self.total}")


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    known = {spec.name: spec for spec in standard(random_weights=args.random_weights, weights=args.weights)}
    chosen = [name.strip() for name in args.models.split(",") if name.strip()]
    if unknown := [name for name in chosen if name not in known]:
        print(f"--models: there is no {unknown[0]!r}; choose from {', '.join(known)}", file=sys.stderr)
        return 2
    if not args.random_weights and "nano" in chosen and args.weights is not None and not Path(args.weights).is_file():
        print(f"--weights {args.weights}: no such file; check the path", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="openseed-speed-") as folder:
        try:
            quality = read_quality(args.quality)
            by_size = _photos(args, Path(folder))
            specs = [known[name] for name in chosen]
            result = compare(
                specs, by_size, threads=args.threads, rounds=args.rounds, quality=quality, say=_say(args.quiet)
            )
        except (ValueError, OSError, WorkerFailed) as error:
            print(f"benchmarks.speed: {error}", file=sys.stderr)
            return 2
    result["settings"] = {
        "boxes": args.boxes,
        "rounds": args.rounds,
        "photos": {size: [Path(photo.path).name for photo in photos] for size, photos in by_size.items()},
    }
    print(as_text(result))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")
    if args.markdown:
        args.markdown.write_text(as_markdown(result))
    if args.plot:
        from benchmarks.plot import plot

        plot(result, args.plot)
    return 0


def _photos(args: argparse.Namespace, folder: Path) -> dict[str, list[SpeedPhoto]]:
    sources = find_photos(args.photos, limit=args.count)
    if args.sizes.strip() == "original":
        return {"original": with_boxes(sources, count=args.boxes)}
    sizes = sorted((parse_size(text.strip()) for text in args.sizes.split(",")), key=lambda size: size[0] * size[1])
    return {
        f"{size[0]}x{size[1]}": with_boxes(resized(sources, size, folder / str(size[0])), count=args.boxes)
        for size in sizes
    }


def _say(quiet: bool) -> Any:
    return (lambda text: None) if quiet else (lambda text: print(text, file=sys.stderr, flush=True))


def _installed() -> list[str]:
    """The names of all contestants that can take part here, without the rectangle."""
    specs = [spec for spec in standard() if spec.kind != "labeler"]
    compiled = find_spec("openvino") is not None and find_spec("nncf") is not None
    return [spec.name for spec in specs if spec.runtime == "torch" or compiled]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--models",
        default=",".join(_installed()),
        help="comma separated, from nano, nano-openvino, nano-openvino-int8, swin-t, sam-vit-b, sam2-tiny, tinyvit-5m, "
        "rectangle (default: all that are installed, but rectangle)",
    )
    parser.add_argument("--photos", type=Path, default=BUNDLED, metavar="DIR", help="JPEG files (default: bundled)")
    parser.add_argument("--count", type=int, default=4, metavar="N", help="photos for each size (default: 4)")
    parser.add_argument(
        "--sizes",
        default="640x480,4032x3024",
        help='photos are cut and scaled to these; "original": as they are (default: 640x480,4032x3024)',
    )
    parser.add_argument("--boxes", type=int, default=20, metavar="N", help="boxes a photo (default: 20)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds over all photos (default: 3)")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), metavar="N", help="threads (default: all cores)")
    parser.add_argument("--weights", metavar="FILE", help="weights for nano (default: those in the package)")
    parser.add_argument("--random-weights", action="store_true", help="nano without training")
    parser.add_argument(
        "--quality", type=Path, nargs="+", default=[], metavar="FILE", help="results of `evaluate --json`, for the IoU"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="write a bar chart")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    return parser


if __name__ == "__main__":
    sys.exit(main())
