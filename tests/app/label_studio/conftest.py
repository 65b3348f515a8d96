"""A real Label Studio for the slow tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from label_studio_server import TEST_LABEL_STUDIO, LabelStudio, label_studio_program, label_studio_server


@pytest.fixture(scope="session")
def label_studio_executable() -> Path:
    program = label_studio_program()
    if program is None:
        pytest.skip(f"no Label Studio in .venv-label-studio, and {TEST_LABEL_STUDIO} names none")
    return program


@pytest.fixture(scope="session")
def label_studio(label_studio_executable: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudio]:
    """One server for all; it serves local files from its folder ``files``."""
    folder = tmp_path_factory.mktemp("label-studio")
    (folder / "files").mkdir()
    options = {"LOCAL_FILES_SERVING_ENABLED": "true", "LOCAL_FILES_DOCUMENT_ROOT": str(folder / "files")}
    with label_studio_server(label_studio_executable, folder, **options) as server:
        yield server
