/** Boxes moved by keys. Many small steps become one act, once the keys rest. */

import { moved } from './view/handles.js';

const REST_MS = 450;

/** @param {import('./app.js').App} app */
export function createNudge(app) {
  let timer = 0;
  /** @type {{id: number | string, box: import('./types.js').Box} | null} */
  let pending = null;

  /** @param {(box: import('./types.js').Box, photo: {width: number, height: number}) => import('./types.js').Box} change */
  function shift(change) {
    const selected = app.selected();
    const { image, annotations } = app.state.get();
    if (!selected?.box || !image || !app.mayWrite()) return;
    if (pending && pending.id !== selected.id) flush();
    const box = change(selected.box, image);
    pending = { id: selected.id, box };
    // Shown at once; the mask follows when the keys rest.
    app.state.set({ annotations: annotations.map((one) => (one === selected ? { ...one, box, waiting: true } : one)) });
    clearTimeout(timer);
    timer = setTimeout(flush, REST_MS);
  }

  function flush() {
    clearTimeout(timer);
    const done = pending;
    pending = null;
    const annotation = done && app.state.get().annotations.find(({ id }) => id === done.id);
    if (done && annotation) void app.acts.changeBox(annotation, done.box);
  }

  const stepOf = (/** @type {string} */ key) => [
    Number(key.endsWith('Right')) - Number(key.endsWith('Left')),
    Number(key.endsWith('Down')) - Number(key.endsWith('Up')),
  ];

  return {
    flush,
    move(/** @type {string} */ key) {
      const [dx, dy] = stepOf(key);
      shift((box, photo) => moved(box, dx, dy, photo));
    },
    stretch(/** @type {string} */ key) {
      const [dx, dy] = stepOf(key);
      shift((box, photo) => [
        box[0],
        box[1],
        Math.min(Math.max(box[2] + dx, box[0] + 1), photo.width),
        Math.min(Math.max(box[3] + dy, box[1] + 1), photo.height),
      ]);
    },
  };
}
