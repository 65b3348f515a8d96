/** The polygon view of the selected mask: how it would be exported, with how many points, and how true that is. */

const PAUSE_MS = 70;

/** @param {import('./app.js').App} app */
export function createPolygonView(app) {
  const { state, api } = app;
  let timer = 0;
  let asked = 0;
  /** @type {number | string | null} */
  let shownFor = null;
  let shownVersion = 0;

  /** @param {import('./types.js').Annotation} annotation @param {number} simplify */
  async function ask(annotation, simplify) {
    const ticket = (asked += 1);
    try {
      const answer = await api.get(`annotations/${annotation.id}/polygon?simplify=${simplify}`);
      if (ticket !== asked || state.get().selectedId !== annotation.id || !state.get().polygonOn) return;
      const rings = answer.polygons.map((/** @type {any} */ ring) => ({ points: ring.points ?? ring, hole: Boolean(ring.hole) }));
      shownFor = annotation.id;
      shownVersion = annotation.version;
      state.set({ polygon: { rings, points: answer.points, iou: answer.iou, simplify } });
    } catch (error) {
      app.toast(error instanceof Error ? error.message : String(error), { kind: 'error' });
    }
  }

  state.on(['selectedId', 'annotations', 'polygonOn'], () => {
    const selected = app.selected();
    if (!state.get().polygonOn || !selected?.mask || typeof selected.id !== 'number') {
      asked += 1;
      shownFor = null;
      state.set({ polygon: null });
    } else if (selected.id !== shownFor || selected.version !== shownVersion) void ask(selected, selected.simplify);
  });

  return {
    toggle() {
      if (!state.get().polygonOn && !app.selected()?.mask) {
        app.toast('Select an object with a mask to see its polygon.');
        return;
      }
      state.set({ polygonOn: !state.get().polygonOn });
    },
    /** While the slider moves. @param {number} simplify */
    preview(simplify) {
      const selected = app.selected();
      const { polygon } = state.get();
      if (!selected || !polygon) return;
      state.set({ polygon: { ...polygon, simplify } });
      clearTimeout(timer);
      timer = setTimeout(() => ask(selected, simplify), PAUSE_MS);
    },
    /** When it is let go. @param {number} simplify @param {'auto' | 'polygon' | 'rle'} [form] */
    keep(simplify, form) {
      const selected = app.selected();
      if (!selected || !app.mayWrite()) return;
      void app.acts.setForm(selected, form ?? selected.form, simplify);
    },
  };
}
