/** Where we are in the project, and the order of photos. */

import { fill, h, show } from '../dom.js';
import { commandButton, keepFocus } from './buttons.js';
import { icon } from './icons.js';
import { createSync } from './sync.js';
import { cycleTheme } from './theme.js';

const ORDERS = { quality: 'Worst first', class: 'By class', file: 'File order', random: 'Random' };
const WORK = [
  { text: 'To do', states: ['proposed', 'needs work'], includeDone: false },
  { text: 'New only', states: ['proposed'], includeDone: false },
  { text: 'Needs work', states: ['needs work'], includeDone: false },
  { text: 'All photos', states: ['proposed', 'needs work'], includeDone: true }, // to look at what was decided
];

/** @param {import('../app.js').App} app */
export function createTopbar(app) {
  const { state } = app;
  const name = h('button', {
    type: 'button',
    class: 'os-photo-name',
    title: 'Go to a photo by name  (/)',
    'data-testid': 'photo-name',
    onmousedown: keepFocus,
    onclick: () => app.panels.openGoto(),
  });
  const done = commandButton(app, 'done', { icon: 'done', text: 'Photo done' });
  const order = h(
    'select',
    { 'aria-label': 'Order of photos', 'data-testid': 'order', title: 'Order of photos  (O)', onchange: () => choose({ order: order.value }) },
    ...Object.entries(ORDERS).map(([value, text]) => h('option', { value }, text)),
  );
  const filter = h('select', {
    'aria-label': 'Only photos with this class',
    'data-testid': 'filter',
    onchange: () => choose({ filterCategory: filter.value === '' ? null : Number(filter.value) }),
  });
  const work = h(
    'select',
    {
      'aria-label': 'Which photos: those with work, or all',
      'data-testid': 'work',
      onchange: () => {
        const { states, includeDone } = WORK[Number(work.value)];
        choose({ states, includeDone });
      },
    },
    ...WORK.map(({ text }, at) => h('option', { value: String(at) }, text)),
  );
  const bar = h('div', { class: 'os-progress-fill' });
  const count = h('span', { class: 'os-progress-text', 'data-testid': 'progress' });
  const progress = h('div', { class: 'os-progress', role: 'progressbar', 'aria-label': 'Photos finished', 'aria-valuemin': '0' }, h('div', { class: 'os-progress-track' }, bar), count);
  const model = h('span', { class: 'os-model', 'data-testid': 'model' });

  /** @param {Partial<ReturnType<typeof state.get>>} patch */
  function choose(patch) {
    state.set(patch);
    app.stage.element.focus({ preventScroll: true });
    void app.navigate.restart();
  }

  state.on(['image', 'loading'], () => {
    const { image, project } = state.get();
    const short = image ? image.file_name.split('/').pop() ?? image.file_name : 'No photo';
    fill(name, h('span', { class: 'os-file' }, short), image && project ? h('span', { class: 'os-place' }, `${image.position + 1} / ${project.images}`) : null);
    if (image) name.setAttribute('aria-label', `Photo ${image.file_name}, ${image.position + 1} of ${project?.images ?? '?'}. Go to another one.`);
    done.setAttribute('aria-pressed', String(Boolean(image?.reviewed)));
  });
  state.on(['categories', 'filterCategory', 'order', 'states', 'includeDone'], () => {
    const { categories, filterCategory, order: now, states, includeDone } = state.get();
    fill(filter, h('option', { value: '' }, 'All classes'), ...categories.map((one) => h('option', { value: String(one.id) }, one.name)));
    filter.value = filterCategory === null ? '' : String(filterCategory);
    order.value = now;
    const chosen = WORK.findIndex((one) => one.states.join() === states.join() && one.includeDone === includeDone);
    work.value = String(Math.max(0, chosen));
  });
  state.on(['progress'], () => {
    const found = state.get().progress;
    show(progress, Boolean(found?.images));
    if (!found?.images) return;
    bar.style.width = `${(100 * found.images_done) / found.images}%`;
    count.textContent = `${found.images_done} of ${found.images} done`;
    progress.setAttribute('aria-valuemax', String(found.images));
    progress.setAttribute('aria-valuenow', String(found.images_done));
  });
  state.on(['project'], () => {
    const found = state.get().project?.model;
    show(model, Boolean(found && found.state !== 'ready'));
    if (!found) return;
    model.className = `os-model os-model-${found.state}`;
    model.textContent = found.state === 'failed' ? 'Model failed' : 'Model is loading…';
    model.title = found.message ?? '';
  });

  return {
    element: h(
      'header',
      { class: 'os-topbar' },
      commandButton(app, 'previous', { icon: 'previous' }),
      name,
      commandButton(app, 'next', { icon: 'next' }),
      done,
      h('span', { class: 'os-gap' }),
      order,
      filter,
      work,
      progress,
      h('span', { class: 'os-spring' }),
      model,
      createSync(app),
      userBadge(app),
      h('button', { type: 'button', class: 'os-button', 'aria-label': 'Dark or light', title: 'Dark or light', onmousedown: keepFocus, onclick: () => cycleTheme(app) }, icon('theme')),
    ),
    focusOrder: () => order.focus(),
  };
}

/** Who is signed in, and the way out. @param {import('../app.js').App} app */
function userBadge(app) {
  const name = h('span', { 'data-testid': 'user' });
  const leave = h('button', { type: 'button', class: 'os-link', onclick: signOut }, 'Sign out');
  async function signOut() {
    await app.outbox.idle();
    await fetch('/logout', { method: 'POST', headers: { 'X-CSRF-Token': app.state.get().session?.csrf ?? '' } });
    location.assign('/login');
  }
  app.state.on(['session'], () => {
    const { session } = app.state.get();
    name.textContent = session?.user ?? '';
    name.title = session?.user ?? '';
    show(leave, Boolean(session?.login));
  });
  return h('span', { class: 'os-user' }, name, leave);
}
