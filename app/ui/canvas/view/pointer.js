/** Mouse, pen and touch: pan, zoom and pinch are handled here, everything else goes to the tool in hand. */

const WHEEL_STEP = 0.0016;
const PINCH_STEP = 0.012;

/**
 * @typedef {object} Pointer
 * @property {import('../types.js').Point} photo  where, in photo pixels
 * @property {import('../types.js').Point} stage  where, in CSS pixels of the stage
 * @property {boolean} alt  the opposite of what the tool does
 * @property {import('../types.js').Point[]} trail  photo points since the last event, this one last
 */

/** @param {import('../app.js').App} app */
export function listenToPointer(app) {
  const { element } = app.stage;
  /** @type {Map<number, import('../types.js').Point>} */
  const touches = new Map();
  /** @type {{kind: 'tool' | 'pan' | 'pinch', id: number, last: import('../types.js').Point} | null} */
  let held = null;

  /** @param {PointerEvent | MouseEvent} event @returns {import('../types.js').Point} */
  const stagePoint = (event) => app.stage.fromClient(event.clientX, event.clientY);

  /** @param {PointerEvent} event @returns {Pointer} */
  const read = (event) => {
    const stage = stagePoint(event);
    const photo = app.viewport.toPhoto(stage);
    const between = event.getCoalescedEvents?.() ?? [];
    const trail = between.map((one) => app.viewport.toPhoto(stagePoint(one)));
    return { stage, photo, alt: event.altKey || event.button === 2, trail: trail.length ? trail : [photo] };
  };

  element.addEventListener('pointerdown', (/** @type {PointerEvent} */ event) => {
    if (!app.state.get().image) return;
    element.focus({ preventScroll: true });
    element.setPointerCapture(event.pointerId);
    app.state.set({ crosshair: null });
    const at = stagePoint(event);
    if (event.pointerType === 'touch') {
      touches.set(event.pointerId, at);
      if (touches.size === 2) {
        if (held?.kind === 'tool') app.tool().cancel?.();
        held = { kind: 'pinch', id: event.pointerId, last: at };
        return;
      }
    }
    if (held) return;
    if (event.button === 1 || app.state.get().spaceHeld) {
      event.preventDefault();
      held = { kind: 'pan', id: event.pointerId, last: at };
      element.classList.add('os-panning');
      return;
    }
    held = { kind: 'tool', id: event.pointerId, last: at };
    app.tool().down?.(read(event));
  });

  element.addEventListener('pointermove', (/** @type {PointerEvent} */ event) => {
    const at = stagePoint(event);
    if (held?.kind === 'pinch' && touches.has(event.pointerId)) {
      pinch(event.pointerId, at);
      return;
    }
    if (held?.kind === 'pan' && held.id === event.pointerId) {
      app.viewport.panBy(at[0] - held.last[0], at[1] - held.last[1]);
      held.last = at;
      return;
    }
    const pointer = read(event);
    app.setPointer(pointer);
    if (held?.kind === 'tool' && held.id === event.pointerId) app.tool().drag?.(pointer);
    else if (!held) app.tool().hover?.(pointer);
  });

  /** @param {PointerEvent} event */
  const release = (event) => {
    touches.delete(event.pointerId);
    if (held?.id !== event.pointerId && held?.kind !== 'pinch') return;
    const was = held;
    if (held?.kind === 'pinch' && touches.size) return;
    held = null;
    element.classList.remove('os-panning');
    if (was?.kind !== 'tool') return;
    if (event.type === 'pointerup') app.tool().up?.(read(event));
    else app.tool().cancel?.();
  };
  element.addEventListener('pointerup', release);
  element.addEventListener('pointercancel', release);
  element.addEventListener('pointerleave', () => app.setPointer(null));
  element.addEventListener('contextmenu', (/** @type {Event} */ event) => event.preventDefault());

  element.addEventListener(
    'wheel',
    (/** @type {WheelEvent} */ event) => {
      event.preventDefault();
      if (!app.state.get().image) return;
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
      if (event.shiftKey) {
        app.viewport.panBy(-(event.deltaX || event.deltaY) * lines, 0);
        return;
      }
      // A pinch on a touchpad arrives as a wheel with the control key, in much smaller steps.
      const step = event.ctrlKey ? PINCH_STEP : WHEEL_STEP;
      app.viewport.zoomAt(stagePoint(event), Math.exp(-event.deltaY * lines * step));
    },
    { passive: false },
  );

  /** @param {number} id @param {import('../types.js').Point} at */
  function pinch(id, at) {
    const other = [...touches].find(([key]) => key !== id)?.[1];
    const before = touches.get(id);
    touches.set(id, at);
    if (!other || !before) return;
    const span = (/** @type {import('../types.js').Point} */ p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
    app.viewport.zoomAt([(at[0] + other[0]) / 2, (at[1] + other[1]) / 2], span(at) / Math.max(span(before), 1));
    app.viewport.panBy((at[0] - before[0]) / 2, (at[1] - before[1]) / 2);
  }
}
