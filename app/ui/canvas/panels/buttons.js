/** Buttons that name their keys, and never take the focus away from the photo when the mouse presses them. */

import { commandOf } from '../commands.js';
import { h } from '../dom.js';
import { icon } from './icons.js';

const SYMBOLS = { ArrowLeft: '←', ArrowRight: '→', ArrowUp: '↑', ArrowDown: '↓', Escape: 'Esc', Delete: 'Del' };

/** A key as people read it. @param {string} key */
export function keyText(key) {
  const parts = key === '+' ? ['+'] : key.split('+');
  return parts.map((part) => /** @type {Record<string, string>} */ (SYMBOLS)[part] ?? part).join(' ');
}

/**
 * @param {import('../app.js').App} app
 * @param {string} id of the command
 * @param {{icon: Parameters<typeof icon>[0], text?: string, class?: string, label?: string}} look
 */
export function commandButton(app, id, look) {
  const command = commandOf(id);
  const label = look.label ?? command.label;
  return h(
    'button',
    {
      type: 'button',
      class: `os-button ${look.class ?? ''}`,
      'aria-label': label,
      'aria-keyshortcuts': command.keys.map((key) => key.replace('Ctrl', 'Control')).join(' '),
      title: `${label}  (${keyText(command.keys[0])})`,
      'data-testid': `do-${id}`,
      onmousedown: keepFocus,
      onclick: () => {
        app.nudge.flush();
        command.run(app, command.keys[0]);
      },
    },
    icon(look.icon),
    look.text ? h('span', {}, look.text) : null,
  );
}

/** @param {Event} event */
export function keepFocus(event) {
  event.preventDefault();
}
