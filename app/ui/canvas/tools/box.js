/** Draw a box; its mask comes at once. */

import { spanned } from '../view/handles.js';

const SMALLEST_PX = 2; // photo pixels: less is a slip of the hand

/** @param {import('../app.js').App} app @returns {import('../app.js').Tool} */
export function boxTool(app) {
  /** @type {import('../types.js').Point | null} */
  let start = null;
  /** @type {import('../types.js').Point | null} */
  let at = null;

  const box = () => {
    const photo = app.state.get().image;
    return start && at && photo ? spanned(start, at, photo) : null;
  };

  return {
    id: 'box',
    hint: 'Drag a box around one object. The mask follows at once. Number keys choose the class.',
    cursor: 'crosshair',
    hover({ photo }) {
      at = photo;
      app.stage.invalidate('overlay');
    },
    down({ photo }) {
      if (!app.mayWrite()) return;
      start = photo;
      at = photo;
    },
    drag({ photo }) {
      at = photo;
      app.stage.invalidate('overlay');
    },
    up({ photo }) {
      if (!start) return;
      const released = performance.now();
      at = photo;
      const drawn = box();
      start = null;
      app.stage.invalidate('overlay');
      if (!drawn || drawn[2] - drawn[0] < SMALLEST_PX || drawn[3] - drawn[1] < SMALLEST_PX) return;
      if (app.state.get().activeCategory !== null) void app.acts.createBox(drawn, released);
      // Later than this event, or the browser would take the focus out of the dialog again.
      else setTimeout(() => app.panels.openClasses(() => void app.acts.createBox(drawn, performance.now())));
    },
    cancel() {
      start = null;
      app.stage.invalidate('overlay');
    },
    draw(context) {
      if (!at) return;
      const { view } = app.viewport;
      const drawn = box();
      const colour = app.classColour(app.state.get().activeCategory);
      if (drawn) {
        const [x0, y0] = app.viewport.toStage([drawn[0], drawn[1]]);
        const [x1, y1] = app.viewport.toStage([drawn[2], drawn[3]]);
        context.fillStyle = colour;
        context.globalAlpha = 0.12;
        context.fillRect(x0, y0, x1 - x0, y1 - y0);
        context.globalAlpha = 1;
        for (const [width, stroke] of /** @type {[number, string][]} */ ([[3.5, 'rgba(0,0,0,0.5)'], [1.5, '#ffffff']])) {
          context.lineWidth = width;
          context.strokeStyle = stroke;
          context.strokeRect(x0, y0, x1 - x0, y1 - y0);
        }
        return;
      }
      if (!app.pointer()) return;
      const [x, y] = app.viewport.toStage(at);
      context.lineWidth = 1;
      for (const [offset, stroke] of /** @type {[number, string][]} */ ([[1, 'rgba(0,0,0,0.45)'], [0, 'rgba(255,255,255,0.75)']])) {
        context.strokeStyle = stroke;
        context.beginPath();
        context.moveTo(0, Math.round(y) + 0.5 + offset);
        context.lineTo(view.width, Math.round(y) + 0.5 + offset);
        context.moveTo(Math.round(x) + 0.5 + offset, 0);
        context.lineTo(Math.round(x) + 0.5 + offset, view.height);
        context.stroke();
      }
    },
  };
}
