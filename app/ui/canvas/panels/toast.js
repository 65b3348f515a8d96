/** Short messages in the corner; screen readers hear them. */

import { h } from '../dom.js';

const MOST = 4;

export function createToasts() {
  const element = h('div', { class: 'os-toasts', role: 'status', 'aria-live': 'polite', 'data-testid': 'toasts' });

  /** @param {string} text @param {{kind?: 'info' | 'error' | 'conflict', seconds?: number}} [options] */
  function say(text, { kind = 'info', seconds = kind === 'info' ? 3.5 : 7 } = {}) {
    for (const old of [...element.children]) if (old.firstChild?.textContent === text) old.remove();
    const toast = h('div', { class: `os-toast os-toast-${kind}` }, h('span', {}, text));
    const close = () => toast.remove();
    toast.append(h('button', { type: 'button', class: 'os-toast-close', 'aria-label': 'Close this message', onclick: close }, '×'));
    element.append(toast);
    while (element.children.length > MOST) element.firstElementChild?.remove();
    setTimeout(close, seconds * 1000);
    return close;
  }

  return { element, say };
}
