"""The page: one canvas to label on, the project's tables, and help. Gradio draws the frame; the canvas is ours.

The canvas talks to the REST routes (``app.ui.routes``); what is done on the other tabs goes through the same
functions of the store, in the name of whoever is signed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from app.store.projects import Project
from app.ui.project_tab import project_tab

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.serving.loading import ModelState

MOUNT_CANVAS = """
const place = element.querySelector('.os-mount');
import('/static/canvas/main.js')
  .then((canvas) => canvas.mount(place))
  .catch((error) => { place.textContent = 'The canvas could not be loaded: ' + error.message; });
"""

SHOW_KEYS = """
const place = element.querySelector('.os-keys');
import('/static/canvas/panels/help.js').then((help) => place.replaceChildren(help.keyTable()));
"""

HELP = """
## In a minute

1. **B**, then drag a box around an object. Its mask appears at once. A box that is already there gets its mask when
   you click it.
2. Wrong class? Press a **number**, or **C** and type. The class is the text that the model reads: another class may
   give another mask.
3. Something missing, something too much? **I** and click what is missing, **X** and click what is too much. **D** is
   a brush, **E** an eraser.
4. **A** accepts and goes on, **R** rejects, **W** says that it needs work. After the last object the next photo opens.
5. **Ctrl Z** takes anything back, also what you did yesterday. Everything is saved as you do it.

Press **?** on the photo for all keys.
"""

HEAD = '<link rel="stylesheet" href="/static/canvas/css/page.css">'


def build_page(project: Project, *, model: Callable[[], ModelState]) -> gr.Blocks:
    """The Gradio page of one project, to be mounted behind the guard.

    Args:
        model: what annotators are told of the model now.
    """
    title = f"{project.name} - openseed-label"
    with gr.Blocks(title=title, fill_width=True, analytics_enabled=False) as page, gr.Tabs(elem_id="os-tabs"):
        with gr.Tab("Label", id="label"):
            gr.HTML(
                html_template='<div class="os-mount">Loading…</div>',
                js_on_load=MOUNT_CANVAS,
                apply_default_css=False,
                elem_id="os-canvas",
            )
        project_tab(project, model)
        with gr.Tab("Help", id="help"):
            gr.Markdown(HELP, elem_classes="os-page")
            gr.HTML(
                html_template='<div class="os-keys"></div>',
                js_on_load=SHOW_KEYS,
                apply_default_css=False,
                elem_classes="os-page",
            )
    return page


def mount_options() -> dict[str, Any]:
    """What ``gradio.mount_gradio_app`` needs for the look: no fonts from other people's servers, our style sheet."""
    fonts = ["system-ui", "-apple-system", "Segoe UI", "DejaVu Sans", "sans-serif"]
    theme = gr.themes.Base(
        primary_hue="blue", neutral_hue="zinc", font=fonts, font_mono=["ui-monospace", "monospace"], text_size="sm"
    )
    return {"theme": theme, "head": HEAD}
