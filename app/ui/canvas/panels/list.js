/** The annotations of this photo. */

import { fill, h } from '../dom.js';
import { icon } from './icons.js';

const MARKS = /** @type {const} */ ({ accepted: 'accept', rejected: 'reject', 'needs work': 'work' });

/** @param {import('../app.js').App} app */
export function createList(app) {
  const { state } = app;
  const rows = h('div', { class: 'os-rows', role: 'listbox', 'aria-label': 'Annotations of this photo', tabindex: '0', 'data-testid': 'list' });
  const count = h('span', { class: 'os-muted' });

  /** @param {import('../types.js').Annotation} one */
  function row(one) {
    const { selectedId } = state.get();
    const isSelected = one.id === selectedId;
    const mark = one.state === 'proposed' ? null : icon(MARKS[one.state]);
    const quality = one.mask ? (one.quality === null ? '' : one.quality.toFixed(2)) : one.waiting ? '…' : 'no mask';
    return h(
      'div',
      {
        class: `os-row os-state-${one.state.replace(' ', '-')}`,
        role: 'option',
        id: `os-row-${one.id}`,
        'aria-selected': String(isSelected),
        'aria-label': `${app.nameOf(one)}, ${one.state}, ${one.mask ? (one.quality === null ? 'mask' : `quality ${one.quality.toFixed(2)}`) : 'no mask'}`,
        'data-id': String(one.id),
        onmousedown: (/** @type {Event} */ event) => event.preventDefault(),
        onclick: () => app.select(one.id, { reveal: true }),
        ondblclick: () => one.box && app.viewport.zoomToBox(one.box),
        onmouseenter: () => state.set({ hoverId: one.id }),
        onmouseleave: () => state.set({ hoverId: null }),
      },
      h('i', { class: 'os-dot', style: { background: app.colourOf(one) } }),
      h('span', { class: 'os-row-name' }, app.nameOf(one)),
      h('span', { class: one.mask ? 'os-number' : 'os-muted' }, quality),
      h('span', { class: 'os-mark' }, mark),
    );
  }

  state.on(['annotations', 'selectedId', 'categories'], () => {
    const { annotations, selectedId } = state.get();
    fill(rows, ...annotations.map(row));
    const waiting = annotations.filter((one) => one.state === 'proposed' || one.state === 'needs work').length;
    count.textContent = annotations.length ? `${annotations.length}${waiting ? `, ${waiting} to do` : ', all decided'}` : 'none yet';
    rows.setAttribute('aria-activedescendant', selectedId === null ? '' : `os-row-${selectedId}`);
    rows.querySelector('[aria-selected=true]')?.scrollIntoView({ block: 'nearest' });
  });

  return { element: h('section', { class: 'os-section os-list' }, h('h2', {}, 'Annotations ', count), rows), focus: () => rows.focus() };
}
