"""``openseed-label``: finds the command, runs it, turns errors into exit codes.

Exit codes: 0 all done; 1 done, but some items could not be (they are listed); 2 the input or the options
are wrong (one message, no traceback); 130 interrupted (what is finished is kept).

A command is a module with ``add_arguments(parser)`` and ``run(args) -> int``. It is imported only when it
is asked for, and imports heavy things only inside ``run``, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from app.version import version


@dataclass(frozen=True)
class Command:
    """Where a command lives and what the overview says of it."""

    module: str
    line: str
    examples: str


COMMANDS = {
    "convert-boxes": Command(
        "app.cli.convert_boxes",
        "turn the boxes of a COCO file into masks",
        """\
  openseed-label convert-boxes dataset.json
  openseed-label convert-boxes annotations/train.json --images images/train -o train.masks.json
  openseed-label convert-boxes dataset.json --categories "person,traffic light" --report report.html
  openseed-label convert-boxes detections.json --images-json val.json --images val2017
  openseed-label convert-boxes dataset.json --prompt "tv=television | computer monitor" --dry-run
  openseed-label convert-boxes dataset.json -o project.db""",
    ),
    "propose": Command(
        "app.cli.propose",
        "find objects and regions without boxes, or names for boxes",
        """\
  openseed-label propose photos/ --vocab "person, traffic light, sky (stuff)"
  openseed-label propose photos/ labels --vocab coco-133 --tasks instances,panoptic,semantic
  openseed-label propose photos/ --vocab classes.txt --thresholds "person=0.5, sky=0.3" --report report.html
  openseed-label propose dataset.json more --images photos/ --max 20
  openseed-label propose dataset.json names --for-boxes""",
    ),
    "convert": Command(
        "app.cli.convert",
        "a dataset into another format: COCO, YOLO, VOC, CVAT, Label Studio and others",
        """\
  openseed-label convert dataset.json yolo --to yolo-segment --images photos/ --copy-images link
  openseed-label convert export.zip dataset.json --to coco
  openseed-label convert dataset.json voc --to voc --dry-run     only say what would be lost
  openseed-label convert dataset.json out --to labelme --strict  refuse if anything would""",
    ),
    "split": Command(
        "app.cli.split",
        "a dataset into train, val and test: by class, groups kept together",
        """\
  openseed-label split dataset.json parts --ratios train=0.8,val=0.1,test=0.1
  openseed-label split dataset.json yolo --to yolo-segment --images photos/ --group folder --group lookalike""",
    ),
    "stats": Command(
        "app.cli.stats",
        "classes, sizes, mask quality and problems of a dataset, with plots",
        """\
  openseed-label stats dataset.json
  openseed-label stats yolo/data.yaml --html stats.html --plot stats.png""",
    ),
    "check": Command(
        "app.cli.check",
        "what is wrong with a dataset, and how to fix it",
        """\
  openseed-label check dataset.json --images photos/
  openseed-label check yolo/ --json""",
    ),
    "example": Command(
        "app.cli.example",
        "copy the bundled photos and boxes into a folder and convert them",
        """\
  openseed-label example
  openseed-label example my-folder --labeler grabcut""",
    ),
    "ui": Command(
        "app.cli.ui",
        "label in the browser: click boxes, fix masks, accept",
        """\
  openseed-label ui dataset.json --images photos/
  openseed-label ui photos/ --names "person,car"
  openseed-label ui dataset.openseed.db --annotator ana
  OPENSEED_LABEL_PASSWORD=... openseed-label ui --database postgresql+psycopg://label@db/label --host 0.0.0.0""",
    ),
    "label-studio": Command(
        "app.cli.label_studio",
        "ML backend for Label Studio, and its JSON from and to COCO",
        """\
  openseed-label label-studio --port 9090
  openseed-label label-studio push --project 7 --label-studio http://localhost:8080
  openseed-label label-studio export dataset.json --url-prefix https://photos.example/
  openseed-label label-studio import project-7.json --base dataset.json -o corrected.json""",
    ),
    "doctor": Command(
        "app.cli.doctor",
        "say what is wrong with the set-up here and in Label Studio",
        """\
  openseed-label doctor
  openseed-label doctor --label-studio http://localhost:8080 --project 7 --backend http://localhost:9090""",
    ),
    "evaluate": Command(
        "app.cli.evaluate",
        "measure masks, boxes and maps against the truth in a dataset",
        """\
  openseed-label evaluate val.json --images val2017 --protocol boxes
  openseed-label evaluate val.json --images val2017 --protocol instance
  openseed-label evaluate --suite ade20k --root ADEChallengeData2016 --model swin-t
  openseed-label evaluate val.json --labeler conditioned,rectangle,grabcut --limit 100 --plot iou.png""",
    ),
    "project": Command(
        "app.cli.project",
        "datasets into projects and back, progress, accounts",
        """\
  openseed-label project import dataset.json --images photos/
  openseed-label project import photos/ --names "person,car"
  openseed-label project status dataset.openseed.db
  openseed-label project export dataset.openseed.db -o labelled.json
  openseed-label project add-user accounts.txt ann""",
    ),
    "assist": Command(
        "app.cli.assist",
        "write masks for a boxes-only COCO file with a model, to train on",
        """\
  openseed-label assist detection.json --images photos/
  openseed-label assist detection.json --weights my-model.safetensors --min-quality 0.7 -o detection.assisted.json""",
    ),
    "models": Command(
        "app.cli.models",
        "list, fetch, convert and verify model weights",
        """\
  openseed-label models list
  openseed-label models fetch swin-t
  openseed-label models convert model_state_dict.pt -o my-model""",
    ),
    "train": Command(
        "app.cli.train",
        "train a model from a TOML file, or go on with a run",
        """\
  openseed-label train nano.toml     reproduce the embedded model (bundled settings)
  openseed-label train my.toml       your own settings; interrupt it, run it again, it goes on
  openseed-label train --from-project dataset.openseed.db --output better
  openseed-label train --from-project dataset.openseed.db fine_tune_whole.toml     to find things without boxes too""",
    ),
}

# The overview shows the commands in these groups; one that is in none comes last.
GROUPS = {
    "label": ("convert-boxes", "propose", "ui", "label-studio", "project"),
    "data sets": ("convert", "split", "stats", "check"),
    "models": ("evaluate", "assist", "train", "models"),
    "help": ("example", "doctor"),
}

# Errors that are the user's to fix. By name, because importing their modules just to name them would be slow.
USER_ERRORS = (
    ("app.errors", "UsageError"),
    ("app.label_studio.client", "LabelStudioError"),
    ("app.label_studio.config", "ConfigError"),
    ("app.serving.loading", "ModelFailed"),
    ("app.store.errors", "StoreError"),
    ("app.training.settings", "SettingsError"),
    ("app.ui.passwords", "PasswordError"),
    ("exporters.coco", "CocoError"),
    ("exporters.dataset", "FormatError"),
    ("labelers.build", "UnknownDevice"),
    ("labelers.journal", "JournalError"),
    ("labelers.photos", "PhotoError"),
    ("labelers.vocabulary", "VocabularyError"),
    ("openseed_core.runtimes.errors", "RuntimeUnavailable"),
    ("openseed_core.training.engine", "TrainingDiverged"),
    ("openseed_core.weights.errors", "WeightsError"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line. Returns the exit code; argparse may raise SystemExit (0 for help, 2 for misuse)."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = words[0] if words else ""
    try:
        if name in COMMANDS:
            return _run(name, words[1:])
        return _overview(words)
    except KeyboardInterrupt:
        again = "the same command again, without --overwrite," if "--overwrite" in words else "the same command again"
        print(f"\nInterrupted. Finished work is kept: run {again} to go on.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away (`| head`); flushing at exit must not fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"openseed-label {name}: {_os_message(error)}", file=sys.stderr)
        return 2
    except Exception as error:
        if not isinstance(error, _user_errors()):
            raise
        print(f"openseed-label {name}: {error}", file=sys.stderr)
        return 2


def _run(name: str, words: list[str]) -> int:
    command = COMMANDS[name]
    try:
        module = importlib.import_module(command.module)
    except ModuleNotFoundError as error:
        if error.name != command.module:
            raise
        print(f"openseed-label {name}: this build does not have the command yet", file=sys.stderr)
        return 2
    parser = argparse.ArgumentParser(
        prog=f"openseed-label {name}",
        description=f"{command.line[0].upper()}{command.line[1:]}.",
        epilog=f"examples:\n{command.examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    code: int = module.run(parser.parse_args(words))
    return code


def _overview(words: list[str]) -> int:
    """``openseed-label`` without a command: --help, --version, or a word that is no command."""
    parser = argparse.ArgumentParser(
        prog="openseed-label",
        usage="openseed-label [-h] [--version] COMMAND ...",
        description="Turn detection boxes and class names into masks, offline.",
        epilog=f"{_listing()}\n\nfirst steps:\n  openseed-label example\n"
        "  openseed-label convert-boxes dataset.json --images photos/\n\n"
        "`openseed-label COMMAND --help` shows the options of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"openseed-label {version()}")
    _, rest = parser.parse_known_args(words)
    if not rest:
        parser.print_help(sys.stderr)
        return 2
    near = difflib.get_close_matches(rest[0], COMMANDS, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of: {', '.join(COMMANDS)}"
    return parser.error(f"there is no command {rest[0]!r}; {hint}")


def _listing() -> str:
    width = max(map(len, COMMANDS))
    grouped = {name for names in GROUPS.values() for name in names}
    groups = {**GROUPS, "more": tuple(name for name in COMMANDS if name not in grouped)}
    return "\n\n".join(
        f"{title}:\n" + "\n".join(f"  {name:<{width}}  {COMMANDS[name].line}" for name in names)
        for title, names in groups.items()
        if names
    )


def _user_errors() -> tuple[type[BaseException], ...]:
    """The classes of USER_ERRORS whose modules are loaded: an error can't come from one that is not."""
    found = (getattr(sys.modules.get(module), name, None) for module, name in USER_ERRORS)
    return tuple(kind for kind in found if kind is not None)


def _os_message(error: OSError) -> str:
    if error.filename is None:
        return str(error)
    remedy = {
        FileNotFoundError: "no such file or folder; check the path",
        PermissionError: "not allowed to read or write it; check its permissions",
        IsADirectoryError: "it is a folder; a file is needed",
        NotADirectoryError: "it is not a folder",
        FileExistsError: "it exists already",
    }.get(type(error), error.strerror or "the system could not read or write it")
    return f"{error.filename}: {remedy}"


if __name__ == "__main__":
    sys.exit(main())
