/**
 * Everything that a key can do, in one table. The keyboard, the tooltips of the buttons and the help overlay read it, so that
 * they can't disagree. `docs/annotating.md` shows the same table.
 *
 * Names of keys: see `keyboard.js`.
 */

/**
 * @typedef {object} Command
 * @property {string} id
 * @property {string} group
 * @property {string} label
 * @property {string[]} keys
 * @property {(app: import('./app.js').App, key: string) => void} run
 * @property {(app: import('./app.js').App) => void} [release]  when the key is let go
 */

/** @type {(id: string, group: string, label: string, keys: string[], run: Command['run'], release?: Command['release']) => Command} */
const command = (id, group, label, keys, run, release) => ({ id, group, label, keys, run, release });

/** @type {(act: (app: import('./app.js').App, selected: import('./types.js').Annotation) => unknown) => Command['run']} */
const onSelected = (act) => (app) => {
  const selected = app.selected();
  if (!selected) app.toast('Select an object first: click it, or press Tab.');
  else if (app.mayWrite()) act(app, selected);
};

const needsMask = (/** @type {(app: import('./app.js').App, selected: import('./types.js').Annotation) => unknown} */ act) =>
  onSelected((app, selected) => (selected.mask ? act(app, selected) : app.toast('It has no mask yet. M makes one from the box.')));

const DIGITS = ['1', '2', '3', '4', '5', '6', '7', '8', '9'];

/** @type {Command[]} */
export const COMMANDS = [
  command('accept', 'Decide', 'Accept, and go on', ['A', 'Enter'], (app) => app.review.decide('accepted')),
  command('reject', 'Decide', 'Reject, and go on', ['R'], (app) => app.review.decide('rejected')),
  command('needs-work', 'Decide', 'Needs work, and go on', ['W'], (app) => app.review.decide('needs work')),
  command('accept-all', 'Decide', 'Accept all masks of this photo', ['Shift+A'], (app) => app.review.acceptAll()),
  command('done', 'Decide', 'Photo is done (or not after all)', ['Shift+Enter'], (app) => void app.review.toggleDone()),

  command('next-annotation', 'Move', 'Next annotation', ['Tab', 'ArrowDown'], (app) => app.review.walk(1)),
  command('previous-annotation', 'Move', 'Previous annotation', ['Shift+Tab', 'ArrowUp'], (app) => app.review.walk(-1)),
  command('next', 'Move', 'Next photo', ['N', 'ArrowRight'], (app) => void app.navigate.next()),
  command('previous', 'Move', 'Previous photo', ['P', 'ArrowLeft'], (app) => void app.navigate.previous()),
  command('goto', 'Move', 'Go to a photo by name', ['/'], (app) => app.panels.openGoto()),
  command('order', 'Move', 'Choose the order of photos', ['O'], (app) => app.panels.focusOrder()),

  command('select', 'Tools', 'Select, move, resize', ['S', 'V'], (app) => app.setTool('select')),
  command('box', 'Tools', 'Draw a box', ['B'], (app) => app.setTool('box')),
  command('include', 'Tools', 'Click what the mask lacks', ['I'], (app) => app.setTool('include')),
  command('exclude', 'Tools', 'Click what is too much', ['X'], (app) => app.setTool('exclude')),
  command('brush', 'Tools', 'Brush', ['D'], (app) => app.setTool('brush')),
  command('eraser', 'Tools', 'Eraser', ['E'], (app) => app.setTool('eraser')),
  command('smaller', 'Tools', 'Smaller brush', ['['], (app) => resizeBrush(app, 1 / 1.25)),
  command('larger', 'Tools', 'Larger brush', [']'], (app) => resizeBrush(app, 1.25)),

  command('category', 'Object', 'Class of the number; makes the mask anew', DIGITS, (app, key) => {
    const category = app.state.get().categories.find((one) => one.key === key);
    if (category) app.panels.chooseCategory(category.id);
  }),
  command('class', 'Object', 'Find a class by typing', ['C'], (app) => app.panels.openClasses()),
  command('decode', 'Object', 'Make the mask anew from the box', ['M'], onSelected((app, one) => (one.box ? app.acts.decode(one) : app.toast('It has no box.')))),
  command('convert', 'Object', 'Masks for all boxes of this photo', ['Shift+M'], (app) => app.mayWrite() && void app.acts.convertAll()),
  command('find', 'Object', 'Find objects of the project’s classes', ['G'], (app) => app.mayWrite() && void app.acts.findObjects()),
  command('polygon', 'Object', 'Show as polygon', ['L'], (app) => app.polygonView.toggle()),
  command('split', 'Object', 'Take apart into islands', ['T'], needsMask((app, one) => app.acts.split(one))),
  command('fill', 'Object', 'Fill holes', ['F'], needsMask((app, one) => app.acts.fillHoles(one))),
  command('delete', 'Object', 'Delete', ['Delete', 'Backspace'], onSelected((app, one) => app.acts.remove(one))),
  command('nudge', 'Object', 'Move the box by a pixel', ['Ctrl+ArrowLeft', 'Ctrl+ArrowRight', 'Ctrl+ArrowUp', 'Ctrl+ArrowDown'], (app, key) => app.nudge.move(key)),
  command('stretch', 'Object', 'Move its lower right corner', ['Ctrl+Shift+ArrowLeft', 'Ctrl+Shift+ArrowRight', 'Ctrl+Shift+ArrowUp', 'Ctrl+Shift+ArrowDown'], (app, key) => app.nudge.stretch(key)),
  command('undo', 'Object', 'Undo, also on other photos', ['Ctrl+Z'], (app) => void app.review.travel('undo')),
  command('redo', 'Object', 'Redo', ['Ctrl+Shift+Z', 'Ctrl+Y'], (app) => void app.review.travel('redo')),

  command('blink', 'Look', 'Hold: as it was before the last change', ['Q'], (app) => app.state.set({ comparing: true }), (app) => app.state.set({ comparing: false })),
  command('masks', 'Look', 'Hide or show masks', ['H'], (app) => app.state.set({ masksShown: !app.state.get().masksShown })),
  command('boxes', 'Look', 'Hide or show boxes', ['Shift+H'], (app) => app.state.set({ boxesShown: !app.state.get().boxesShown })),
  command('zoom-in', 'Look', 'Zoom in', ['+', '='], (app) => zoom(app, 1.25)),
  command('zoom-out', 'Look', 'Zoom out', ['-'], (app) => zoom(app, 1 / 1.25)),
  command('fit', 'Look', 'Whole photo', ['0'], (app) => app.viewport.fit()),
  command('full', 'Look', 'One to one', ['Shift+1', 'Shift+0'], (app) => app.viewport.zoomTo(1 / devicePixelRatio)),
  command('zoom-selection', 'Look', 'Zoom to the selected object', ['Z'], (app) => {
    const box = app.selected()?.box;
    if (box) app.viewport.zoomToBox(box);
  }),
  command('pan', 'Look', 'Hold and drag: move the photo', ['Space'], (app) => app.state.set({ spaceHeld: true }), (app) => app.state.set({ spaceHeld: false })),

  command('crosshair', 'Without a mouse', 'Move the crosshair', ['Shift+ArrowLeft', 'Shift+ArrowRight', 'Shift+ArrowUp', 'Shift+ArrowDown'], (app, key) => {
    app.crosshair.move(Number(key.endsWith('Right')) - Number(key.endsWith('Left')), Number(key.endsWith('Down')) - Number(key.endsWith('Up')));
  }),
  command('press', 'Without a mouse', 'Press or let go at the crosshair', ['.'], (app) => app.crosshair.press()),
  command('region', 'Without a mouse', 'Jump between photo, list and bars', ['F6'], (app) => app.panels.nextRegion()),
  command('cancel', 'Without a mouse', 'Cancel, then select nothing', ['Escape'], (app) => cancel(app)),
  command('help', 'Without a mouse', 'All keys', ['?', 'F1'], (app) => app.panels.toggleHelp()),
];

/** @param {string} id */
export function commandOf(id) {
  const found = COMMANDS.find((one) => one.id === id);
  if (!found) throw new Error(`no command ${id}`);
  return found;
}

/** @param {import('./app.js').App} app @param {number} factor */
function zoom(app, factor) {
  const { view } = app.viewport;
  app.viewport.zoomAt(app.pointer()?.stage ?? [view.width / 2, view.height / 2], factor);
}

/** @param {import('./app.js').App} app @param {number} factor */
function resizeBrush(app, factor) {
  const { brushRadius } = app.state.get();
  const next = factor > 1 ? Math.max(brushRadius * factor, brushRadius + 1) : Math.min(brushRadius * factor, brushRadius - 1);
  app.state.set({ brushRadius: Math.min(Math.max(Math.round(next), 1), 500) });
}

/** @param {import('./app.js').App} app */
function cancel(app) {
  if (app.state.get().crosshair) app.crosshair.cancel();
  else if (app.state.get().polygonOn) app.state.set({ polygonOn: false });
  else if (app.state.get().toolId !== 'select') app.setTool('select');
  else app.select(null);
  app.tool().cancel?.();
}
