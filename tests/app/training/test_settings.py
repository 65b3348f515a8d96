"""The TOML of ``train``: the bundled file, and errors that say what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

import app.training
from app.training.settings import SettingsError, read


def _write(folder: Path, text: str) -> Path:
    path = folder / "my.toml"
    path.write_text(text)
    return path


MINIMUM = '[run]\noutput = "out"\n[data]\ntrain = "data/train"\n'


def test_the_bundled_settings_are_valid() -> None:
    settings = read(Path(app.training.__file__).parent / "nano.toml")
    assert settings.run.preset == "nano"
    assert settings.schedule.steps > 1000


def test_values_get_their_types(tmp_path: Path) -> None:
    settings = read(_write(tmp_path, MINIMUM + 'leave_out = ["cat"]\n[crops]\nobject_share = [0.5, 0.6]\n'))
    assert settings.data.train == Path("data/train")
    assert settings.data.leave_out == ("cat",)
    assert settings.crops.object_share == (0.5, 0.6)
    assert settings.run.backbone is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[run", "not valid TOML"),
        (MINIMUM + "[optimiser]\nlr = 1\n", "unknown section"),
        (MINIMUM + "[schedule]\nlearning_rate = 1\n", "no setting 'learning_rate'"),
        ('[run]\noutput = "out"\n', "train"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        read(_write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file"):
        read(tmp_path / "none.toml")
