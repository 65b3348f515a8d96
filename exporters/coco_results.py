"""Detection results ([{image_id, category_id, bbox, score}]) together with the COCO file that has the images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from exporters.coco import CocoDocument, Layout, require
from exporters.coco_records import CocoError
from exporters.coco_tables import Source, link, read_tables


def open_results(
    results: Path,
    images_json: Path,
    *,
    on_read: Callable[[int], object] = lambda size: None,
    folder: Path | None = None,
) -> CocoDocument:
    """Read results as a document: what it writes is the images file with the detections as its annotations.

    Detections without id get one in file order: 1 to N where none has an id, else from the largest id on. ``on_read``
    hears of bytes read in both files, for progress; ``folder`` as for ``CocoDocument.open``.

    Raises:
        CocoError: no such file, malformed JSON, results that are no list, or no ``images`` in the images file.
    """
    body, frame = Source(results), Source(images_json)
    found = read_tables(body, on_read=on_read, folder=folder)
    if not found.is_list:
        raise CocoError(
            f"{results}: line 1: results are a list of detections, this is an object; if it is a COCO file with "
            "annotations, give it alone (without --images-json)"
        )
    tables = read_tables(frame, with_annotations=False, on_read=on_read)
    if tables.is_list:
        raise CocoError(f"{images_json}: line 1: a list stands where the COCO object with the images is expected")
    require(tables, frame, "images")
    span = found.spans["annotations"]
    if "annotations" in tables.spans:
        layout = Layout(frame, tables.spans["annotations"], body, span)
    else:
        # Not the closing brace itself but its place: what stands before it on its line is kept.
        comma = b"" if tables.empty else b", "
        layout = Layout(frame, (tables.end - 1,) * 2, body, span, before=comma + b'"annotations": ')
    columns = found.columns.finish()
    return CocoDocument(layout, tables, columns, link(tables, columns, ids_needed=False))
