/** Brush and eraser on the selected mask, with a live preview until the server has the stroke. */

const NEAREST = 0.35; // of the radius: closer points add nothing but bytes
const MOST_POINTS = 4000;

/**
 * @param {import('../app.js').App} app @param {'brush' | 'eraser'} id @returns {import('../app.js').Tool}
 */
export function brushTool(app, id) {
  /** @typedef {{points: import('../types.js').Point[], radius: number, erase: boolean, colour: string}} Stroke */
  /** @type {Stroke | null} */
  let stroke = null;
  /** @type {Stroke[]} sent, not yet answered */
  let sent = [];

  /** @param {import('../types.js').Point[]} trail */
  function extend(trail) {
    if (!stroke) return;
    for (const point of trail) {
      const last = stroke.points[stroke.points.length - 1];
      const far = Math.hypot(point[0] - last[0], point[1] - last[1]);
      if (far >= Math.max(0.5, stroke.radius * NEAREST) && stroke.points.length < MOST_POINTS) stroke.points.push(point);
    }
    app.stage.invalidate('overlay');
  }

  return {
    id,
    hint:
      id === 'brush'
        ? 'Paint what belongs to the selected object. [ and ] change the size, Alt or the right button erases.'
        : 'Erase what does not belong to the selected object. [ and ] change the size, Alt or the right button paints.',
    cursor: 'none',
    hover() {
      app.stage.element.style.cursor = 'none';
      app.stage.invalidate('overlay');
    },
    down({ photo, alt }) {
      if (!app.mayWrite()) return;
      const selected = app.selected();
      if (!selected) {
        app.toast('Select an object first, or draw a box, then paint.');
        return;
      }
      const erase = (id === 'eraser') !== alt;
      stroke = { points: [photo], radius: app.state.get().brushRadius, erase, colour: app.colourOf(selected) };
      app.stage.invalidate('overlay');
    },
    drag: ({ trail }) => extend(trail),
    up({ photo }) {
      const selected = app.selected();
      const done = stroke;
      if (!done || !selected) return;
      if (done.points.length > 1 || Math.hypot(photo[0] - done.points[0][0], photo[1] - done.points[0][1]) > 0.5) done.points.push(photo);
      stroke = null;
      sent.push(done);
      void app.acts.stroke(selected, done, performance.now()).finally(() => {
        sent = sent.filter((other) => other !== done);
        app.stage.invalidate('overlay');
      });
    },
    cancel() {
      stroke = null;
      app.stage.invalidate('overlay');
    },
    draw(context) {
      const { scale } = app.viewport.view;
      for (const one of stroke ? [...sent, stroke] : sent) {
        context.lineCap = 'round';
        context.lineJoin = 'round';
        context.lineWidth = 2 * one.radius * scale;
        context.globalAlpha = 0.55;
        context.strokeStyle = one.erase ? '#15171a' : one.colour;
        context.beginPath();
        one.points.forEach((point, at) => {
          const [x, y] = app.viewport.toStage(point);
          if (at === 0) context.moveTo(x, y);
          context.lineTo(x, y);
        });
        context.stroke();
        context.globalAlpha = 1;
      }
      const at = app.pointer()?.stage ?? (app.state.get().crosshair && app.viewport.toStage(app.state.get().crosshair));
      if (!at) return;
      for (const [width, colour] of /** @type {[number, string][]} */ ([[3, 'rgba(0,0,0,0.6)'], [1.2, '#ffffff']])) {
        context.lineWidth = width;
        context.strokeStyle = colour;
        context.setLineDash(id === 'eraser' ? [4, 3] : []);
        context.beginPath();
        context.arc(at[0], at[1], Math.max(app.state.get().brushRadius * scale, 1), 0, 2 * Math.PI);
        context.stroke();
      }
      context.setLineDash([]);
    },
  };
}
