"""``--runtime`` on the command line: it reaches the labeler, and a missing package ends with its remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli.main import main
from app.examples import PHOTOS

pytest.importorskip("torch")


@pytest.mark.parametrize("command", ["convert-boxes", "propose"])
def test_a_missing_package_ends_with_2_and_the_command_that_installs_it(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from openseed_core.runtimes import openvino_runtime

    monkeypatch.setattr(openvino_runtime, "find_spec", lambda name: None)
    output = tmp_path / "out"
    words = {
        "convert-boxes": [str(PHOTOS.parent / "boxes.json"), "-o", str(output)],
        "propose": [str(PHOTOS), str(output), "--vocab", "cat"],
    }
    assert main([command, *words[command], "--runtime", "openvino"]) == 2
    assert 'pip install "openseed-label[openvino]"' in capsys.readouterr().err
    assert not output.exists()


def test_a_runtime_that_is_not_there_lists_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["convert-boxes", "a.json", "--runtime", "onnx"])
    assert ended.value.code == 2
    assert "openvino-int8" in capsys.readouterr().err
