/** A pointer moved by the keyboard, so that boxes, clicks and strokes need no mouse. */

const STEP_PX = 12;

/** @param {import('./app.js').App} app */
export function createCrosshair(app) {
  const { state } = app;
  let isDown = false;

  /** @param {import('./types.js').Point} photo @returns {import('./view/pointer.js').Pointer} */
  const pointer = (photo) => ({ photo, stage: app.viewport.toStage(photo), alt: false, trail: [photo] });

  return {
    /** @param {number} dx @param {number} dy steps */
    move(dx, dy) {
      const { image, crosshair } = state.get();
      if (!image) return;
      const { view } = app.viewport;
      const from = crosshair ?? app.viewport.toPhoto([view.width / 2, view.height / 2]);
      const step = Math.max(1, Math.round(STEP_PX / view.scale));
      const to = /** @type {import('./types.js').Point} */ ([
        Math.min(Math.max(Math.round(from[0]) + dx * step, 0), image.width),
        Math.min(Math.max(Math.round(from[1]) + dy * step, 0), image.height),
      ]);
      state.set({ crosshair: to });
      if (isDown) app.tool().drag?.(pointer(to));
      else app.tool().hover?.(pointer(to));
      app.stage.invalidate('overlay');
    },
    /** Press, and press again to let go; a click tool needs it once. */
    press() {
      const { crosshair } = state.get();
      if (!crosshair) {
        this.move(0, 0);
        return;
      }
      const drags = app.tool().down !== undefined && app.tool().id !== 'select';
      if (!isDown) app.tool().down?.(pointer(crosshair));
      isDown = drags && !isDown;
      if (!isDown) app.tool().up?.(pointer(crosshair));
    },
    cancel() {
      isDown = false;
      state.set({ crosshair: null });
    },
  };
}
