"""Continuous integration must notice a skipped test."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")
A_TEST = "import pytest\ndef test_a(): pass\ndef test_b(): pytest.skip('absent')\n"
A_FILE = "import pytest\npytest.importorskip('no_such_package')\ndef test_a(): pass\n"


@pytest.mark.parametrize(
    ("text", "strict", "code"),
    [(A_TEST, "1", 1), (A_FILE, "1", 1), (A_TEST, "", 0), ("def test_a(): pass\n", "1", 0)],
)
def test_a_skip_is_a_failure_where_everything_is_installed(tmp_path: Path, text: str, strict: str, code: int) -> None:
    shutil.copy(CONFTEST, tmp_path)
    (tmp_path / "test_it.py").write_text(text)
    (tmp_path / "test_other.py").write_text("def test_c(): pass\n")
    fast = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "OPENSEED_LABEL_SKIP_IS_FAILURE": strict}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", "."]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | fast, capture_output=True, text=True)
    assert done.returncode == code, done.stdout
    assert ("skipped tests are failures" in done.stdout) == bool(code)
