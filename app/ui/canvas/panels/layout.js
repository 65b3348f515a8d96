/** Where the panels are. */

import { h } from '../dom.js';
import { createClasses } from './classes.js';
import { createFinding } from './finding.js';
import { createGoto } from './goto.js';
import { createHelp } from './help.js';
import { createInspector } from './inspector.js';
import { createList } from './list.js';
import { createLook } from './look.js';
import { createNotice } from './notice.js';
import { createStatusbar } from './statusbar.js';
import { createToolbar } from './toolbar.js';
import { createTopbar } from './topbar.js';

/** @typedef {ReturnType<typeof createPanels>} Panels */

/** @param {import('../app.js').App} app */
export function createPanels(app) {
  const topbar = createTopbar(app);
  const toolbar = createToolbar(app);
  const list = createList(app);
  const classes = createClasses(app);
  const goto = createGoto(app);
  const help = createHelp(app);
  const side = h('aside', { class: 'os-side', 'aria-label': 'Annotations' }, createInspector(app), list.element, createFinding(app), createLook(app));
  const middle = h('div', { class: 'os-centre' }, app.stage.element, ...createNotice(app), app.toasts.element);
  app.root.append(topbar.element, toolbar, middle, side, createStatusbar(app), classes.element, goto.element, help.element);

  /** F6 goes round: photo, list, top bar, tools. */
  const regions = [
    () => app.stage.element.focus({ preventScroll: true }),
    () => list.focus(),
    () => topbar.element.querySelector('button')?.focus(),
    () => toolbar.querySelector('button')?.focus(),
  ];
  const parts = [app.stage.element, side, topbar.element, toolbar];

  return {
    isDialogOpen: () => classes.isOpen() || goto.isOpen() || help.isOpen(),
    openClasses: classes.open,
    chooseCategory: classes.choose,
    openGoto: goto.open,
    toggleHelp: help.toggle,
    focusOrder: topbar.focusOrder,
    nextRegion() {
      const at = parts.findIndex((part) => part.contains(document.activeElement));
      regions[(at + 1) % regions.length]();
    },
  };
}
