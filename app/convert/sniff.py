"""Recognise what is not COCO boxes, and say what to do with it."""

from __future__ import annotations

from pathlib import Path

from app.errors import UsageError

_HEAD = 65536
_NEEDED = "convert-boxes reads a COCO file: JSON with images, annotations (bbox = x, y, width, height) and categories"


def refuse_other_formats(path: Path, *, images_json: Path | None = None) -> None:
    """Do nothing for what may be COCO; raise UsageError with a remedy for what certainly is not."""
    if path.is_dir():
        raise UsageError(_folder(path))
    if not path.exists():
        raise UsageError(f"{path}: no such file; check the path")
    suffix = path.suffix.lower()
    if suffix in {".yaml", ".yml"}:
        raise UsageError(f"{path} looks like the description of a YOLO data set. {_NEEDED}.\n{_remedy('yolov8')}")
    if suffix == ".xml":
        raise UsageError(f"{path} looks like Pascal VOC XML. {_NEEDED}.\n{_remedy('pascalvoc')}")
    if suffix in {".txt", ".csv"}:
        raise UsageError(f"{path} is not JSON. {_NEEDED}.\n{_remedy('yolov8')}")
    if suffix in {".zip", ".gz", ".tar", ".tgz", ".7z"}:
        raise UsageError(f"{path} is an archive; unpack it and give the COCO JSON inside")
    with path.open("rb") as file:
        head = file.read(_HEAD).removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head:
        raise UsageError(f"{path} is empty. {_NEEDED}")
    if head[:1] == b"{" and b'"shapes"' in head and b'"imagePath"' in head and b'"annotations"' not in head:
        raise UsageError(f"{path} is a labelme file of one photo. {_NEEDED}.\n{_remedy('labelme')}")
    if head[:1] == b"[" and images_json is None:
        if b'"image_id"' in head:
            raise UsageError(
                f"{path} is a list of detections without images and categories; "
                "name the COCO file they belong to: --images-json FILE"
            )
        if b'"data"' in head and (b'"annotations"' in head or b'"predictions"' in head):
            raise UsageError(f"{path} looks like a Label Studio export. {_NEEDED}; in Label Studio, export as COCO")
        raise UsageError(f"{path} is a list. {_NEEDED}, or a list of detections with --images-json FILE")


def _folder(path: Path) -> str:
    found = [*sorted(path.glob("*.json")), *sorted(path.glob("annotations/*.json"))]
    names = [str(p.relative_to(path)) for p in found[:4]]
    if names:
        return f"{path} is a folder; give the COCO file in it ({', '.join(names)}?), and the photos with --images"
    if any(path.glob("*.txt")) or any(path.glob("labels/**/*.txt")) or any(path.glob("*.y*ml")):
        return f"{path} looks like a YOLO folder. {_NEEDED}.\n{_remedy('yolov8')}"
    if any(path.glob("*.xml")) or any(path.glob("Annotations/*.xml")):
        return f"{path} looks like a Pascal VOC folder. {_NEEDED}.\n{_remedy('pascalvoc')}"
    return f"{path} is a folder. {_NEEDED}"


def _remedy(name: str) -> str:
    given = {
        "yolov8": "--input-file data.yaml --input-split train",
        "pascalvoc": "--input-folder Annotations --category-names cat,dog",
        "labelme": "--input-folder DIR --category-names cat,dog",
    }[name]
    return (
        "Make one first, for instance with another tool: pip install labelformat; labelformat convert "
        f"--task object-detection --input-format {name} {given} --output-format coco --output-file boxes.json"
    )
