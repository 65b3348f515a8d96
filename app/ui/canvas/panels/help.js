/** All keys, from the table that the keyboard itself uses. */

import { COMMANDS } from '../commands.js';
import { h } from '../dom.js';
import { keyText } from './buttons.js';

const SHORT = /** @type {Record<string, string[]>} */ ({
  category: ['1 … 9'],
  nudge: ['Ctrl ← ↑ ↓ →'],
  stretch: ['Ctrl Shift ← ↑ ↓ →'],
  crosshair: ['Shift ← ↑ ↓ →'],
});

/** The table itself; the page's help shows it too. */
export function keyTable() {
  const groups = [...new Set(COMMANDS.map(({ group }) => group))];
  return h(
    'div',
    { class: 'os-help-groups' },
    ...groups.map((group) => {
      const commands = COMMANDS.filter((one) => one.group === group);
      const rows = commands.flatMap((one) => [
        h('dt', {}, ...(SHORT[one.id] ?? one.keys.map(keyText)).map((text) => h('kbd', {}, text))),
        h('dd', {}, one.label),
      ]);
      return h('section', {}, h('h2', {}, group), h('dl', {}, ...rows));
    }),
  );
}

/** @param {import('../app.js').App} app */
export function createHelp(app) {
  const close = () => element.close();
  const element = h(
    'dialog',
    {
      class: 'os-help',
      'aria-label': 'All keys',
      'data-testid': 'help',
      onclose: () => app.stage.element.focus({ preventScroll: true }),
      onclick: (/** @type {Event} */ event) => event.target === element && close(),
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key !== '?' && event.key !== 'F1') return;
        event.preventDefault();
        event.stopPropagation();
        close();
      },
    },
    h(
      'header',
      {},
      h('h1', {}, 'Keys'),
      h('span', { class: 'os-muted' }, 'The wheel or a pinch zooms at the pointer; the middle button moves the photo.'),
      h('button', { type: 'button', class: 'os-button', 'aria-label': 'Close', onclick: close }, '×'),
    ),
    keyTable(),
  );
  return { element, isOpen: () => element.open, toggle: () => (element.open ? close() : element.showModal()) };
}
