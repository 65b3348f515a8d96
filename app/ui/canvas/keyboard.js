/**
 * From key events to commands.
 *
 * Keys are named as they are printed: letters as capitals whatever the layout, `Shift+`, `Ctrl+` (also the command key of a Mac)
 * in front; characters like `?`, `+` or `[` by themselves, because they need other modifiers on other keyboards.
 */

import { COMMANDS } from './commands.js';
import { isTyping } from './dom.js';

/** @type {Map<string, import('./commands.js').Command>} */
const BY_KEY = new Map(COMMANDS.flatMap((command) => command.keys.map((key) => [key, command])));

/** What an event may be called, the likeliest first. @param {KeyboardEvent} event @returns {string[]} */
export function namesOf(event) {
  const control = event.ctrlKey || event.metaKey ? 'Ctrl+' : '';
  const shift = event.shiftKey ? 'Shift+' : '';
  const names = [];
  if (event.key === ' ') names.push(`${control}Space`);
  else if (event.key.length > 1) names.push(`${control}${shift}${event.key}`);
  else if (/^[a-z]$/i.test(event.key)) names.push(`${control}${shift}${event.key.toUpperCase()}`);
  else names.push(`${control}${event.key}`);
  // Other scripts, and digits that need Shift: the place of the key decides.
  if (event.code.startsWith('Key')) names.push(`${control}${shift}${event.code.slice(3)}`);
  if (event.code.startsWith('Digit')) names.push(`${control}${shift}${event.code.slice(5)}`);
  return names;
}

/** @param {import('./app.js').App} app */
export function listenToKeys(app) {
  /** @type {Map<string, import('./commands.js').Command>} keys that are held, by their place */
  const held = new Map();

  /** Keys belong to the canvas while it is in front, and to what is typed in or pressed first. @param {KeyboardEvent} event */
  function isOurs(event) {
    if (event.defaultPrevented || event.altKey || app.root.offsetParent === null || app.panels.isDialogOpen()) return false;
    const { target } = event;
    if (isTyping(target)) return false;
    return target === document.body || (target instanceof Node && app.root.contains(target));
  }

  document.addEventListener('keydown', (event) => {
    if (!isOurs(event)) return;
    const name = namesOf(event).find((one) => BY_KEY.has(one));
    const command = name ? BY_KEY.get(name) : undefined;
    if (!name || !command) return;
    const { target } = event;
    const isControl = target instanceof Element && target !== app.stage.element && target.matches('button, input, summary, a, [role=slider]');
    // A focused button keeps the keys that press it, a slider those that move it, and Tab goes on from both.
    if (isControl && ['Enter', 'Space', 'Tab', 'Shift+Tab'].includes(name)) return;
    if (isControl && target.matches('input') && name.includes('Arrow')) return;
    event.preventDefault();
    if (event.repeat && command.release) return;
    if (event.repeat && ['accept', 'reject', 'needs-work', 'accept-all', 'done', 'delete'].includes(command.id)) return;
    if (!['nudge', 'stretch'].includes(command.id)) app.nudge.flush();
    if (command.release) held.set(event.code, command);
    command.run(app, name);
  });

  document.addEventListener('keyup', (event) => {
    held.get(event.code)?.release?.(app);
    held.delete(event.code);
  });

  window.addEventListener('blur', () => {
    held.forEach((command) => command.release?.(app));
    held.clear();
  });
}
