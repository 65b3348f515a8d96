/** Select, move and resize. A click on a box without a mask asks for its mask; pulling at nothing moves the photo. */

import { handleAt, moved, pulled } from '../view/handles.js';
import { annotationsAt } from '../hit.js';

const REACH_PX = 8;
const STILL_PX = 4;

const CURSORS = { nw: 'nwse-resize', se: 'nwse-resize', ne: 'nesw-resize', sw: 'nesw-resize', n: 'ns-resize', s: 'ns-resize', e: 'ew-resize', w: 'ew-resize' };

/** @param {import('../app.js').App} app @returns {import('../app.js').Tool} */
export function selectTool(app) {
  /**
   * @type {{kind: 'pull' | 'move' | 'pan', start: import('../view/pointer.js').Pointer, last: import('../types.js').Point,
   *         handle: import('../view/handles.js').Handle | null, box: import('../types.js').Box | null, isDrag: boolean} | null}
   */
  let press = null;
  /** @type {{id: number | string, box: import('../types.js').Box} | null} the box while it is being changed */
  let preview = null;

  const selectedBox = () => (app.state.get().boxesShown && !app.isReadOnly() ? app.selected()?.box ?? null : null);
  const reach = () => REACH_PX / app.viewport.view.scale;
  const inside = (/** @type {import('../types.js').Box} */ box, /** @type {import('../types.js').Point} */ [x, y]) =>
    x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3];

  return {
    id: 'select',
    editsBoxes: true,
    hint: 'Click selects, a second click takes the one below. Drag the box or its handles; drag beside it to move the photo.',
    cursor: 'default',
    boxOf: (annotation) => (preview && preview.id === annotation.id ? preview.box : null),

    hover({ photo }) {
      const box = selectedBox();
      const handle = box && handleAt(box, photo, reach());
      const hits = annotationsAt(app, photo);
      app.stage.element.style.cursor = handle ? CURSORS[handle.name] : box && inside(box, photo) ? 'move' : hits.length ? 'pointer' : 'default';
      app.state.set({ hoverId: hits[0]?.id ?? null });
    },

    down(pointer) {
      const box = selectedBox();
      const handle = box && handleAt(box, pointer.photo, reach());
      const kind = handle ? 'pull' : box && inside(box, pointer.photo) ? 'move' : 'pan';
      press = { kind, start: pointer, last: pointer.stage, handle, box, isDrag: false };
    },

    drag(pointer) {
      if (!press) return;
      const { start, box, handle, kind } = press;
      const far = Math.hypot(pointer.stage[0] - start.stage[0], pointer.stage[1] - start.stage[1]);
      if (!press.isDrag && far < STILL_PX) return;
      press.isDrag = true;
      const photo = app.state.get().image;
      const selected = app.selected();
      if (kind === 'pan') {
        app.viewport.panBy(pointer.stage[0] - press.last[0], pointer.stage[1] - press.last[1]);
        press.last = pointer.stage;
      } else if (box && photo && selected) {
        const next =
          kind === 'pull' && handle
            ? pulled(box, handle, pointer.photo, photo)
            : moved(box, pointer.photo[0] - start.photo[0], pointer.photo[1] - start.photo[1], photo);
        preview = { id: selected.id, box: next };
        app.stage.invalidate('overlay');
      }
    },

    up(pointer) {
      const was = press;
      press = null;
      const changed = preview;
      preview = null;
      if (was?.isDrag) {
        const selected = app.selected();
        if (changed && selected && was.box && changed.box.some((value, at) => value !== was.box?.[at])) {
          void app.acts.changeBox(selected, changed.box);
        }
        app.stage.invalidate('overlay');
        return;
      }
      const hits = annotationsAt(app, pointer.photo);
      const at = hits.findIndex(({ id }) => id === app.state.get().selectedId);
      const hit = hits[(at + 1) % Math.max(hits.length, 1)];
      app.select(hit?.id ?? null);
      if (hit && !hit.mask && hit.box && !hit.waiting && !app.isReadOnly()) void app.acts.decode(hit);
    },

    cancel() {
      press = null;
      preview = null;
      app.stage.invalidate('overlay');
    },
  };
}
