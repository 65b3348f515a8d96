/** How sure the model has to be of what it finds by itself. */

import { h, show } from '../dom.js';
import { keepFocus } from './buttons.js';

/** @param {import('../app.js').App} app */
export function createFinding(app) {
  const { state } = app;
  const usual = () => /** @type {number | undefined} */ (state.get().project?.threshold);
  const slider = h('input', {
    type: 'range',
    min: '0.05',
    max: '0.95',
    step: '0.05',
    'data-testid': 'find-threshold',
    oninput: () => choose(Number(slider.value)),
  });
  const text = h('output', { class: 'os-number' });
  const reset = h('button', { type: 'button', class: 'os-button os-reset', 'aria-label': 'The model’s own score again', 'data-testid': 'find-reset', onmousedown: keepFocus, onclick: () => choose(null) }, '↺');
  const label = h('label', { class: 'os-inline os-grow', title: 'Find objects (G) proposes what has at least this score' }, 'Find from score', slider, text);
  const element = h('section', { class: 'os-section os-finding os-inline' }, label, reset);

  /** The model’s own value is kept as null: if it changes with another version, so does ours. @param {number | null} value */
  function choose(value) {
    state.set({ findThreshold: value === usual() ? null : value });
  }

  state.on(['findThreshold', 'project'], () => {
    const { findThreshold } = state.get();
    const own = usual();
    show(element, own !== undefined);
    if (own === undefined) return;
    slider.value = String(findThreshold ?? own);
    text.textContent = (findThreshold ?? own).toFixed(2);
    reset.title = `Back to ${own.toFixed(2)}, the model’s own`;
    show(reset, findThreshold !== null);
  });
  return element;
}
