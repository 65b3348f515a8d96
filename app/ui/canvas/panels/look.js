/** How masks and boxes are shown. */

import { h } from '../dom.js';

/** @param {import('../app.js').App} app */
export function createLook(app) {
  const { state } = app;
  const opacity = h('input', {
    type: 'range',
    min: '0.05',
    max: '1',
    step: '0.05',
    'aria-label': 'Opacity of masks',
    oninput: () => state.set({ opacity: Number(opacity.value) }),
  });
  const toggle = (/** @type {string} */ text, /** @type {'masksShown' | 'boxesShown'} */ key, /** @type {string} */ hotkey) => {
    const input = h('input', { type: 'checkbox', onchange: () => state.set({ [key]: input.checked }) });
    state.on([key], () => (input.checked = state.get()[key]));
    return h('label', { class: 'os-inline', title: `${text}  (${hotkey})` }, input, text);
  };
  state.on(['opacity'], () => (opacity.value = String(state.get().opacity)));
  return h('section', { class: 'os-section os-look' }, h('label', { class: 'os-inline os-grow' }, 'Opacity', opacity), toggle('Masks', 'masksShown', 'H'), toggle('Boxes', 'boxesShown', 'Shift H'));
}
