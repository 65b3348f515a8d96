"""The page about a data set: counts, plots, classes, problems. One file, no network."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from html import escape
from pathlib import Path
from string import Template

from app.datasets.statistics import QUALITY, Statistics, mean
from app.reports.colours import colour_at
from app.reports.dataset_plot import png
from exporters.files import replacing

_LISTED = 500


def write_dataset_page(path: Path, found: Statistics) -> None:
    """Write the page. Raises OSError."""
    template = Template(Path(__file__).with_name("dataset.html").read_text("utf-8"))
    picture = base64.b64encode(png(found)).decode("ascii")
    page = template.substitute(
        title=_text(Path(found.source).name or found.source),
        format=_text(found.format),
        counts="".join(_counts(found)),
        plot=f"data:image/png;base64,{picture}",
        quality="".join(_quality(found)),
        classes="".join(_classes(found)),
        frames="".join(
            f"<tr><td>{width} &times; {height}<td>{number:,}"
            for (width, height), number in found.frames.most_common(20)
        ),
        problems="".join(_problems(found)),
    )
    with replacing(path) as file:
        file.write(page.encode("utf-8"))


def _counts(found: Statistics) -> Iterator[str]:
    words = {
        "pictures": "photos",
        "items": "objects",
        "masks": "masks",
        "boxes_only": "boxes without a mask",
        "neither": "objects without mask and box",
        "crowds": "crowds",
        "scored": "with a score",
        "empty_pictures": "photos without objects",
    }
    for key, said in words.items():
        if found.counts[key] or key in ("pictures", "items"):
            yield f"<li><b>{found.counts[key]:,}</b> {said}</li>"
    for name, number in found.sizes.items():
        yield f"<li><b>{number:,}</b> {name}</li>"
    for name, number in found.splits.items():
        yield f"<li><b>{number:,}</b> photos in {_text(name)}</li>"
    if found.problem_count:
        yield f"<li class=bad><b>{found.problem_count:,}</b> could not be read</li>"


def _quality(found: Statistics) -> Iterator[str]:
    for key, said in QUALITY.items():
        share = 100 * found.quality[key] / max(found.counts["masks"], 1)
        yield f"<tr><td>masks {_text(said)}<td>{found.quality[key]:,}<td>{share:.1f} %"
    for said, value in (("mean share of its box", mean(found.fill)), ("mean score", mean(found.scores))):
        if value is not None:
            yield f"<tr><td>{said}<td>{value:.3f}<td>"


def _classes(found: Statistics) -> Iterator[str]:
    place = {name: k for k, name in enumerate(found.labels)}
    for name in sorted(found.labels, key=lambda name: -found.labels[name].items):
        label = found.labels[name]
        average = f"{label.area / label.items:,.0f}" if label.items else ""
        yield (
            f'<tr><td><i style="background:{colour_at(place[name])}"></i>{_text(name)}'
            f"<td>{label.items:,}<td>{label.masks:,}<td>{label.photos:,}<td>{average}"
        )


def _problems(found: Statistics) -> Iterator[str]:
    if not found.problem_count:
        yield "<p>None: everything could be read. <code>openseed-label check</code> looks closer."
        return
    shown = found.problems[:_LISTED]
    yield "<ul>" + "".join(f"<li>{_text(message)}" for message in shown) + "</ul>"
    if found.problem_count > len(shown):
        yield f"<p>{found.problem_count - len(shown):,} more."


def _text(value: str) -> str:
    # lone surrogates in somebody's file name can't be written as UTF-8
    return escape(value.encode("utf-8", "replace").decode("utf-8"), quote=True)
