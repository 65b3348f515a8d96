/** A small dialog with a search box and a list below it: used to find a class and to find a photo. */

import { fill, h } from '../dom.js';

/**
 * @template T
 * @param {{title: string, placeholder: string, testid: string,
 *          find: (text: string) => Promise<{item: T, node: Node}[]> | {item: T, node: Node}[],
 *          choose: (item: T) => void, onClose: () => void, nothing?: () => string}} options `nothing`: said of an empty list
 */
export function createFinder({ title, placeholder, testid, find, choose, onClose, nothing = () => 'Nothing found.' }) {
  /** @type {{item: T, node: Node}[]} */
  let found = [];
  let at = 0;
  let ticket = 0;
  /** @type {Promise<void>} */
  let searching = Promise.resolve();

  const list = h('div', { class: 'os-options', role: 'listbox', id: `os-${testid}-list`, 'aria-label': title });
  const input = h('input', {
    type: 'text',
    placeholder,
    role: 'combobox',
    autocomplete: 'off',
    spellcheck: 'false',
    'aria-label': title,
    'aria-expanded': 'true',
    'aria-controls': `os-${testid}-list`,
    'data-testid': `${testid}-input`,
    oninput: () => (searching = search()),
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
        event.preventDefault();
        at = (at + (event.key === 'ArrowDown' ? 1 : -1) + found.length) % Math.max(found.length, 1);
        draw();
      } else if (event.key === 'Enter') {
        event.preventDefault();
        // Fast typists press Enter before the list has caught up with what they typed.
        void searching.then(() => take(at));
      }
    },
  });
  const element = h('dialog', { class: 'os-finder', 'aria-label': title, 'data-testid': testid, onclose: onClose, onclick: (/** @type {Event} */ event) => event.target === element && element.close() }, input, list);

  function draw() {
    fill(
      list,
      ...found.map(({ node }, index) =>
        h('div', { role: 'option', id: `os-${testid}-${index}`, class: 'os-option', 'aria-selected': String(index === at), onmousedown: (/** @type {Event} */ event) => event.preventDefault(), onclick: () => take(index) }, node),
      ),
    );
    if (!found.length) fill(list, h('p', { class: 'os-muted' }, nothing()));
    input.setAttribute('aria-activedescendant', found.length ? `os-${testid}-${at}` : '');
    list.querySelector('[aria-selected=true]')?.scrollIntoView({ block: 'nearest' });
  }

  async function search() {
    const mine = (ticket += 1);
    const answer = await find(input.value.trim());
    if (mine !== ticket) return;
    found = answer;
    at = 0;
    draw();
  }

  function take(/** @type {number} */ index) {
    const entry = found[index];
    if (!entry) return;
    element.close();
    choose(entry.item);
  }

  return {
    element,
    isOpen: () => element.open,
    /** What is searched has changed: an open list shows it. */
    refresh() {
      if (element.open) searching = search();
    },
    open() {
      input.value = '';
      element.showModal();
      input.focus();
      searching = search();
    },
  };
}
