/** Include and exclude clicks: repair the selected mask by pointing at what is missing or too much. */

/**
 * @param {import('../app.js').App} app @param {'include' | 'exclude'} id @returns {import('../app.js').Tool}
 */
export function clickTool(app, id) {
  /** @type {{point: import('../types.js').Point, include: boolean} | null} the click that waits for its answer */
  let waiting = null;
  const includes = (/** @type {boolean} */ alt) => (id === 'include') !== alt;

  return {
    id,
    hint:
      id === 'include'
        ? 'Click what the mask of the selected object lacks. Right click (or Alt) takes away.'
        : 'Click what does not belong to the selected object. Right click (or Alt) adds.',
    cursor: id === 'include' ? 'copy' : 'not-allowed',
    up({ photo, alt }) {
      const image = app.state.get().image;
      if (!image || !app.mayWrite()) return;
      const [x, y] = photo;
      if (x < 0 || y < 0 || x >= image.width || y >= image.height) return;
      const selected = app.selected();
      if (!selected) {
        app.toast('Select an object first, then click what to add or to take away.');
        return;
      }
      waiting = { point: photo, include: includes(alt) };
      app.stage.invalidate('overlay');
      void app.acts.repair(selected, photo, waiting.include, performance.now()).finally(() => {
        waiting = null;
        app.stage.invalidate('overlay');
      });
    },
    hover() {
      app.stage.element.style.cursor = this.cursor;
    },
    draw(context) {
      if (!waiting) return;
      const [x, y] = app.viewport.toStage(waiting.point);
      context.lineWidth = 2;
      context.fillStyle = waiting.include ? '#1f9d55' : '#d64545';
      context.strokeStyle = '#ffffff';
      context.beginPath();
      context.arc(x, y, 8, 0, 2 * Math.PI);
      context.fill();
      context.stroke();
      context.beginPath();
      context.moveTo(x - 4, y);
      context.lineTo(x + 4, y);
      if (waiting.include) {
        context.moveTo(x, y - 4);
        context.lineTo(x, y + 4);
      }
      context.stroke();
    },
  };
}
