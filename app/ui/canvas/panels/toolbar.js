/** The tools, at the left. */

import { h } from '../dom.js';
import { commandButton } from './buttons.js';

const TOOLS = /** @type {const} */ (['select', 'box', 'include', 'exclude', 'brush', 'eraser']);

/** @param {import('../app.js').App} app */
export function createToolbar(app) {
  const buttons = TOOLS.map((id) => ({ id, button: commandButton(app, id, { icon: id, class: 'os-tool' }) }));
  const element = h(
    'div',
    { class: 'os-toolbar', role: 'toolbar', 'aria-label': 'Tools', 'aria-orientation': 'vertical' },
    ...buttons.map(({ button }) => button),
    h('hr', {}),
    commandButton(app, 'convert', { icon: 'convert', class: 'os-tool' }),
    commandButton(app, 'find', { icon: 'find', class: 'os-tool', label: 'Find objects' }),
    h('hr', {}),
    commandButton(app, 'undo', { icon: 'undo', class: 'os-tool' }),
    commandButton(app, 'redo', { icon: 'redo', class: 'os-tool' }),
    h('span', { class: 'os-spring' }),
    commandButton(app, 'help', { icon: 'help', class: 'os-tool' }),
  );
  app.state.on(['toolId'], () => {
    const { toolId } = app.state.get();
    for (const { id, button } of buttons) button.setAttribute('aria-pressed', String(id === toolId));
  });
  return element;
}
