/** The selected annotation before and after the last act on it, side by side. */

import { h, show } from '../dom.js';
import { drawPyramid } from '../pyramid.js';
import { keepFocus } from './buttons.js';

const SIDE = { width: 132, height: 104 };

/** @param {import('../app.js').App} app */
export function createComparison(app) {
  const { state } = app;
  const before = picture('Before');
  const now = picture('Now');
  const note = h('span', { class: 'os-muted' });
  const hold = (/** @type {boolean} */ comparing) => () => state.set({ comparing });
  const blink = h(
    'button',
    { type: 'button', class: 'os-button', title: 'Hold: as it was before the last change  (Q)', onmousedown: keepFocus, onpointerdown: hold(true), onpointerup: hold(false), onpointerleave: hold(false) },
    h('span', {}, 'Hold to blink'),
    h('kbd', {}, 'Q'),
  );
  const element = h('div', { class: 'os-comparison', 'data-testid': 'comparison' }, h('div', { class: 'os-pictures' }, before.element, now.element), h('div', { class: 'os-inline' }, note, h('span', { class: 'os-spring' }), blink));

  state.on(['previous', 'annotations', 'selectedId', 'photo', 'opacity', 'categories'], () => {
    const { previous, photo, previousNote, opacity } = state.get();
    const selected = app.selected();
    const region = selected && previous ? regionOf(selected, previous) : null;
    show(element, Boolean(region && photo));
    if (!region || !photo || !selected || !previous) return;
    note.textContent = previousNote;
    before.draw(app, photo, region, previous, ' before', opacity);
    now.draw(app, photo, region, selected, '', opacity);
  });
  return element;
}

/** @param {string} title */
function picture(title) {
  const canvas = h('canvas', { 'aria-hidden': 'true' });
  canvas.style.width = `${SIDE.width}px`;
  canvas.style.height = `${SIDE.height}px`;
  /**
   * @param {import('../app.js').App} app @param {import('../photo.js').LoadedPhoto} photo
   * @param {import('../types.js').Box} region @param {import('../types.js').Annotation} annotation
   * @param {string} slot @param {number} opacity
   */
  function draw(app, photo, region, annotation, slot, opacity) {
    const ratio = devicePixelRatio;
    canvas.width = Math.round(SIDE.width * ratio);
    canvas.height = Math.round(SIDE.height * ratio);
    const context = canvas.getContext('2d');
    const density = Math.min(canvas.width / (region[2] - region[0]), canvas.height / (region[3] - region[1]));
    const left = (canvas.width - (region[2] - region[0]) * density) / 2 - region[0] * density;
    const top = (canvas.height - (region[3] - region[1]) * density) / 2 - region[1] * density;
    context.setTransform(density, 0, 0, density, left, top);
    drawPyramid(context, photo.pyramid, { x: 0, y: 0, seen: region, density });
    const mask = app.masks.pictureOf(annotation, slot);
    if (!mask) return;
    context.globalAlpha = opacity;
    drawPyramid(context, mask.tinted(app.colourOf(annotation)), { x: mask.shape.x, y: mask.shape.y, seen: region, density });
    context.globalAlpha = 1;
    context.lineWidth = (1.5 * ratio) / density;
    context.strokeStyle = '#ffffff';
    context.stroke(mask.outline());
  }
  return { element: h('figure', {}, canvas, h('figcaption', {}, title)), draw };
}

/** A bit more than both boxes. @param {import('../types.js').Annotation} a @param {import('../types.js').Annotation} b */
function regionOf(a, b) {
  const boxes = [a.box, b.box].filter((box) => box !== null);
  if (!boxes.length) return null;
  const [x0, y0] = [0, 1].map((at) => Math.min(...boxes.map((box) => box[at])));
  const [x1, y1] = [2, 3].map((at) => Math.max(...boxes.map((box) => box[at])));
  const margin = 0.08 * Math.max(x1 - x0, y1 - y0) + 2;
  return /** @type {import('../types.js').Box} */ ([x0 - margin, y0 - margin, x1 + margin, y1 + margin]);
}
