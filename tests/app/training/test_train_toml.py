"""``train my.toml``: what it leaves in the output folder, and what it says of data that can't be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mini_sets import TINY_RUN, box, classes, image, masked, photos_beside, write
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from app.cli.main import main

TINY = f"""{TINY_RUN}[schedule]
steps = 2
report_every = 1
save_every = 1
validate_every = 2
[photos]
size = 64
segmentation = 1
detection = 1
"""


def data(folder: Path) -> Path:
    """Two photos of a cat in ``folder``, and the file with its mask."""
    rows = [masked(k, k, 1, (5, 6, 30, 30)) for k in (1, 2)]
    path = write(folder / "annotations.json", [image(1), image(2)], rows, classes("cat"))
    photos_beside(path, 1, 2)
    return path


def settings(folder: Path, more: str) -> str:
    path = folder / "my.toml"
    path.write_text(TINY.format(folder=folder) + more.format(folder=folder))
    return str(path)


def test_log_events_curve_and_model_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = data(tmp_path / "seg")
    document = json.loads(path.read_text())
    document["images"].append(image(3))  # whose photo is missing
    document["annotations"] += [masked(3, 3, 1, (5, 6, 30, 30)), box("flat", 1, 1, (5, 5, 5, 5))]
    path.write_text(json.dumps(document))
    more = '[data]\nval = "{folder}/seg"\n[[segmentation]]\npath = "{folder}/seg"\n'
    assert main(["train", settings(tmp_path, more)]) == 0
    told = capsys.readouterr()
    assert "3.png" in told.err
    assert '"flat"' in told.err
    assert told.out.strip() == str(tmp_path / "out" / "model")
    events = EventAccumulator(str(tmp_path / "out" / "tensorboard"))
    events.Reload()
    log = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    losses = [entry["losses"]["total"] for entry in log if entry["losses"]]
    assert [(e.step, e.value) for e in events.Scalars("loss/total")] == [
        (k, pytest.approx(value)) for k, value in enumerate(losses, start=1)
    ]
    assert [e.step for e in events.Scalars("validation/iou")] == [2]
    assert len(events.Scalars("optimiser/learning_rate")) == 2
    assert (tmp_path / "out" / "curve.png").is_file()
    assert (tmp_path / "out" / "model" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('[data]\ntrain = "{folder}/gone"\n', "gone/annotations.json"),
        ('[data]\nval = "{folder}/gone"\n[[segmentation]]\npath = "{folder}/seg"\n', "[data] val"),
        ('[[segmentation]]\npath = "{folder}/gone.json"\n', "gone.json"),
        ('[[segmentation]]\npath = "{folder}/seg"\nimages = "{folder}/gone"\n', "gone: no such folder"),
        ('[[segmentation]]\npath = "{folder}/seg"\nkind = "yolo"\n', "kind is 'yolo'"),
        ('[[segmentation]]\npath = "{folder}/my.toml"\n', "my.toml"),
        ('[[detection]]\npath = "{folder}/empty"\n', "annotations.json: no photo"),
        ('[[detection]]\npath = "{folder}/far.json"\n', 'with images = "..." in the TOML file'),
    ],
)
def test_data_that_can_not_be_used_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: str, said: str
) -> None:
    data(tmp_path / "seg")
    write(tmp_path / "empty" / "annotations.json", [], [], classes("cat"))
    write(tmp_path / "far.json", [image(1)], [box(1, 1, 1, (5, 6, 30, 30))], classes("cat"))
    assert main(["train", settings(tmp_path, more)]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told
    assert not (tmp_path / "out" / "log.jsonl").exists()


def test_half_precision_needs_a_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data(tmp_path / "seg")
    more = '[machine]\nprecision = "fp16"\ncpu = true\n[[segmentation]]\npath = "{folder}/seg"\n'
    assert main(["train", settings(tmp_path, more)]) == 2
    assert "needs a GPU" in capsys.readouterr().err
