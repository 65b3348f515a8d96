/** The selected annotation: what it is, what to do with it. */

import { fill, h, show } from '../dom.js';
import { commandButton, keepFocus } from './buttons.js';
import { createComparison } from './comparison.js';
import { createPolygonPanel } from './polygon.js';

/** @param {import('../app.js').App} app */
export function createInspector(app) {
  const { state } = app;
  const dot = h('i', { class: 'os-dot' });
  const name = h('span', { class: 'os-class-name' });
  const classButton = h(
    'button',
    { type: 'button', class: 'os-class', title: 'Find a class by typing  (C)', 'data-testid': 'class', onmousedown: keepFocus, onclick: () => app.panels.openClasses() },
    dot,
    name,
    h('kbd', {}, 'C'),
  );
  const facts = h('div', { class: 'os-facts' });
  const decide = [
    ['accept', 'accept', 'Accept', 'accepted'],
    ['reject', 'reject', 'Reject', 'rejected'],
    ['needs-work', 'work', 'Needs work', 'needs work'],
  ].map(([id, picture, text, value]) => ({
    value,
    button: commandButton(app, id, { icon: /** @type {any} */ (picture), text, class: `os-decide os-decide-${picture}` }),
  }));
  const repair = h(
    'div',
    { class: 'os-row-of-buttons' },
    commandButton(app, 'decode', { icon: 'decode' }),
    commandButton(app, 'fill', { icon: 'fill' }),
    commandButton(app, 'split', { icon: 'split' }),
    commandButton(app, 'polygon', { icon: 'polygon' }),
    h('span', { class: 'os-spring' }),
    commandButton(app, 'delete', { icon: 'delete', class: 'os-danger' }),
  );
  const body = h('div', { class: 'os-inspector-body' }, h('div', { class: 'os-decisions' }, ...decide.map(({ button }) => button)), facts, repair, createPolygonPanel(app), createComparison(app));
  const empty = h('p', { class: 'os-muted' });

  state.on(['annotations', 'selectedId', 'categories', 'activeCategory', 'image'], () => {
    const selected = app.selected();
    const { activeCategory, categories } = state.get();
    const shown = selected ? selected.category_id : activeCategory;
    const category = categories.find(({ id }) => id === shown);
    dot.style.background = app.classColour(shown);
    name.textContent = category?.name ?? (categories.length ? 'no class' : 'Name the first class');
    classButton.setAttribute('aria-label', selected ? `Class ${name.textContent}. Change it.` : `Class of new boxes: ${name.textContent}. Change it.`);
    show(body, Boolean(selected));
    show(empty, !selected);
    empty.textContent = 'Class of the next box. Click an object or press Tab to select one, B to draw a box.';
    if (!selected) return;
    for (const { value, button } of decide) button.setAttribute('aria-pressed', String(selected.state === value));
    fill(facts, ...factsOf(selected));
  });
  return h('section', { class: 'os-section os-inspector', 'aria-label': 'Selected annotation' }, classButton, body, empty);
}

/** @param {import('../types.js').Annotation} one */
function factsOf(one) {
  const quality = one.quality;
  const box = one.box ? `${round(one.box[2] - one.box[0])} × ${round(one.box[3] - one.box[1])} at ${round(one.box[0])}, ${round(one.box[1])}` : 'no box';
  return [
    h('span', { class: `os-badge os-state-${one.state.replace(' ', '-')}`, 'data-testid': 'state' }, one.state),
    quality === null
      ? null
      : h('span', { class: 'os-quality', title: `Quality ${quality.toFixed(3)}: how sure the model is` }, h('i', { style: { width: `${Math.round(quality * 100)}%`, background: tone(quality) } })),
    quality === null ? null : h('span', { class: 'os-number' }, quality.toFixed(2)),
    h('span', { class: 'os-muted os-wide' }, `${one.mask ? one.source.replace('model:', 'by ') : 'no mask'}${one.author && one.author !== 'import' ? ` · ${one.author}` : ''}`),
    h('span', { class: 'os-muted os-number os-wide', 'data-testid': 'box' }, box),
  ];
}

const round = (/** @type {number} */ value) => String(Math.round(value * 10) / 10);
const tone = (/** @type {number} */ quality) => (quality < 0.6 ? 'var(--os-bad)' : quality < 0.8 ? 'var(--os-warn)' : 'var(--os-good)');
