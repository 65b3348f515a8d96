"""The tab about the project as a whole: how far it is, its classes, the way in and out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app.serving.loading import ModelState
from app.store.coco_import import merge_coco
from app.store.errors import StoreError
from app.store.progress import Progress, progress
from app.store.projects import Project, add_category, categories, set_colour, set_synonyms
from app.store.records import PENDING, CategoryRecord, State
from app.ui.errors import told
from exporters.coco import CocoError
from exporters.formats import FORMATS, available

EXPORTED = [state.value for state in State if state is not State.REJECTED]

DOWNLOAD = """
(states, provenance) => {
  const wanted = new URLSearchParams(states.map((state) => ['states', state]));
  wanted.set('provenance', provenance ? '1' : '0');
  if (states.length) location.assign(`/api/export.json?${wanted}`);
}
"""
"""The export is a route: a callback would leave a copy of it in Gradio's folder of temporary files."""


ZIP = """
async (states, format, photos) => {
  if (!states.length) return 'Choose which annotations.';
  const wanted = new URLSearchParams(states.map((state) => ['states', state]));
  wanted.set('format', format);
  wanted.set('photos', photos ? '1' : '0');
  let answer;
  try {
    answer = await fetch(`/api/export.zip?${wanted}`, { headers: { Accept: 'application/json' } });
    if (answer.ok) {
      const link = document.createElement('a');
      link.href = URL.createObjectURL(await answer.blob());
      const named = /filename="([^"]+)"/.exec(answer.headers.get('Content-Disposition') ?? '');
      link.download = named ? named[1] : `${format}.zip`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60000);
      return `${link.download} was made.`;
    }
  } catch {
    return 'The zip did not arrive: the server can\u2019t be reached.';
  }
  const told = await answer.json().catch(() => null);
  return `No zip was made: ${told?.error?.message ?? `the server answered ${answer.status}`}`;
}
"""
"""Not a plain link: the browser would say of an error only that the download failed."""


def project_tab(project: Project, model: Callable[[], ModelState]) -> None:
    """Build the tab inside the Blocks that are being made."""
    with gr.Tab("Project", id="project") as tab, gr.Column(elem_classes="os-page"):
        summary = gr.Markdown(elem_id="os-summary")
        with gr.Row():
            people = _table(["Annotator", "Accepted", "Rejected", "Needs work", "Other changes"], "By annotator")
            classes = _table(["Class", "All", "Accepted", "To do"], "By class")
        gr.Markdown(
            "### Classes\nWords are what the model reads for the class; put `|` between several. Empty: its name."
        )
        table = gr.Dataframe(
            headers=["Id", "Class", "Colour", "Words"],
            datatype=["number", "str", "str", "str"],
            static_columns=[0, 1],
            interactive=True,
            column_widths=["8%", "30%", "12%", "50%"],
            show_label=False,
            max_height=320,
            elem_id="os-classes",
        )
        with gr.Row():
            name = gr.Textbox(label="New class", max_lines=1, scale=3, elem_id="os-new-class")
            add = gr.Button("Add class", scale=1)
            save = gr.Button("Save classes", variant="primary", scale=1)
        with gr.Row():
            with gr.Column():
                gr.Markdown("### Export COCO")
                states = gr.CheckboxGroup(
                    [*EXPORTED, State.REJECTED.value], value=EXPORTED, label="Annotations that are"
                )
                provenance = gr.Checkbox(True, label="With author, quality and state of each annotation")
                export = gr.Button("Download COCO file", variant="primary", elem_id="os-export")
                gr.Markdown("### Export another format\nA zip; its `NOTES.txt` says what the format could not hold.")
                wanted = gr.Dropdown(_formats(), value="yolo-segment", label="Format", elem_id="os-format")
                photos = gr.Checkbox(False, label="With the photos")
                pack = gr.Button("Download zip", elem_id="os-export-zip")
                packed = gr.Textbox(
                    label="What came of it",
                    show_label=False,
                    container=False,
                    interactive=False,
                    max_lines=6,
                    elem_id="os-export-told",
                )
            with gr.Column():
                gr.Markdown(
                    "### Import COCO\nAdds what is not here yet: photos, classes, annotations. Changes nothing."
                )
                upload = gr.File(label="COCO file", file_types=[".json"], height=120, elem_id="os-import")
                outcome = gr.Markdown()

    def show() -> tuple[Any, ...]:
        return _shown(project, model)

    shown = [summary, people, classes, table]
    tab.select(show, None, shown, show_progress="hidden")
    export.click(None, [states, provenance], None, js=DOWNLOAD)
    pack.click(None, [states, wanted, photos], [packed], js=ZIP)

    def add_class(text: str, request: gr.Request) -> tuple[Any, ...]:
        with _Told(project):
            add_category(project, text.strip(), actor=_actor(request))
        return ("", *show())

    def save_table(rows: Any) -> tuple[Any, ...]:
        with _Told(project):
            changed = save_classes(project, rows.values.tolist())
        gr.Info(f"{changed} changed." if changed else "Nothing to change.")
        return show()

    def import_upload(file: str) -> tuple[Any, ...]:
        with _Told(project):
            text = import_file(project, Path(file))
        return (None, text, *show())

    gr.on([add.click, name.submit], add_class, [name], [name, *shown])
    save.click(save_table, [table], shown)
    upload.upload(import_upload, [upload], [upload, outcome, *shown])


def _formats() -> list[tuple[str, str]]:
    """What the list shows, and the name of the format."""
    return [(f"{name}: {FORMATS[name].line}", name) for name in available()]


def save_classes(project: Project, rows: list[list[Any]]) -> int:
    """Store the colours and words of an edited table; gives the number of classes that were changed.

    Args:
        rows: id, name (not read), ``#rrggbb``, words with ``|`` between them.

    Raises:
        StoreError: no such class, not a colour, too many words.
    """
    known: dict[int | None, CategoryRecord] = {category.id: category for category in categories(project)}
    changed = 0
    for row in rows:
        colour, text = str(row[2]).strip().lower(), str(row[3] or "")
        words = tuple(word.strip() for word in text.split("|") if word.strip())
        category = known.get(_id_of(row[0]))
        if category is None:
            raise StoreError(f"there is no class with the id {str(row[0])[:20]!r}; new ones are added below the table")
        category_id = category.id
        if colour != category.colour:
            set_colour(project, category_id, colour)
        if words != category.synonyms:
            set_synonyms(project, category_id, words)
        changed += colour != category.colour or words != category.synonyms
    return changed


def _id_of(cell: Any) -> int | None:
    """A row that was added to the table has no id, and makes floats of the others."""
    try:
        number = float(cell)
    except (TypeError, ValueError):
        return None
    return int(number) if number.is_integer() else None


def import_file(project: Project, file: Path) -> str:
    """Merge an uploaded COCO file, remove the upload, and say what came of it (Markdown).

    Raises:
        CocoError, StoreError: nothing was imported.
    """
    notes: list[str] = []
    try:
        merged = merge_coco(project, file, on_note=notes.append)
    finally:
        file.unlink(missing_ok=True)
    lines = [f"Added {merged.images} photos, {merged.categories} classes, {merged.annotations} annotations."]
    lines += [f"- {escape(note)}" for note in notes[:20]]
    if len(notes) > 20:
        lines.append(f"- and {len(notes) - 20} more remarks")
    return "\n".join(lines)


def _shown(project: Project, model: Callable[[], ModelState]) -> tuple[Any, ...]:
    """Summary, annotators, classes, and the editable table, as the components want them."""
    found = progress(project)
    people = [[one.name, one.accepted, one.rejected, one.needs_work, one.edited] for one in found.annotators]
    classes = [
        [one.name, sum(one.states.values()), one.states[State.ACCEPTED], sum(one.states[state] for state in PENDING)]
        for one in found.classes
    ]
    editable = [
        [category.id, category.name, category.colour, " | ".join(category.synonyms)] for category in categories(project)
    ]
    return (_summary(project, found, model()), people, classes, editable)


def _summary(project: Project, found: Progress, model: ModelState) -> str:
    """Markdown; names are the user's, so that they must not become markup."""
    states = ", ".join(f"{number:,} {state.value}" for state, number in found.states.items())
    told = f"{model.name} is {model.state}" + (f": {model.message}" if model.message else "")
    return (
        f"## {_plain(project.name)}\n\n**{found.images_done:,} of {found.images:,} photos done.** "
        f"Annotations: {states}. Model: {_plain(told)}."
    )


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]()#+-.!|~$" else escape(letter) for letter in text)


def _table(headers: list[str], label: str) -> gr.Dataframe:
    return gr.Dataframe(headers=headers, label=label, interactive=False, max_height=260)


def _actor(request: gr.Request) -> str:
    """Who is signed in. The guard lets nobody in without a name."""
    return str(request.username)


@dataclass(frozen=True)
class _Told:
    """What the store refuses becomes a message on the page."""

    project: Project

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, StoreError | CocoError):
            raise gr.Error(escape(told(error, self.project)), print_exception=False) from error
