/** The page's entry: build the canvas inside an element, sign in, open the first photo. */

import { ApiError, isPassing } from './api.js';
import { createApp } from './app.js';
import { h } from './dom.js';
import { listenToKeys } from './keyboard.js';
import { createPanels } from './panels/layout.js';
import { followTheme } from './panels/theme.js';
import { listenToPointer } from './view/pointer.js';

const STYLES = ['theme', 'layout', 'controls', 'bars', 'sidebar', 'notices', 'dialogs'];
const MODEL_MS = 1500;
const AGAIN_MS = 2000;

/** @param {HTMLElement} element @returns {Promise<HTMLElement>} the canvas, once a photo is on its way */
export async function mount(element) {
  await Promise.all(STYLES.map(loadStyle));
  const root = h('div', { class: 'os-root', 'data-testid': 'canvas', lang: 'en' });
  const app = createApp(root);
  followTheme(app);
  app.panels = createPanels(app);
  listenToPointer(app);
  listenToKeys(app);
  expose(app);
  element.replaceChildren(root);
  app.font = getComputedStyle(root).fontFamily || app.font;
  app.stage.element.focus({ preventScroll: true });
  await begin(app);
  refreshOnReturn(app);
  return root;
}

/** Classes and annotations may have been changed on the page's other tabs: look again when the canvas is back in front. */
function refreshOnReturn(/** @type {import('./app.js').App} */ app) {
  let isAway = false;
  const observer = new IntersectionObserver(async ([entry]) => {
    const isBack = isAway && entry.isIntersecting;
    isAway = !entry.isIntersecting;
    if (!isBack) return;
    app.stage.element.focus({ preventScroll: true });
    const project = await app.api.get('project').catch(() => null);
    if (project) app.state.set({ project, categories: project.categories });
    await app.outbox.idle();
    await app.navigate.reread();
    app.progress.refresh();
  });
  observer.observe(app.root);
}

/** @param {string} name @returns {Promise<unknown>} drawing waits for it: sizes depend on it */
function loadStyle(name) {
  const href = new URL(`css/${name}.css`, import.meta.url).href;
  if (document.querySelector(`link[href="${href}"]`)) return Promise.resolve();
  return new Promise((resolve) => {
    const link = h('link', { rel: 'stylesheet', href, onload: resolve, onerror: resolve });
    document.head.append(link);
  });
}

/** @param {import('./app.js').App} app */
async function begin(app) {
  try {
    const session = await app.api.session();
    const project = await app.api.get('project');
    const { activeCategory, filterCategory } = app.state.get();
    const known = (/** @type {number | null} */ id) => project.categories.some((/** @type {any} */ one) => one.id === id);
    app.state.set({
      session,
      project,
      categories: project.categories,
      activeCategory: known(activeCategory) ? activeCategory : project.categories[0]?.id ?? null,
      filterCategory: known(filterCategory) ? filterCategory : null,
    });
  } catch (error) {
    if (error instanceof ApiError && error.kind === 'unauthorised') {
      location.assign(`/login?next=${encodeURIComponent(location.pathname)}`);
      return;
    }
    app.toast(error instanceof Error ? error.message : String(error), { kind: 'error' });
    if (isPassing(error)) setTimeout(() => begin(app), AGAIN_MS);
    return;
  }
  void app.progress.ask();
  void watchModel(app);
  await app.navigate.start();
}

/** The model loads while the first photo is looked at. @param {import('./app.js').App} app */
async function watchModel(app) {
  while (app.state.get().project.model.state === 'loading') {
    await new Promise((resolve) => setTimeout(resolve, MODEL_MS));
    const project = await app.api.get('project').catch(() => null);
    if (project) app.state.set({ project });
  }
}

/** What tests and benchmarks may look at, in photo pixels. @param {import('./app.js').App} app */
function expose(app) {
  const { state, viewport, stage } = app;
  Object.defineProperty(app.root, 'openseed', {
    value: Object.freeze({
      get imageId() {
        return state.get().image?.id ?? null;
      },
      get image() {
        return state.get().image;
      },
      get annotations() {
        return state.get().annotations;
      },
      get selectedId() {
        return state.get().selectedId;
      },
      get lastMaskMs() {
        return state.get().maskMs;
      },
      /** How often it was measured: two masks may well take equally long. */
      get masksTimed() {
        return state.get().masksTimed;
      },
      get busy() {
        return state.get().loading || app.outbox.waiting() > 0 || (state.get().image !== null && !state.get().photo && !state.get().photoProblem);
      },
      /** @param {import('./types.js').Point} point photo pixels -> window */
      toClient: (point) => stage.toClient(viewport.toStage(point)),
      /** @param {import('./types.js').Point} point window -> photo pixels */
      toPhoto: ([x, y]) => viewport.toPhoto(stage.fromClient(x, y)),
    }),
  });
}
