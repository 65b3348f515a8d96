/** The slider of the polygon view, with what it costs and what it keeps. */

import { h, show } from '../dom.js';

const FORMS = { auto: 'Export: polygon, RLE if it has holes', polygon: 'Export: polygon always', rle: 'Export: RLE always' };

/** @param {import('../app.js').App} app */
export function createPolygonPanel(app) {
  const slider = h('input', {
    type: 'range',
    min: '0',
    max: '10',
    step: '0.25',
    'aria-label': 'Simplify the polygon, in photo pixels',
    'data-testid': 'simplify',
    oninput: () => app.polygonView.preview(Number(slider.value)),
    onchange: () => app.polygonView.keep(Number(slider.value)),
  });
  const form = h(
    'select',
    { 'aria-label': 'Form in the export', onchange: () => app.polygonView.keep(Number(slider.value), /** @type {any} */ (form.value)) },
    ...Object.entries(FORMS).map(([value, text]) => h('option', { value }, text)),
  );
  const points = h('span', { 'data-testid': 'polygon-points' });
  const kept = h('span', { 'data-testid': 'polygon-iou' });
  const element = h('div', { class: 'os-polygon' }, h('label', { class: 'os-inline' }, 'Simplify', slider), h('div', { class: 'os-number' }, points, ' · ', kept), form);

  app.state.on(['polygon', 'annotations', 'selectedId'], () => {
    const { polygon } = app.state.get();
    show(element, Boolean(polygon));
    if (!polygon) return;
    slider.value = String(polygon.simplify);
    form.value = app.selected()?.form ?? 'auto';
    points.textContent = `${polygon.points} points, ${polygon.simplify} px`;
    kept.textContent = `IoU ${polygon.iou.toFixed(3)}`;
  });
  return element;
}
