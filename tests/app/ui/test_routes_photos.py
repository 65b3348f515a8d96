"""Photos: the file itself, or its pixels exactly; of this project, and nothing else."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from page_client import Browser
from PIL import Image
from sqlalchemy import update

from app.store.projects import Project
from app.store.schema import ImageRow
from labelers.photos import open_photo


def rename(project: Project, name: str) -> None:
    """What a hostile import could have written."""
    with project.database.writing() as session:
        session.execute(update(ImageRow).where(ImageRow.id == 1).values(file_name=name))


def test_a_photo_is_the_file_itself(ana: Browser, project: Project) -> None:
    answer = ana.get("/api/images/1/photo")
    assert answer.content == (project.images_root / "photo1.png").read_bytes()
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "private, no-cache"


def test_a_photo_that_the_browser_has_is_not_sent_again(ana: Browser, project: Project) -> None:
    tag = ana.get("/api/images/1/photo").headers["etag"]
    again = ana.get("/api/images/1/photo", headers={"if-none-match": tag})
    assert again.status_code == 304
    assert again.content == b""
    Image.new("RGB", (64, 48)).save(project.images_root / "photo1.png")
    assert ana.get("/api/images/1/photo", headers={"if-none-match": tag}).status_code == 200


@pytest.mark.parametrize(
    ("name", "mode", "orientation"),
    [
        ("x.tif", "RGB", 1),
        ("x.png", "I;16", 1),
        ("x.png", "RGBA", 1),
        ("x.png", "RGB", 6),
        ("x.gif", "P", 1),
        ("x.tif", "RGB", 8),
    ],
)
def test_what_browsers_show_otherwise_comes_as_exact_pixels(
    ana: Browser, project: Project, name: str, mode: str, orientation: int
) -> None:
    random = np.random.default_rng(1)
    if mode == "I;16":
        picture = Image.fromarray(random.integers(0, 60000, (48, 64)).astype(np.uint16))
    else:
        depth = 4 if mode == "RGBA" else 3
        picture = Image.fromarray(random.integers(0, 255, (48, 64, depth), np.uint8)).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(project.images_root / name, exif=exif)
    rename(project, name)
    answer = ana.get("/api/images/1/photo")
    assert answer.headers["content-type"] == "image/png"
    shown = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert (shown == open_photo(project.images_root, name, key="x").pixels()).all()


def test_a_rotated_jpeg_is_sent_as_it_is_and_upright_on_request(ana: Browser, project: Project) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8)).save(
        project.images_root / "x.jpg", exif=exif
    )
    rename(project, "x.jpg")
    assert ana.get("/api/images/1/photo").content == (project.images_root / "x.jpg").read_bytes()
    upright = Image.open(io.BytesIO(ana.get("/api/images/1/photo?as=png").content))
    assert upright.size == (48, 64)


@pytest.mark.parametrize(
    "name", ["../secret.png", "/etc/passwd", "link.png", "..\\secret.png", "file:///etc/passwd", "a\0b"]
)
def test_no_path_leads_out_of_the_folder_of_photos(ana: Browser, project: Project, name: str, tmp_path: Path) -> None:
    outside = project.images_root.parent / "secret.png"
    Image.new("RGB", (64, 48)).save(outside)
    (project.images_root / "link.png").symlink_to(outside)
    rename(project, name)
    answer = ana.get("/api/images/1/photo")
    assert answer.status_code in (404, 422)
    assert answer.headers["content-type"] == "application/json"
    assert "root:" not in answer.text


@pytest.mark.parametrize(
    "path",
    ["/api/images/../../etc/passwd", "/api/images/1%2f..%2f..%2fetc%2fpasswd/photo", "/api/images//etc/passwd/photo"],
)
def test_no_crafted_url_leads_to_a_file(ana: Browser, path: str) -> None:
    answer = ana.get(path)
    assert answer.status_code in (404, 422)
    assert "root:" not in answer.text


def test_the_database_beside_the_photos_is_not_served(ana: Browser, project: Project) -> None:
    rename(project, "data.openseed.db")
    assert ana.get("/api/images/1/photo").status_code == 422
    for path in ("data.openseed.db", "../data.openseed.db", "..%2f..%2f..%2fcli%2fui.py", "%2e%2e/page.py"):
        assert ana.get(f"/static/canvas/{path}").status_code == 404
