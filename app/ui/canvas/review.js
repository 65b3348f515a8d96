/** Walking through annotations, and deciding about them: the keys that are pressed all day. */

import { ApiError } from './api.js';

const PENDING = ['proposed', 'needs work'];

/** @param {unknown} error */
function lost(error) {
  if (error instanceof ApiError && error.kind === 'offline') {
    throw new ApiError('lost', 'The connection broke: the photo is read again, see whether the step was undone.');
  }
  throw error;
}

/** @param {import('./app.js').App} app */
export function createReview(app) {
  const { state } = app;

  /** The next annotation that waits for a decision, after this one, then from the start. @param {number | string} id */
  function nextPending(id) {
    const { annotations, states } = state.get();
    const at = annotations.findIndex((one) => one.id === id);
    const order = [...annotations.slice(at + 1), ...annotations.slice(0, Math.max(at, 0))];
    return order.find((one) => states.includes(one.state)) ?? null;
  }

  return {
    /** @param {1 | -1} step */
    walk(step) {
      const { annotations, selectedId } = state.get();
      if (!annotations.length) return;
      const at = annotations.findIndex(({ id }) => id === selectedId);
      const next = at < 0 ? (step > 0 ? 0 : annotations.length - 1) : (at + step + annotations.length) % annotations.length;
      app.select(annotations[next].id, { reveal: true });
    },

    /** Decide, and go on to what waits next: here, or on the next photo. @param {import('./types.js').State} value */
    decide(value) {
      const selected = app.selected();
      if (!selected || !app.mayWrite()) return;
      if (value === 'accepted' && !selected.mask && !selected.iscrowd) {
        app.toast('There is no mask to accept yet. M makes one from the box.');
        return;
      }
      const next = nextPending(selected.id);
      const saved = app.acts.setState(selected, value);
      if (next) {
        app.select(next.id, { reveal: true });
        return;
      }
      void saved.then((changed) => {
        if (changed) void app.navigate.advance();
      });
    },

    acceptAll() {
      const pending = state.get().annotations.filter((one) => PENDING.includes(one.state) && one.mask && typeof one.id === 'number');
      if (!pending.length || !app.mayWrite()) {
        app.toast('Nothing with a mask waits for a decision here.');
        return;
      }
      void app.acts.setStates(pending, 'accepted').then((changed) => {
        if (!changed) return;
        const rest = state.get().annotations.find((one) => one.state === 'proposed');
        if (rest) app.select(rest.id, { reveal: true });
        else void app.navigate.advance();
      });
    },

    /** Say that nothing is left to do on this photo, or take that back. */
    async toggleDone() {
      const { image } = state.get();
      if (!image || !app.mayWrite()) return;
      const reviewed = !image.reviewed;
      try {
        await app.outbox.add(() => app.api.post(`images/${image.id}/reviewed`, { reviewed }));
      } catch (error) {
        app.toast(error instanceof Error ? error.message : String(error), { kind: 'error' });
        return;
      }
      if (state.get().image?.id === image.id) state.set({ image: { ...image, reviewed } });
      app.progress.refresh();
      if (reviewed) void app.navigate.advance();
    },

    /** Undo and redo reach over photos and sessions: go where it happened, and show it. @param {'undo' | 'redo'} way */
    async travel(way) {
      app.before.forget();
      let answer;
      try {
        // Never sent twice: a lost answer must not undo two acts. The photo is read again instead.
        answer = await app.outbox.add(() => app.api.post(way).catch(lost));
      } catch (error) {
        app.toast(error instanceof Error ? error.message : String(error));
        await app.navigate.reread();
        return;
      }
      const touched = answer.annotations.find((/** @type {any} */ one) => !one.deleted);
      if (answer.image_id !== null && answer.image_id !== state.get().image?.id) {
        await app.navigate.open(answer.image_id, { select: touched?.id ?? null });
      } else {
        app.acts.upsert(answer.annotations);
        if (touched) app.select(touched.id, { reveal: true });
      }
      app.toast(`${way === 'undo' ? 'Undone' : 'Done again'}: ${answer.kind}.`);
      app.progress.refresh();
    },
  };
}
