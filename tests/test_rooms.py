"""The arrows of docs/architecture.md, and links of the documentation: rules that would otherwise rot."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("app", "exporters", "labelers", "openseed_core")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "app").rglob("*.md")])

# Which modules of other rooms a room may import, none of which loads torch; app may import everything.
ALLOWED = {
    "exporters": {"labelers.records"},
    "labelers": {
        "exporters.masks",
        "exporters.edit",
        "exporters.runs",
        "openseed_core.weights.files",
    },
    "openseed_core": set(),
}

# The modules of labelers that load torch, the parts of the engine; imported when a labeler is built.
MODEL_USERS = ("answers.py", "calibration.py", "conditioned.py", "open_vocabulary.py", "views.py")


def imports(path: Path) -> Iterator[str]:
    """Modules that a file imports, anywhere in it, except for type checkers only."""
    tree = ast.parse(path.read_text())
    hidden = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for statement in block.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


@pytest.mark.parametrize("room", ALLOWED)
def test_arrows_point_one_way(room: str) -> None:
    wrong = []
    for path in (ROOT / room).rglob("*.py"):
        for module in imports(path):
            other = module.split(".")[0]
            if other not in ROOMS or other == room or module in ALLOWED[room]:
                continue
            if (room, other) == ("labelers", "openseed_core") and path.name in MODEL_USERS:
                continue
            wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not wrong


def test_app_labels_through_labelers_only() -> None:
    """The model is trained and its weights are managed from app, but nothing there decodes a mask."""
    allowed = ("app/training/", "app/cli/models.py", "app/cli/train.py")
    reaching = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "app").rglob("*.py")
        for module in imports(path)
        if module.split(".")[0] == "openseed_core"
    }
    assert reaching, "the rule would hold of an empty folder too"
    assert not [name for name in reaching if not name.startswith(allowed)]


def test_imports_do_not_load_torch() -> None:
    modules = ("app", "labelers", "labelers.build", "exporters", "exporters.coco", "app.cli.main")
    code = (
        f"import importlib, sys\nfor name in {modules}:\n    importlib.import_module(name)\n"
        "    print(name, [heavy for heavy in ('torch', 'transformers', 'timm') if heavy in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{name} []" for name in modules]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text())
    local = [target for target in targets if "://" not in target and not target.startswith("mailto:")]
    assert not [target for target in local if not (document.parent / target).exists()]


def test_architecture_names_every_folder_of_the_rooms() -> None:
    """A room's new part has to be put on the map."""
    text = (ROOT / "docs" / "architecture.md").read_text() + (ROOT / "docs" / "openseed.md").read_text()
    parts = [
        part.relative_to(ROOT).as_posix()
        for room in ROOMS
        for part in (ROOT / room).iterdir()
        if part.is_dir() and any(part.glob("*.py"))
    ]
    assert parts
    assert not [part for part in parts if f"{part}/" not in text]


def test_names_that_documents_put_into_a_file_are_there() -> None:
    """``name`` in [`file`](path): the file defines the name."""
    pattern = re.compile(r"((?:`\w+`(?:, | and )?)+) in \[`[^`]+`\]\(([^)]+\.py)\)")
    found = [
        (name, document.parent / target)
        for document in DOCUMENTS
        for names, target in pattern.findall(document.read_text())
        for name in re.findall(r"\w+", names.replace(" and ", " "))
    ]
    assert len(found) > 10
    missing = [
        f"{name} in {path}"
        for name, path in found
        if not re.search(rf"^\s*(?:def |class |async def |self\.)?{name}\b", path.read_text(), re.MULTILINE)
    ]
    assert not missing
