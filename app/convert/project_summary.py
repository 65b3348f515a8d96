"""What a conversion of a project did, in the words and counts of a conversion of a file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from app.convert.plan import State
from app.convert.project_plan import ProjectPlan
from app.convert.summary import GOOD, Problem, Summary
from labelers.protocol import LabelerSpec


@dataclass
class Book:
    """What became of the annotations, by database id, while a conversion runs.

    ``scores`` are those of new masks. ``photos`` are done; ``notes`` and ``mismatched`` are by photo.
    """

    state: dict[int, State] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)
    scores: list[float] = field(default_factory=list)
    photos: set[int] = field(default_factory=set)
    notes: dict[int, str] = field(default_factory=dict)
    mismatched: set[int] = field(default_factory=set)

    def note(self, annotation_id: int, state: State, reason: str) -> None:
        self.state[annotation_id] = state
        if state is State.CONVERTED:
            self.reasons.pop(annotation_id, None)
        else:
            self.reasons[annotation_id] = reason or state.name.lower()


def summarise(plan: ProjectPlan, book: Book, *, spec: LabelerSpec | None, resumed: int) -> Summary:
    """Counts over all annotations that are neither rejected nor deleted."""
    states = Counter(book.state.get(row.id, State(state)) for row, state in zip(plan.rows, plan.state, strict=True))
    states[State.NO_IMAGE] += len(plan.lost)
    problems, unreadable = [], set()
    for row, planned in zip(plan.rows, plan.state.tolist(), strict=True):
        state = book.state.get(row.id, State(planned))
        if state in GOOD:
            continue
        file = plan.files[row.image_id]
        if state is State.NO_PHOTO:
            if file in unreadable:
                continue
            unreadable.add(file)
        reason = book.reasons.get(row.id, "the file has no box with an area for it")
        name = row.source_key or f"#{row.id}"
        problems.append(
            Problem(annotation=name, image=repr(file), file=file, outcome=state.name.lower(), reason=reason)
        )
    problems += [
        Problem(
            annotation=key, image=None, file=None, outcome="no_image", reason="its image_id is not in the file's images"
        )
        for key in plan.lost
    ]
    notes = {image_id: f"photo {plan.files[image_id]!r}: {text}" for image_id, text in book.notes.items()}
    place = f"project {plan.project.name!r} in {plan.project.database.url}"
    return Summary(
        source=place,
        output=place if spec else None,
        report=None,
        labeler=(spec.name, spec.version) if spec else None,
        annotations={state.name.lower(): states[state] for state in State if states[state]},
        photos={
            "in_file": len(plan.files),
            "asked": len(plan.todo) + resumed,
            "unreadable": len(unreadable),
            "resumed": resumed,
        },
        mean_score=round(float(np.array(book.scores, np.float32).mean()), 4) if book.scores else None,
        problems=tuple(problems),
        mismatches=tuple(text for image_id, text in notes.items() if image_id in book.mismatched),
        notes=(*plan.notes, *(text for image_id, text in notes.items() if image_id not in book.mismatched)),
    )
