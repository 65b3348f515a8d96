"""Does the profile run, and do its stages do all that the labeler does?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import nano_profile
from benchmarks.photos import BUNDLED, find_photos, resized, with_boxes

pytest.importorskip("torch")


def test_every_stage_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from labelers.conditioned import ConditionedLabeler
    from labelers.photos import open_photo
    from labelers.records import Boxes
    from labelers.vocabulary import Vocabulary

    labeler = ConditionedLabeler.from_model(device="cpu")
    photo = with_boxes(resized(find_photos(BUNDLED, limit=1), (160, 120), tmp_path), count=3)[0]
    made = []

    def paste(*arguments: object) -> object:
        made.append(real(*arguments))  # type: ignore[arg-type]
        return made[-1]

    real = nano_profile.paste
    monkeypatch.setattr(nano_profile, "paste", paste)
    found = nano_profile.stages(labeler, photo)
    assert all(found[stage] > 0 for stage in ("encode", "decode", "enlarge"))
    path = Path(photo.path)
    masks = labeler.open(open_photo(path.parent, path.name, key="1")).masks(
        Boxes(np.array(photo.boxes, np.float32), photo.names), Vocabulary()
    )
    assert {str(mask["counts"]) for mask in made} == {str(mask["counts"]) for mask in masks.masks if mask}


def test_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--runtimes", "torch", "--size", "96x72", "--boxes", "2", "--rounds", "1"]
    assert nano_profile.main(words) == 0
    assert "| torch |" in capsys.readouterr().out
