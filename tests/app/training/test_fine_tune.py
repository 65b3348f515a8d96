"""From accepted annotations to a model that loads, with numbers of before and after; and a joint training by TOML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mini_sets import box, image, masked, photos_beside, write
from PIL import Image

import app.training
from app.cli.main import main
from app.store.acts import Update, commit
from app.store.annotations import annotations_of
from app.store.coco_import import import_coco
from app.store.database import open_database
from app.store.outline import file_names
from app.training.before_after import FEWEST, Measured, as_text, compare, interval, measure
from app.training.data import PhotoSet
from app.training.dataset import Batches
from app.training.fine_tune_settings import plan
from app.training.from_project import project_set
from app.training.photo_crops import readable, records_of
from app.training.settings import SettingsError
from app.training.toml_text import as_toml
from exporters.masks import encode, to_coco
from labelers.rectangle import RectangleLabeler
from openseed_core.config import nano
from openseed_core.model import OpenSeeD
from openseed_core.training.samples import CropSettings

PHOTOS, HEIGHT, WIDTH = 8, 96, 128

TINY = """
[run]
batch = 2
threads = 1
workers = 0
[crops]
size = 64
[photos]
size = 64
segmentation = 1
[joint]
budget = 10
[schedule]
report_every = 1
save_every = 1
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Photos with a bright disc and a bar each, all accepted; dog and cat."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    images: list[Any] = []
    annotations: list[Any] = []
    for k in range(PHOTOS):
        disc = (x - 40 - 3 * k) ** 2 + (y - 40) ** 2 < (18 + k) ** 2
        bar = (x > 85) & (x < 120) & (y > 60) & (y < 72 + k)
        pixels = rng.integers(0, 60, (HEIGHT, WIDTH, 3), np.uint8)
        pixels[disc], pixels[bar] = (220, 200, 40), (40, 90, 230)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{k}.png")
        images.append({"id": k, "file_name": f"{k}.png", "height": HEIGHT, "width": WIDTH})
        for category, mask in ((1, disc), (2, bar)):
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            corners = [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1]
            segmentation = to_coco(encode(mask), form="rle")
            annotations.append(box(len(annotations) + 1, k, category, corners, segmentation=segmentation))
    categories = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
    source = write(tmp_path / "data.json", images, annotations, categories)
    file = tmp_path / "team.openseed.db"
    database = open_database(file)
    try:
        made = import_coco(database, source, images_root=tmp_path / "images", name="team")
        accept(made, range(PHOTOS))
    finally:
        database.close()
    return file


def accept(project: object, photos: range, state: str = "accepted") -> None:
    ids = list(file_names(project))  # type: ignore[arg-type]
    for number in photos:
        rows = annotations_of(project, ids[number])  # type: ignore[arg-type]
        changes = [Update(row.id, row.version, {"state": state}) for row in rows]
        commit(project, changes, actor="ann", kind="accept", image_id=ids[number])  # type: ignore[arg-type]


def set_states(file: Path, photos: range, state: str) -> None:
    from app.store.projects import open_project

    database = open_database(file, create=False)
    try:
        accept(open_project(database), photos, state)
    finally:
        database.close()


def tiny(folder: Path, more: str = "") -> str:
    path = folder / "tiny.toml"
    path.write_text(TINY + more)
    return str(path)


def fine_tune(project: Path, *more: str, steps: int = 2) -> int:
    words = ["train", "--from-project", str(project), "--share", "0.4", "--steps", str(steps), *more]
    return main([*words, "--output", str(project.parent / "out")])


def test_a_project_becomes_a_model_with_numbers(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fine_tune(project, tiny(tmp_path)) == 0
    out = tmp_path / "out"
    text = capsys.readouterr().out
    assert "masks from boxes: mean IoU" in text
    assert "found without boxes: box AP" in text
    assert (out / "report.txt").read_text() in text
    report = json.loads((out / "report.json").read_text())
    assert report["photos"]["train"] + report["photos"]["measured"] == PHOTOS
    assert report["objects"]["measured"] == 2 * report["photos"]["measured"] == report["counts"]["all"]
    assert 0.3 < report["before"]["all"] <= 1
    assert report["low"] <= report["change"] <= report["high"]
    assert report["change"] == pytest.approx(report["after"]["all"] - report["before"]["all"], abs=1e-4)
    assert report["verdict"] == "undecided"
    assert report["photos"]["measured"] < FEWEST
    data = json.loads((out / "data.json").read_text())
    assert not set(data["train"]) & set(data["held"])
    # the model is used as any other one
    command = ["convert-boxes", str(tmp_path / "data.json"), "--images", str(tmp_path / "images"), "--redo", "-q"]
    assert main([*command, "--weights", str(out / "model"), "-o", str(tmp_path / "new.json")]) == 0
    converted = json.loads((tmp_path / "new.json").read_text())
    assert all(a["segmentation"] for a in converted["annotations"])


def test_it_goes_on_where_it_stopped(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.training import stream

    real = stream.Stream.__getitem__

    def stopping(self: stream.Stream, number: int) -> object:
        if number == 2:
            raise KeyboardInterrupt
        return real(self, number)

    settings = tiny(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(stream.Stream, "__getitem__", stopping)
        assert fine_tune(project, settings, steps=3) == 130
    out = tmp_path / "out"
    assert not (out / "report.json").exists()
    assert fine_tune(project, settings, steps=3) == 0
    steps = [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3]
    resumed = torch.load(out / "checkpoints" / "step-0000003.pt", weights_only=True)["model"]
    again = project.parent / "again"
    words = ["train", "--from-project", str(project), "--share", "0.4", "--steps", "3", settings]
    assert main([*words, "--output", str(again)]) == 0
    straight = torch.load(again / "checkpoints" / "step-0000003.pt", weights_only=True)["model"]
    for key, value in straight.items():
        torch.testing.assert_close(resumed[key], value, rtol=0, atol=0)


def test_another_run_in_the_folder_is_not_gone_on_with(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tiny(tmp_path)
    assert fine_tune(project, settings, steps=1) == 0
    assert fine_tune(project, settings, steps=2) == 2
    assert "[schedule] steps was 1, now 2" in capsys.readouterr().err
    data = json.loads((tmp_path / "out" / "data.json").read_text())
    known = {int(Path(key.rpartition(" ")[2]).stem) for key in data["train"]}
    victim = min(known)
    set_states(project, range(victim, victim + 1), "proposed")
    assert fine_tune(project, settings, steps=1) == 2
    assert "other annotations" in capsys.readouterr().err
    foreign = tmp_path / "foreign"
    (foreign / "checkpoints").mkdir(parents=True)
    (foreign / "checkpoints" / "step-0000001.pt").write_bytes(b"")
    assert main(["train", "--from-project", str(project), settings, "--output", str(foreign)]) == 2
    assert "another training is there" in capsys.readouterr().err


def test_too_little_to_learn_from_is_told(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fine_tune(project, "--share", "0.01") == 2
    assert "a larger --share" in capsys.readouterr().err
    assert fine_tune(project, "--share", "0.99") == 2
    assert "a smaller --share" in capsys.readouterr().err
    set_states(project, range(3, PHOTOS), "proposed")
    assert fine_tune(project) == 2
    assert "3 photos with accepted masks; at least 4" in capsys.readouterr().err
    set_states(project, range(3), "proposed")
    assert fine_tune(project) == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--from-project", "none.db"], "none.db"),
        (["--from-project", "PROJECT", "--share", "1.5"], "between 0 and 1"),
        (["--from-project", "PROJECT", "--seed", "-1"], "0 or more"),
        (["--from-project", "PROJECT", "--model", "nanoo"], "nanoo"),
        (["--from-project", "PROJECT", "--weights", "none.safetensors"], "none.safetensors"),
        (["--from-project", "PROJECT", "none.toml"], "none.toml"),
        (["nano.toml", "--steps", "3"], "only makes sense with --from-project"),
        ([], "what is to be trained"),
    ],
)
def test_wrong_options_are_told(
    project: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.parent)
    assert main(["train", *[str(project) if word == "PROJECT" else word for word in words]]) == 2
    assert told in capsys.readouterr().err


def test_own_settings_win_over_the_bundled_and_options_over_both(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[run]\noutput = "mine"\n[schedule]\nsteps = 7\nlr = 1e-5\n[joint.weights]\nl1 = 3.0\n')
    made = plan("team.db", own=own, output=tmp_path / "out", steps=9, init=Path("my.safetensors"))
    assert made.settings.schedule.steps == 9
    assert made.settings.schedule.lr == 1e-5
    assert made.settings.schedule.backbone_lr == 2e-5
    assert made.settings.run.init == Path("my.safetensors")
    assert made.settings.run.output == Path("mine")
    assert made.settings.segmentation == ()
    assert made.settings.joint.weights.l1 == 3.0
    assert plan("team.db", own=own, output=tmp_path / "out", forced=True).settings.run.output == tmp_path / "out"


def test_the_bundled_file_for_whole_photos_names_parts_that_the_embedded_model_has(tmp_path: Path) -> None:
    own = Path(app.training.__file__).with_name("fine_tune_whole.toml")
    settings = plan("team.db", own=own, output=tmp_path).settings
    assert settings.photos.segmentation > 0
    names = [name for name, _ in OpenSeeD(nano(neck=True)).named_parameters()]
    for prefix in settings.schedule.freeze:
        assert any(name.startswith(prefix) for name in names), prefix
    assert [name for name in names if name.startswith("decoder.") and not name.startswith(settings.schedule.freeze)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[schedule]\nlearning = 1\n", "no setting 'learning'"),
        ("[optimizer]\nlr = 1\n", "unknown section"),
        ("[run", "not valid TOML"),
        ("lr = 1\n", "outside of a section"),
        ('[data]\ntrain = "x"\n', "can't be used with --from-project"),
    ],
)
def test_mistakes_in_own_settings_name_the_file(tmp_path: Path, text: str, told: str) -> None:
    own = tmp_path / "own.toml"
    own.write_text(text)
    with pytest.raises((SettingsError, ValueError), match=told) as caught:
        plan("team.db", own=own, output=tmp_path / "out")
    assert str(own) in str(caught.value)


def test_passwords_are_not_written_down(tmp_path: Path) -> None:
    url = "postgresql+psycopg://ann:secret@host/team?passfile=hidden"
    text = as_toml(plan(url, own=None, output=tmp_path).document)
    assert "secret" not in text
    assert "hidden" not in text
    assert "ann:***@host/team" in text


def test_settings_come_back_from_toml() -> None:
    import tomllib

    document = {
        "run": {"output": 'a "quoted" \\ path ü', "batch": 3, "on": True},
        "data": {"source_weights": {"a b": 3.0}, "leave_out": ["x", "y"], "lr": 1e-7, "top": float("inf")},
        "segmentation": [{"path": "a"}, {"path": "b", "weight": 0.5}],
    }
    assert tomllib.loads(as_toml(document)) == document


def test_crops_are_drawn_from_the_project_as_from_memory(project: Path) -> None:
    config = nano()

    def batches(budget: int) -> Batches:
        data = records_of(readable(project_set(project), budget=budget))
        assert data.names == ("dog", "cat")
        return Batches(data, CropSettings(size=64), batch=4, seed=3, mean=config.mean, std=config.std)

    kept, decoded = batches(2**20).make(5), batches(0).make(5)
    assert torch.equal(kept.pixels, decoded.pixels)
    assert torch.equal(kept.masks, decoded.masks)
    assert kept.pixels.std() > 0.1
    assert kept.masks.mean() > 0.05


def test_photos_that_can_not_be_decoded_are_left_out(project: Path) -> None:
    photo = project.parent / "images" / "2.png"
    photo.write_bytes(photo.read_bytes()[:2000])
    data = readable(project_set(project))
    assert len(data.records) == PHOTOS - 1
    assert "2.png" in data.problems[-1]


def _measured(iou: list[float], photo: list[int]) -> Measured:
    areas = np.array([100, 5000, 20000] * len(iou), np.int64)[: len(iou)]
    return Measured(np.array(iou), areas, np.array(photo, np.int64), {})


def test_the_verdict_needs_more_than_chance() -> None:
    photos = [k // 2 for k in range(24)]
    old = _measured([0.5] * 24, photos)
    assert compare(old, _measured([0.6] * 24, photos)).verdict == "better"
    assert compare(old, _measured([0.4] * 24, photos)).verdict == "worse"
    mixed = compare(old, _measured([0.9 if p % 2 else 0.15 for p in photos], photos))
    assert mixed.verdict == "undecided"
    assert mixed.low < 0 < mixed.high
    assert "may be chance" in as_text(mixed)
    few = compare(_measured([0.5] * 4, [0, 0, 1, 1]), _measured([0.9] * 4, [0, 0, 1, 1]))
    assert few.verdict == "undecided"
    assert few.before["small"] == 0.5
    assert few.counts == {"all": 4, "small": 2, "medium": 1, "large": 1}


def test_the_interval_resamples_photos() -> None:
    rng = np.random.default_rng(0)
    per_photo = rng.normal(0, 1, 40)
    values, photo = np.repeat(per_photo, 25), np.repeat(np.arange(40), 25)
    low, high = interval(values, photo)
    expected = 2 * 1.96 * per_photo.std() / np.sqrt(40)
    assert high - low == pytest.approx(expected, rel=0.1)


def test_the_measure_is_the_overlap_with_the_accepted_mask(project: Path) -> None:
    data: PhotoSet = project_set(project)
    found = measure(RectangleLabeler(), data, what="measuring", quiet=True)
    bars = found.iou[1::2]
    np.testing.assert_allclose(bars, 1.0)
    np.testing.assert_allclose(found.iou[::2], np.pi / 4, atol=0.05)
    assert found.boxes == {}
    assert found.photo.tolist() == [k // 2 for k in range(2 * PHOTOS)]


def test_joint_training_by_toml_runs_and_goes_on(tmp_path: Path) -> None:
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "sky", "isthing": 0}]
    rows = [masked(k, k, 1, (5, 6, 30, 30)) for k in (1, 2)]
    rows += [masked(10 + k, k, 2, (0, 0, 60, 5)) for k in (1, 2)]
    first = write(tmp_path / "seg" / "annotations.json", [image(1), image(2)], rows, categories)
    second = write(
        tmp_path / "det" / "annotations.json", [image(1)], [box(1, 1, 1, (5, 6, 30, 30))], [{"id": 1, "name": "bus"}]
    )
    photos_beside(first, 1, 2)
    photos_beside(second, 1)
    settings = tmp_path / "joint.toml"
    text = TINY.replace("[run]", f'[run]\ninit = "nano"\ntensorboard = false\noutput = "{tmp_path / "out"}"')
    text += f'steps = 2\n[data]\ntrain = "{first.parent}"\n'
    text += f'[[segmentation]]\npath = "{first.parent}"\n[[detection]]\npath = "{second.parent}"\n'
    settings.write_text(text)
    assert main(["train", str(settings)]) == 0
    log = tmp_path / "out" / "log.jsonl"
    losses = json.loads(log.read_text().splitlines()[-1])["losses"]
    assert {name.partition("/")[0] for name in losses} == {"crops", "segmentation", "detection", "total"}
    assert all(np.isfinite(value) for value in losses.values())
    settings.write_text(text.replace("steps = 2", "steps = 3"))
    assert main(["train", str(settings)]) == 0
    assert [json.loads(line)["step"] for line in log.read_text().splitlines()] == [1, 2, 3]
    assert (tmp_path / "out" / "model" / "model.safetensors").is_file()
