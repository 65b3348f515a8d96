/** What the tool does, where the pointer is, how large things are shown. */

import { h, show } from '../dom.js';

/** @param {import('../app.js').App} app */
export function createStatusbar(app) {
  const hint = h('span', { class: 'os-hint' });
  const at = h('span', { class: 'os-number', 'aria-hidden': 'true' });
  const size = h('span', { class: 'os-number' });
  const zoom = h('span', { class: 'os-number', 'data-testid': 'zoom' });
  const speed = h('span', { class: 'os-number', title: 'From letting go to the painted mask', 'data-testid': 'mask-ms' });
  const radius = h('input', {
    type: 'range',
    min: '1',
    max: '200',
    'aria-label': 'Brush radius in photo pixels',
    oninput: () => app.state.set({ brushRadius: Number(radius.value) }),
  });
  const brush = h('label', { class: 'os-inline' }, 'Size', radius);

  app.state.on(['toolId', 'brushRadius'], () => {
    const { toolId, brushRadius } = app.state.get();
    hint.textContent = app.tool()?.hint ?? '';
    show(brush, toolId === 'brush' || toolId === 'eraser');
    radius.value = String(brushRadius);
  });
  app.state.on(['pointer', 'crosshair', 'image'], () => {
    const { pointer, crosshair, image } = app.state.get();
    const point = crosshair ?? pointer?.photo;
    const isInside = image && point && point[0] >= 0 && point[1] >= 0 && point[0] < image.width && point[1] < image.height;
    at.textContent = isInside ? `${Math.floor(point[0])}, ${Math.floor(point[1])}` : '';
    size.textContent = image ? `${image.width} × ${image.height}` : '';
  });
  app.state.on(['maskMs'], () => {
    const { maskMs } = app.state.get();
    speed.textContent = maskMs === null ? '' : `mask ${Math.round(maskMs)} ms`;
  });
  const showZoom = () => (zoom.textContent = `${Math.round(app.viewport.view.scale * devicePixelRatio * 100)} %`);
  app.zoomListeners.push(showZoom);
  showZoom();
  return h('div', { class: 'os-statusbar' }, hint, h('span', { class: 'os-spring' }), brush, at, speed, size, zoom);
}
