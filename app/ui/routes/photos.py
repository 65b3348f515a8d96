"""The photos themselves: the file's own bytes, or an exact PNG where a browser would show something else."""

from __future__ import annotations

import io
import threading

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, Response

from app.store import images
from app.ui.server import Here, ItemId
from labelers.paths import find_photo
from labelers.photos import PhotoHeader, read_header

router = APIRouter(prefix="/api")

_SHOWN = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "BMP": "image/bmp",
}
_CONVERTING = threading.BoundedSemaphore(2)
"""A decoded photo and its copy take hundreds of megabytes."""


@router.get("/images/{image_id}/photo")
def photo(here: Here, request: Request, image_id: ItemId) -> Response:
    """Only the id comes from the client; the file name is the project's, and stays inside its folder of photos."""
    record = images.image(here.project, image_id)
    root = here.project.images_root
    path = find_photo(root, record.file_name)
    header = read_header(root, record.file_name)
    exact = request.query_params.get("as") == "png" or not _shown_as_is(header)
    stat = path.stat()
    headers = {
        "ETag": f'"{stat.st_mtime_ns:x}-{stat.st_size:x}{"-png" if exact else ""}"',
        "Cache-Control": "private, no-cache",  # kept, but asked for again: the file may be replaced
        "Content-Disposition": "inline",
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    if not exact:
        return FileResponse(path, media_type=_SHOWN[header.format], headers=headers)
    with _CONVERTING:
        return Response(_png(header), media_type="image/png", headers=headers)


def _shown_as_is(header: PhotoHeader) -> bool:
    """Will the browser show the pixels that the labeler sees? All of them turn JPEG files, few turn others."""
    return header.format in _SHOWN and header.plain and (header.orientation == 1 or header.format == "JPEG")


def _png(header: PhotoHeader) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(header.photo("").pixels()).save(stream, "PNG", compress_level=1)
    return stream.getvalue()
