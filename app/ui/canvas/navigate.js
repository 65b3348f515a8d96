/** From photo to photo: the queue, the way back, and having the next one ready before it is asked for. */

import { ApiError, isPassing } from './api.js';

const RENEW_MS = 60_000;
const RETRY_MS = 1500;

/** @param {import('./app.js').App} app */
export function createNavigate(app) {
  const { api, state, outbox } = app;
  /** Photos seen in this window, so that "previous" leads to the photo that was just finished. @type {number[]} */
  let trail = [];
  let place = -1;
  /** @type {Promise<unknown> | null} */
  let moving = null;

  /** One move at a time; keys pressed meanwhile are dropped, not queued up. @param {() => Promise<unknown>} move */
  function exclusively(move) {
    if (moving) return moving;
    app.nudge.flush();
    moving = (async () => {
      state.set({ loading: true });
      try {
        await outbox.idle();
        await move();
      } catch (error) {
        report(error);
      } finally {
        moving = null;
        state.set({ loading: false });
      }
    })();
    return moving;
  }

  /** @param {unknown} error */
  function report(error) {
    app.toast(error instanceof Error ? error.message : String(error), { kind: 'error' });
  }

  /**
   * Show a photo that the server has handed out.
   * @param {import('./types.js').Photo} image @param {{select?: number | null}} [options]
   */
  async function show(image, { select } = {}) {
    const isSame = state.get().image?.id === image.id;
    const { annotations, upcoming, ...rest } = image;
    if (!isSame) app.masks.forget();
    state.set({
      image: /** @type {import('./types.js').Photo} */ (rest),
      annotations,
      selectedId: select ?? (isSame ? state.get().selectedId : firstPending(annotations)),
      polygon: null,
      hoverId: null,
      crosshair: null,
      finished: false,
      ...(isSame ? {} : { photo: null, photoProblem: '' }),
    });
    history.replaceState(history.state, '', `#photo=${image.id}`);
    if (!isSame) {
      app.viewport.setPhoto(image.width, image.height);
      app.tool().cancel?.();
    }
    try {
      const photo = await app.photos.load(image);
      if (state.get().image?.id !== image.id) return;
      state.set({ photo, photoProblem: '' });
    } catch (error) {
      if (state.get().image?.id === image.id) state.set({ photoProblem: error instanceof Error ? error.message : String(error) });
    }
    app.stage.invalidate('scene', 'overlay');
    prepare(upcoming ?? []);
  }

  /** Encode and decode what probably comes next, while the annotator looks at this one. @param {number[]} ids */
  function prepare(ids) {
    for (const id of ids.slice(0, 2)) {
      api.post(`images/${id}/prefetch`).catch(() => null); // only a head start
    }
    const [next] = ids;
    if (next === undefined) return;
    // The size is only known when the photo is opened; a wrong guess is decoded again then.
    app.photos.warm(next);
  }

  function remember(/** @type {number} */ id) {
    if (trail[place] === id) return;
    trail = [...trail.slice(0, place + 1), id].slice(-500);
    place = trail.length - 1;
  }

  /** How this window goes through the photos. */
  function wish() {
    const { order, filterCategory, states, includeDone } = state.get();
    return { order, states, include_done: includeDone, ...(filterCategory === null ? {} : { category_id: filterCategory }) };
  }

  /** Open this very photo; the one on screen is free for others again. */
  async function fetchById(/** @type {number} */ id) {
    const here = state.get().image?.id;
    return api.post(`images/${id}/open`, { ...wish(), ...(here === undefined ? {} : { leaving: here }) });
  }

  const openById = async (/** @type {number} */ id, /** @type {{select?: number | null}} */ options = {}) => {
    const image = await fetchById(id);
    remember(id);
    await show(image, options);
  };

  async function ask(/** @type {boolean} */ forward, /** @type {number | null} */ after) {
    const answer = await api.post('queue/next', { ...wish(), forward, ...(after === null ? {} : { after }) });
    if (!answer.image) {
      state.set({ finished: true });
      app.progress.refresh();
      return;
    }
    remember(answer.image.id);
    await show(answer.image);
  }

  const navigate = {
    /** The first photo after loading the page: the one in the address, else the queue's first. */
    start: () =>
      exclusively(async () => {
        const asked = /photo=(\d+)/.exec(location.hash);
        if (asked) {
          try {
            await openById(Number(asked[1]));
            return;
          } catch (error) {
            if (!(error instanceof ApiError) || isPassing(error)) throw error; // a photo of another project: start anew
          }
        }
        await ask(true, null);
      }),
    next: () =>
      exclusively(async () => {
        if (place < trail.length - 1) {
          place += 1;
          await show(await fetchById(trail[place]));
        } else await ask(true, state.get().image?.id ?? null);
      }),
    previous: () =>
      exclusively(async () => {
        if (place > 0) {
          place -= 1;
          await show(await fetchById(trail[place]));
        } else await ask(false, state.get().image?.id ?? null);
      }),
    /** Leave a finished photo for the next one that has work. */
    advance: () =>
      exclusively(async () => {
        place = trail.length - 1;
        await ask(true, state.get().image?.id ?? null);
      }),
    /** Another order or filter: start at its beginning. */
    restart: () => exclusively(() => ask(true, null)),
    /** @param {number} id @param {{select?: number | null}} [options] */
    open: (id, options) => exclusively(() => openById(id, options)),
    show,
    /** What the server has now, after it refused something. */
    async reread() {
      const { image } = state.get();
      if (!image) return;
      try {
        const fresh = await api.get(`images/${image.id}`);
        if (state.get().image?.id === image.id) await show(fresh);
      } catch (error) {
        if (isPassing(error)) setTimeout(() => navigate.reread(), RETRY_MS);
        else report(error);
      }
    },
  };

  setInterval(() => {
    const { image } = state.get();
    if (image && !app.isReadOnly() && document.visibilityState === 'visible') {
      api.post(`images/${image.id}/renew`).catch((error) => {
        if (error instanceof ApiError && error.kind === 'leased') void navigate.reread();
      });
    }
  }, RENEW_MS);

  return navigate;
}

/** @param {import('./types.js').Annotation[]} annotations */
function firstPending(annotations) {
  return (annotations.find(({ state }) => state === 'proposed') ?? annotations.find(({ state }) => state === 'needs work'))?.id ?? null;
}
