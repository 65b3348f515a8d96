/**
 * Everything an annotator does to annotations. Each act shows at once, goes through the outbox, and is corrected by what
 * the server answers; if the server refuses, the photo is read again, so that the page never shows what is not stored.
 */

import { ApiError } from './api.js';
import { explain } from './conflict.js';

/** @typedef {import('./types.js').Annotation} Annotation */

/** @param {import('./app.js').App} app */
export function createActs(app) {
  const { api, outbox, state } = app;
  /** @type {Map<number | string, number>} what the server called the annotations that were made here */
  const names = new Map();
  let made = 0;

  const idOf = (/** @type {number | string} */ id) => names.get(id) ?? id;
  const find = (/** @type {number | string} */ id) => state.get().annotations.find((one) => one.id === idOf(id));
  // A deleted one has left the list already; while an act is on its way, the version is that of its answer.
  const versionOf = (/** @type {Annotation} */ annotation) => find(annotation.id)?.version ?? annotation.version;

  /** Put annotations in place of their older selves, or at the end; deleted ones leave. @param {Annotation[]} changed */
  function upsert(changed) {
    const { image, annotations } = state.get();
    const next = [...annotations];
    for (const one of changed) {
      if (one.image_id !== image?.id) continue;
      const at = next.findIndex(({ id }) => id === one.id);
      if (one.deleted && at >= 0) next.splice(at, 1);
      else if (!one.deleted && at >= 0) next[at] = one;
      else if (!one.deleted) next.push(one);
    }
    state.set({ annotations: next });
  }

  /** What the act will probably look like, until the answer comes. */
  function expect(/** @type {number | string} */ id, /** @type {Partial<Annotation>} */ patch) {
    const found = find(id);
    if (found) upsert([{ ...found, ...patch, waiting: true }]);
  }

  /**
   * @param {Annotation | null} annotation
   * @param {(lost: number) => Promise<any>} send
   * @param {{since?: number}} [options] `since`: when the hand let go, to measure how long the mask took
   * @returns {Promise<Annotation[] | null>} null where the server refused
   */
  async function act(annotation, send, { since } = {}) {
    app.before.forget();
    try {
      const answer = await outbox.add(async (lost) => {
        const found = await send(lost).catch((error) => settled(error, annotation, lost));
        if (lost > 0) await app.navigate.reread(); // the lost answer may have told of more than this one does
        return found;
      });
      const changed = answer.annotations ?? [answer.annotation];
      upsert(changed);
      // The act was stored, but no mask could be made: the server says why.
      if (answer.reason) app.toast(answer.reason, { kind: 'error' });
      app.progress.refresh();
      if (since !== undefined) app.stage.painted(() => app.measure(performance.now() - since));
      return changed;
    } catch (error) {
      await refuse(error, annotation);
      return null;
    }
  }

  /**
   * After a lost answer the act may have been stored all the same: then the annotation is one version further, by us.
   * @param {unknown} error @param {Annotation | null} annotation null for several @param {number} lost answers
   */
  function settled(error, annotation, lost) {
    const { theirs, by } = error instanceof ApiError ? error.detail : { theirs: null, by: '' };
    const known = theirs && (annotation ?? find(theirs.id));
    const isOurs = known && by === state.get().session?.user && theirs.version === versionOf(known) + 1;
    if (lost > 0 && isOurs) return { annotation: theirs };
    throw error;
  }

  /** @param {unknown} error @param {Annotation | null} annotation */
  async function refuse(error, annotation) {
    if (!(error instanceof ApiError)) throw error;
    if (error.kind === 'conflict') {
      const text = explain(app, annotation && (find(annotation.id) ?? annotation), error);
      if (error.detail.theirs) upsert([error.detail.theirs]);
      app.toast(text, { kind: 'conflict', seconds: 12 });
    } else if (error.kind === 'leased') {
      app.toast(error.message, { kind: 'error', seconds: 8 });
    } else {
      app.toast(error.message, { kind: 'error' });
    }
    await app.navigate.reread();
  }

  const path = (/** @type {Annotation} */ annotation, /** @type {string} */ rest = '') => `annotations/${idOf(annotation.id)}${rest}`;
  const one = (/** @type {Annotation} */ annotation, /** @type {string} */ what, /** @type {object} */ body = {}) => () =>
    api.post(path(annotation, `/${what}`), { version: versionOf(annotation), ...body });
  const patch = (/** @type {Annotation} */ annotation, /** @type {object} */ body) => () =>
    api.patch(path(annotation), { version: versionOf(annotation), ...body });

  return {
    upsert,
    idOf,

    /** @param {import('./types.js').Box} box @param {number} since */
    async createBox(box, since) {
      const { image, activeCategory, session } = state.get();
      if (!image) return null;
      const provisional = /** @type {Annotation} */ ({
        ...{ id: `new-${(made += 1)}`, image_id: image.id, category_id: activeCategory, box, mask: null, form: 'auto' },
        ...{ simplify: 0, quality: null, source: 'human', state: 'proposed', iscrowd: false, author: session?.user ?? '' },
        ...{ version: 0, deleted: false, waiting: true },
      });
      upsert([provisional]);
      app.select(provisional.id);
      const changed = await act(
        null,
        async (lost) => {
          const found = lost > 0 ? await arrived(provisional, image.id) : null;
          const answer = found ?? (await api.post(`images/${image.id}/annotations`, { box, category_id: provisional.category_id, decode: true }));
          names.set(provisional.id, answer.annotation.id);
          // The same place in the list and the same selection, under the server's name.
          const { annotations, selectedId } = state.get();
          state.set({
            annotations: annotations.map((item) => (item.id === provisional.id ? answer.annotation : item)),
            selectedId: selectedId === provisional.id ? answer.annotation.id : selectedId,
          });
          return answer;
        },
        { since },
      );
      return changed;
    },

    /** @param {Annotation} annotation @param {import('./types.js').Box} box */
    changeBox(annotation, box) {
      // What was painted by hand is not thrown away because its box was moved.
      const decode = annotation.source !== 'human' || !annotation.mask;
      if (!decode) app.toast('The painted mask is kept. M makes it anew from the box.');
      expect(annotation.id, { box });
      return act(annotation, patch(annotation, { box, decode }), { since: performance.now() });
    },

    /** Another class: the text changes, so the mask does. @param {Annotation} annotation @param {number} categoryId */
    setCategory(annotation, categoryId) {
      if (annotation.category_id === categoryId) return Promise.resolve(null);
      const isPainted = annotation.source === 'human' && annotation.mask !== null;
      const decode = annotation.box !== null && !isPainted && !annotation.iscrowd;
      if (isPainted) app.toast('The painted mask is kept. M makes it anew for this class.');
      expect(annotation.id, { category_id: categoryId });
      return act(annotation, patch(annotation, { category_id: categoryId, decode }), { since: performance.now() });
    },

    /** @param {Annotation} annotation @param {import('./types.js').State} value */
    setState(annotation, value) {
      expect(annotation.id, { state: value });
      return act(annotation, patch(annotation, { state: value }));
    },

    /** @param {Annotation} annotation @param {'auto' | 'polygon' | 'rle'} form @param {number} simplify */
    setForm: (annotation, form, simplify) => act(annotation, patch(annotation, { form, simplify })),

    /** @param {Annotation} annotation */
    decode(annotation) {
      expect(annotation.id, {});
      return act(annotation, one(annotation, 'decode'), { since: performance.now() });
    },

    /** @param {Annotation} annotation @param {import('./types.js').Point} at @param {boolean} include @param {number} since */
    repair: (annotation, [x, y], include, since) => act(annotation, one(annotation, 'repair', { x, y, include }), { since }),

    /** @param {Annotation} annotation @param {{points: import('./types.js').Point[], radius: number, erase: boolean}} stroke @param {number} since */
    stroke: (annotation, { points, radius, erase }, since) =>
      act(annotation, one(annotation, 'stroke', { points, radius, erase }), { since }),

    /** @param {Annotation} annotation */
    split: (annotation) => act(annotation, one(annotation, 'split')),

    /** @param {Annotation} annotation */
    fillHoles: (annotation) => act(annotation, one(annotation, 'fill')),

    /** @param {Annotation} annotation */
    async remove(annotation) {
      app.selectNeighbour(annotation.id);
      expect(annotation.id, { deleted: true });
      return act(annotation, () => api.remove(path(annotation, `?version=${versionOf(annotation)}`)));
    },

    async convertAll() {
      const { image } = state.get();
      if (!image) return null;
      /** @type {{id: number, reason: string}[]} */
      let failed = [];
      const since = performance.now();
      const changed = await act(
        null,
        async () => {
          const answer = await api.post(`images/${image.id}/convert`, { redo: false });
          failed = answer.failed ?? [];
          return answer;
        },
        { since },
      );
      if (failed.length) app.toast(`${failed.length} without a mask: ${failed[0].reason}`, { kind: 'error' });
      else if (changed) app.toast(changed.length ? `${changed.length} masks made.` : 'Every box has a mask already.');
      return changed;
    },

    /** What the model sees on this photo and nobody has marked yet, as proposals. */
    async findObjects() {
      const { image, project, findThreshold: threshold } = state.get();
      if (!image) return null;
      let known = 0;
      const since = performance.now();
      const done = app.toast('Looking for objects …', { seconds: 120 });
      const changed = await act(
        null,
        async () => {
          const answer = await api.post(`images/${image.id}/propose`, { threshold });
          known = answer.known ?? 0;
          return answer;
        },
        { since },
      ).finally(done);
      if (!changed) return null;
      const rest = known ? ` ${known} more are marked already.` : '';
      if (changed.length) app.toast(`${changed.length} found: accept, change or reject them.${rest}`);
      else if (known) app.toast('Nothing new: what the model sees is marked already.');
      else app.toast(`The model sees none of the classes here with a score of ${(threshold ?? project.threshold).toFixed(2)} or more.`);
      return changed;
    },

    /** @param {Annotation[]} some @param {import('./types.js').State} value */
    setStates(some, value) {
      some.forEach(({ id }) => expect(id, { state: value }));
      return act(null, () =>
        api.post('annotations/batch', { annotations: some.map((item) => ({ id: idOf(item.id), version: versionOf(item) })), state: value }),
      );
    },
  };

  /** A box that was stored although its answer got lost: the same box and class, by us, not known here yet. */
  async function arrived(/** @type {Annotation} */ provisional, /** @type {number} */ imageId) {
    const image = await api.get(`images/${imageId}`);
    const known = new Set(state.get().annotations.map(({ id }) => id));
    const found = image.annotations.find(
      (/** @type {Annotation} */ item) =>
        !known.has(item.id) &&
        item.author === state.get().session?.user &&
        item.category_id === provisional.category_id &&
        JSON.stringify(item.box) === JSON.stringify(provisional.box),
    );
    return found ? { annotation: found } : null;
  }
}
