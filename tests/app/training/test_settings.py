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
        ("run = 3\n", r"run is 3; write a section \[run\]"),
        ('[run]\npreset = "nano"\n', r"\[run\] lacks 'output'"),
        (MINIMUM + "[[segmentation]]\nkind = 'coco'\n", r"\[\[segmentation\]\] lacks 'path'"),
        (MINIMUM + '[[segmentation]]\npath = "x"\nkind = "yolo"\n', "kind is 'yolo'; write one of"),
        (MINIMUM + "val = 3\n", "val is 3; write a path in quotes"),
        (MINIMUM + "stuff = 1\n", "stuff is 1; write true or false"),
        (MINIMUM + "leave_out = 'cat'\n", "leave_out is 'cat'; write a list"),
        (MINIMUM + "source_weights = { a = 'b' }\n", "each value a number"),
        (MINIMUM + "[schedule]\nsteps = 'many'\n", "steps is 'many'; write a whole number"),
        (MINIMUM + "[schedule]\nsteps = true\n", "steps is True; write a whole number"),
        (MINIMUM + "[schedule]\nsteps = 0\n", "steps is 0; it must be at least 1"),
        (MINIMUM + "[schedule]\nshape = 'linear'\n", 'shape is \'linear\'; write one of "cosine", "drops"'),
        (MINIMUM + "[machine]\nprecision = 'fp8'\n", 'write one of "no", "bf16", "fp16"'),
        (MINIMUM + "[photos]\nscale = 3\n", "scale is 3; write a list of 2 elements"),
        (MINIMUM + "[photos]\nscale = [1, 2, 3]\n", "a list of 2 elements"),
        (MINIMUM + "[photos]\nsize = 0\n", "multiple of 32"),
        (MINIMUM + "[photos]\nscale = [2, 1]\n", "the smaller first"),
        (MINIMUM + "[photos]\nflip = 2\n", "flip 0 to 1"),
        (MINIMUM + "[machine]\nsharding = 'fsdp'\n", "no moving average"),
        (
            '[run]\noutput = "out"\n[photos]\nsegmentation = 0\n[[segmentation]]\npath = "x"\n',
            "no photo would be drawn",
        ),
        (MINIMUM + "[photos]\ndetection = -1\n", "give 0 or more"),
        (MINIMUM + "[joint]\nweights = 3\n", r"write a section \[joint.weights\]"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        read(_write(tmp_path, text))


def test_a_whole_number_will_do_where_a_number_is_wanted(tmp_path: Path) -> None:
    assert read(_write(tmp_path, MINIMUM + "[schedule]\nlr = 1\n")).schedule.lr == 1


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_bytes(b'[run]\noutput = "\xff"\n')
    with pytest.raises(SettingsError, match=r"my\.toml: not valid TOML"):
        read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file"):
        read(tmp_path / "none.toml")


def test_dense_needs_a_detector(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('[run]\noutput = "out"\n[joint]\ndense = 1.0\n[[detection]]\npath = "d"\n')
    with pytest.raises(SettingsError, match=r"dense needs a detector; name its weights with teacher in \[run\]"):
        read(path)
