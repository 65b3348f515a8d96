"""The whole way of one run of ``propose``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from app.convert.conversion import labeler_of
from app.convert.digest import sha256
from app.convert.plan import folder_text
from app.convert.progress import bar
from app.errors import UsageError
from app.propose.asking import Answerer, LocalAnswerer, unfinished
from app.propose.classes import of_categories, read_vocabulary
from app.propose.settings import JOURNALLED, Settings
from app.propose.sources import Source, open_source
from app.propose.summary import Summary, summarise
from app.propose.write import OUTPUTS, Run, write_all
from labelers.journal import Journal, journal_path
from labelers.protocol import Labeler, LabelerSpec
from labelers.vocabulary import Vocabulary


def propose(
    settings: Settings,
    *,
    labeler: Labeler | None = None,
    make: Callable[[], Labeler] | None = None,
    quiet: bool = True,
) -> Summary:
    """Find what the classes name on all photos, or go on with a run that was interrupted.

    ``labeler`` replaces the one that the settings name, and this process works; ``make`` makes another one wherever the
    settings' engine works. Raises UsageError, CocoError, VocabularyError, JournalError
    and OSError; what this or an earlier run has finished is kept whatever is raised.
    """
    refuse_to_lose(settings, [OUTPUTS[task] for task in settings.tasks])
    with closing(open_source(settings)) as source:
        vocabulary = vocabulary_of(settings, source)
        with (
            closing(
                _answerer(settings, source, vocabulary, labeler, make or partial(labeler_of, settings))
            ) as answerer,
            open_journal(settings, source, _able(answerer.spec, settings), vocabulary) as journal,
        ):
            spec = answerer.spec
            waiting = unfinished(source.items, journal)
            resumed = len(source.items) - len(waiting)
            with bar(total=len(source.items), done=resumed, unit="photos", what="proposing", quiet=quiet) as progress:
                answerer.answer(waiting, journal, on_photo=progress.update)
            answerer.close()  # others may have the devices while the outputs are written
            run = Run(settings, source, journal, vocabulary, spec)
            outputs = [str(path) for path in write_all(run)]
            if settings.report is not None:
                from app.propose.preview import write_preview

                write_preview(settings.report, run, summarise(run, outputs, resumed=resumed))
                outputs.append(str(settings.report))
            summary = summarise(run, outputs, resumed=resumed)
            journal.remove()
    return summary


def vocabulary_of(settings: Settings, source: Source) -> Vocabulary:
    """``--vocab``, or the classes of the COCO file, with prompts and thresholds. Raises UsageError, VocabularyError."""
    import json

    if settings.vocabulary is not None:
        found = read_vocabulary(settings.vocabulary)
    elif source.document is None:
        raise UsageError('what is to be found? Give classes: --vocab "person, traffic light, sky (stuff)"')
    else:
        document = source.document
        parsed = [json.loads(document.category_text(category.row)) for category in document.categories]
        found = of_categories(one for one in parsed if isinstance(one, dict))
        if not found.entries:
            raise UsageError(f"{settings.source} has no categories; give classes with --vocab")
    for text in settings.prompts:
        name = text.partition("=")[0].strip()
        if "=" not in text or found.get(name) is None:
            raise UsageError(f'--prompt {text!r}: write "class=text", with a class of the vocabulary')
    return found.with_prompts(settings.prompts).with_thresholds(settings.threshold, settings.thresholds)


def _answerer(
    settings: Settings,
    source: Source,
    vocabulary: Vocabulary,
    labeler: Labeler | None,
    make: Callable[[], Labeler],
) -> Answerer:
    """Who works through the photos. Raises UsageError and what building the labeler raises."""
    if labeler is not None or settings.engine == "local":
        return LocalAnswerer(labeler or make(), source, vocabulary, settings)
    from app.propose.ray_asking import RayAnswerer

    return RayAnswerer(source, vocabulary, settings, make)


def _able(spec: LabelerSpec, settings: Settings) -> LabelerSpec:
    check_able(spec, settings)
    return spec


def check_able(spec: LabelerSpec, settings: Settings) -> None:
    """Raises UsageError: this labeler needs boxes."""
    if not spec.makes_boxes:
        raise UsageError(
            f"the labeler {spec.name} {spec.version} can't find objects by itself; choose one that can "
            "(--labeler conditioned, with a --model that was trained for it: see `openseed-label models list`)"
        )


def refuse_to_lose(settings: Settings, outputs: list[str]) -> None:
    """Never replace what somebody may have worked on since. Raises UsageError.

    An unfinished run leaves its journal: then the outputs, if there are any, are that run's own.
    """
    if settings.overwrite or journal_path(settings.output / JOURNALLED).exists():
        return
    there = [name for name in outputs if (settings.output / name).exists()]
    if there:
        raise UsageError(
            f"{settings.output / there[0]} exists already; use --overwrite to start over, or give another folder"
        )


def open_journal(settings: Settings, source: Source, spec: LabelerSpec, vocabulary: Vocabulary) -> Journal:
    """The journal of the output folder, which is made. Raises JournalError, OSError."""
    settings.output.mkdir(exist_ok=True)
    fingerprint = {
        "labeler": spec.name,
        "version": spec.version,
        **settings.fingerprint(),
        "classes": [[e.name, list(e.prompts), e.stuff, e.threshold] for e in vocabulary.entries],
        "input": None if source.document is None else sha256(Path(source.document.path)),
        # relative, so that both may be moved together
        "images": folder_text(source.root, settings.output),
    }
    return Journal.open(
        journal_path(settings.output / JOURNALLED), fingerprint=fingerprint, overwrite=settings.overwrite
    )
