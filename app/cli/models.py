"""``openseed-label models``: which weights there are, getting them, changing their form, checking them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from app.errors import UsageError
from openseed_core.weights import registry

NANO = "nano"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the four actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    listing = actions.add_parser("list", help="show the models, where their weights are and under which terms")
    listing.add_argument("--json", action="store_true", help="as JSON")

    names = [entry.name for entry in registry.RELEASES]
    fetching = actions.add_parser("fetch", help="download released weights, once")
    fetching.add_argument("name", help=f"one of: {', '.join(names)}")
    fetching.add_argument("--url", help="address of the file, where only the release page is known (https)")
    fetching.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help=f"folder for it (default: ${registry.CACHE_VARIABLE} or cache)"
    )
    fetching.add_argument("--force", action="store_true", help="download again even if the file is there")
    fetching.add_argument(
        "--timeout", type=float, default=30.0, metavar="S", help="seconds without answer (default 30)"
    )

    converting = actions.add_parser("convert", help="official checkpoint to safetensors, or back")
    converting.add_argument("weights", help="a weights file, a model folder, or the name of a model")
    converting.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="OUT",
        help="folder, FILE.safetensors, or FILE.pt (official)",
    )
    converting.add_argument("--half", action="store_true", help="float16 on disk: half the size")
    converting.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")

    verifying = actions.add_parser("verify", help="check that weights are complete and whose they are")
    verifying.add_argument("weights", help="a weights file, a model folder, or the name of a model")


def run(args: argparse.Namespace) -> int:
    """Run the action; returns the exit code."""
    if args.action == "list":
        return _list(as_json=args.json)
    if args.action == "fetch":
        return _fetch(args)
    if args.action == "convert":
        return _convert(args)
    return _verify(args.weights)


def _list(*, as_json: bool) -> int:
    rows = [
        {
            "name": NANO,
            "state": "embedded",
            "trained_on": "see docs/model-card.md",
            "licence": "see NOTICE-nano.md beside the weights",
            "page": None,
            "file": None,
        }
    ]
    for entry in registry.RELEASES:
        found = registry.find(entry.name)
        state = "fetched" if found else "not fetched" if entry.url else "address not known, see page"
        rows.append(
            {
                "name": entry.name,
                "state": state,
                "trained_on": entry.trained_on,
                "licence": f"{entry.licence} ({entry.licence_url})",
                "page": entry.page,
                "file": str(found) if found else None,
            }
        )
    if as_json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        print(f"{row['name']:<22} {row['state']}")
        for key in ("trained_on", "licence", "page", "file"):
            if row[key]:
                print(f"    {key.replace('_', ' ') + ':':<12} {row[key]}")
    print(f"\nfetched weights are kept in {registry.cache_dir()}; any file can be used with --weights FILE")
    return 0


def _fetch(args: argparse.Namespace) -> int:
    entry = registry.release(args.name)
    print(f"licence of {entry.name}: {entry.licence}\n  {entry.licence_url}", file=sys.stderr)
    from tqdm import tqdm

    with tqdm(unit="B", unit_scale=True, desc=entry.file, disable=not sys.stderr.isatty()) as bar:

        def progress(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        path = registry.fetch(
            args.name, args.output, url=args.url, force=args.force, timeout=args.timeout, progress=progress
        )
    print(path)
    if entry.sha256 is None:
        print(
            f"SHA-256 {registry.sha256_of(path)}; the publisher states none to compare with. "
            f"Check the contents with: openseed-label models verify {path}",
            file=sys.stderr,
        )
    return 0


def _convert(args: argparse.Namespace) -> int:
    output: Path = args.output
    if output.exists() and not args.overwrite:
        raise UsageError(f"{output}: exists already; give another -o or add --overwrite")
    from openseed_core.weights.store import CHECKPOINTS, load_model, locate, save_model, version_of

    if locate(args.weights).resolve() in (output.resolve(), (output / "model.safetensors").resolve()):
        raise UsageError(f"{output}: is the input itself; give another -o")
    if args.half and output.suffix in CHECKPOINTS:
        raise UsageError("--half: official checkpoints are float32; leave it out, or write safetensors")
    model = load_model(args.weights)
    save_model(model, output, half=args.half)
    print(f"{output}: {version_of(model)}, {_millions(sum(part.numel() for part in model.parameters()))} parameters")
    return 0


def _verify(weights: str) -> int:
    from openseed_core.weights.store import load_model, locate, version_of

    path = locate(weights)
    digest = registry.sha256_of(path)
    entries = [entry for entry in registry.RELEASES if entry.file == path.name]
    model = load_model(path)
    print(f"{path}: complete")
    print(f"  model        {version_of(model)}")
    print(f"  parameters   {_millions(sum(part.numel() for part in model.parameters()))}")
    print(f"  SHA-256      {digest}")
    for entry in entries:
        if entry.sha256 is None:
            print(f"  release      {entry.name} by its file name; its publisher states no SHA-256 to compare with")
            continue
        if entry.sha256 != digest:
            raise UsageError(
                f"{path}: is not the released {entry.name}, whose SHA-256 is {entry.sha256}; fetch it again"
            )
        print(f"  release      {entry.name}, SHA-256 as published")
    return 0


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} M"
