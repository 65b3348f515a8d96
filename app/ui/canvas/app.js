/** The parts put together. Modules get this object and talk to each other through it; nothing is global. */

import { createActs } from './acts.js';
import { createApi } from './api.js';
import { createBefore } from './before.js';
import { createCrosshair } from './crosshair.js';
import { createMasks } from './masks.js';
import { createNavigate } from './navigate.js';
import { createNudge } from './nudge.js';
import { createOutbox } from './outbox.js';
import { createPhotos } from './photo.js';
import { createPolygonView } from './polygon.js';
import { loadPreferences, savePreferences } from './preferences.js';
import { createProgress } from './progress.js';
import { createReview } from './review.js';
import { createState } from './state.js';
import { createToasts } from './panels/toast.js';
import { boxTool } from './tools/box.js';
import { brushTool } from './tools/brush.js';
import { clickTool } from './tools/click.js';
import { selectTool } from './tools/select.js';
import { drawOverlay } from './view/overlay.js';
import { drawScene } from './view/scene.js';
import { createStage } from './view/stage.js';
import { createViewport } from './view/viewport.js';

const NO_CLASS = '#9aa0a6';
const REMEMBERED = /** @type {const} */ (['order', 'filterCategory', 'states', 'includeDone', 'opacity', 'brushRadius', 'activeCategory', 'boxesShown', 'findThreshold']);

/**
 * @typedef {import('./view/pointer.js').Pointer} Pointer
 * @typedef {object} Tool
 * @property {string} id
 * @property {string} hint
 * @property {string} cursor
 * @property {boolean} [editsBoxes]  whether the selected box shows handles
 * @property {(pointer: Pointer) => void} [down]
 * @property {(pointer: Pointer) => void} [drag]
 * @property {(pointer: Pointer) => void} [up]
 * @property {(pointer: Pointer) => void} [hover]
 * @property {() => void} [cancel]
 * @property {(context: CanvasRenderingContext2D, app: App) => void} [draw]
 * @property {(annotation: import('./types.js').Annotation) => import('./types.js').Box | null} [boxOf]
 * @typedef {ReturnType<typeof createApp>} App
 */

/** @param {HTMLElement} root */
export function createApp(root) {
  const kept = loadPreferences();
  const state = createState({
    session: /** @type {{user: string, csrf: string, login: boolean} | null} */ (null),
    project: /** @type {any} */ (null),
    categories: /** @type {import('./types.js').Category[]} */ ([]),
    progress: /** @type {any} */ (null),
    image: /** @type {import('./types.js').Photo | null} */ (null),
    photo: /** @type {import('./photo.js').LoadedPhoto | null} */ (null),
    photoProblem: '',
    annotations: /** @type {import('./types.js').Annotation[]} */ ([]),
    selectedId: /** @type {number | string | null} */ (null),
    hoverId: /** @type {number | string | null} */ (null),
    previous: /** @type {import('./types.js').Annotation | null} */ (null),
    previousNote: '',
    comparing: false,
    polygonOn: false,
    polygon: /** @type {any} */ (null),
    toolId: 'select',
    activeCategory: /** @type {number | null} */ (kept.activeCategory ?? null),
    brushRadius: Number(kept.brushRadius) || 12,
    opacity: Number(kept.opacity) || 0.45,
    masksShown: true,
    boxesShown: kept.boxesShown !== false,
    findThreshold: kept.findThreshold > 0 && kept.findThreshold < 1 ? Number(kept.findThreshold) : /** @type {number | null} */ (null), // null: the model’s own
    spaceHeld: false,
    crosshair: /** @type {import('./types.js').Point | null} */ (null),
    order: String(kept.order ?? 'quality'),
    filterCategory: /** @type {number | null} */ (kept.filterCategory ?? null),
    states: /** @type {string[]} */ (kept.states ?? ['proposed', 'needs work']),
    includeDone: kept.includeDone === true,
    loading: false,
    finished: false,
    sync: /** @type {'saved' | 'saving' | 'offline' | 'busy' | 'storage' | 'unauthorised'} */ ('saved'),
    unsaved: 0,
    pointer: /** @type {Pointer | null} */ (null),
    maskMs: /** @type {number | null} */ (null),
    masksTimed: 0,
  });

  const api = createApi();
  const viewport = createViewport(() => {
    app.stage.invalidate('scene', 'overlay');
    app.zoomListeners.forEach((listener) => listener());
  });
  const stage = createStage({
    drawScene: (context) => drawScene(context, app),
    drawOverlay: (context) => drawOverlay(context, app),
    onResize: (width, height) => viewport.setSize(width, height),
  });
  const outbox = createOutbox({ onStatus: (sync, unsaved) => state.set({ sync, unsaved }), reconnect: api.session });
  const toasts = createToasts();

  const app = {
    root,
    state,
    api,
    outbox,
    stage,
    viewport,
    toasts,
    toast: toasts.say,
    font: 'system-ui, sans-serif',
    photos: createPhotos(),
    masks: createMasks(),
    zoomListeners: /** @type {(() => void)[]} */ ([]),
    acts: /** @type {ReturnType<typeof createActs>} */ (/** @type {unknown} */ (null)),
    navigate: /** @type {ReturnType<typeof createNavigate>} */ (/** @type {unknown} */ (null)),
    review: /** @type {ReturnType<typeof createReview>} */ (/** @type {unknown} */ (null)),
    progress: /** @type {ReturnType<typeof createProgress>} */ (/** @type {unknown} */ (null)),
    before: /** @type {ReturnType<typeof createBefore>} */ (/** @type {unknown} */ (null)),
    polygonView: /** @type {ReturnType<typeof createPolygonView>} */ (/** @type {unknown} */ (null)),
    crosshair: /** @type {ReturnType<typeof createCrosshair>} */ (/** @type {unknown} */ (null)),
    nudge: /** @type {ReturnType<typeof createNudge>} */ (/** @type {unknown} */ (null)),
    panels: /** @type {import('./panels/layout.js').Panels} */ (/** @type {unknown} */ (null)),
    tools: /** @type {Record<string, Tool>} */ ({}),
    tool: () => app.tools[state.get().toolId],
    setTool,
    pointer: () => state.get().pointer,
    setPointer(/** @type {Pointer | null} */ pointer) {
      state.set({ pointer, ...(pointer ? {} : { hoverId: null }) });
      stage.invalidate('overlay');
    },
    selected: () => state.get().annotations.find(({ id }) => id === state.get().selectedId) ?? null,
    select,
    selectNeighbour,
    isReadOnly: () => {
      const { image, session } = state.get();
      return Boolean(image?.lease_by && image.lease_by !== session?.user);
    },
    mayWrite,
    categoryOf: (/** @type {number | null} */ id) => state.get().categories.find((category) => category.id === id) ?? null,
    classColour: (/** @type {number | null} */ id) => app.categoryOf(id)?.colour ?? NO_CLASS,
    colourOf: (/** @type {import('./types.js').Annotation} */ annotation) => app.classColour(annotation.category_id),
    nameOf: (/** @type {import('./types.js').Annotation} */ annotation) => app.categoryOf(annotation.category_id)?.name ?? 'no class',
    measure: (/** @type {number} */ ms) => state.set({ maskMs: ms, masksTimed: state.get().masksTimed + 1 }),
  };

  function setTool(/** @type {string} */ id) {
    app.tool().cancel?.();
    app.crosshair.cancel();
    state.set({ toolId: id });
    stage.element.style.cursor = app.tool().cursor;
    stage.invalidate('overlay');
  }

  /** @param {number | string | null} id @param {{reveal?: boolean}} [options] `reveal`: bring it into sight if it is not */
  function select(id, { reveal = false } = {}) {
    state.set({ selectedId: id });
    const box = reveal ? app.selected()?.box : null;
    const seen = viewport.seen();
    if (box && (box[2] < seen[0] || box[3] < seen[1] || box[0] > seen[2] || box[1] > seen[3])) viewport.zoomToBox(box);
  }

  function selectNeighbour(/** @type {number | string} */ id) {
    const { annotations } = state.get();
    const at = annotations.findIndex((one) => one.id === id);
    select((annotations[at + 1] ?? annotations[at - 1])?.id ?? null);
  }

  function mayWrite() {
    const { image } = state.get();
    if (!image) return false;
    if (app.isReadOnly()) app.toast(`${image.lease_by} is working on this photo: look, but it can’t be changed from here.`);
    return !app.isReadOnly();
  }

  app.tools = Object.fromEntries(
    [selectTool(app), boxTool(app), clickTool(app, 'include'), clickTool(app, 'exclude'), brushTool(app, 'brush'), brushTool(app, 'eraser')].map(
      (tool) => [tool.id, tool],
    ),
  );
  app.crosshair = createCrosshair(app);
  app.nudge = createNudge(app);
  app.progress = createProgress(app);
  app.before = createBefore(app);
  app.acts = createActs(app);
  app.navigate = createNavigate(app);
  app.review = createReview(app);
  app.polygonView = createPolygonView(app);

  state.on(['photo', 'annotations', 'selectedId', 'opacity', 'masksShown', 'comparing', 'polygon', 'previous', 'categories'], () =>
    stage.invalidate('scene', 'overlay'),
  );
  state.on(['hoverId', 'boxesShown', 'brushRadius', 'toolId', 'crosshair'], () => stage.invalidate('overlay'));
  state.on([...REMEMBERED], () => {
    const now = state.get();
    savePreferences(Object.fromEntries(REMEMBERED.map((key) => [key, now[key]])));
  });
  return app;
}
