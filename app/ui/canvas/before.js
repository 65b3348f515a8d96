/** The selected annotation as it was before the last act on it: for the blink key and the pictures side by side. */

/** @param {import('./app.js').App} app */
export function createBefore(app) {
  /** @type {string | null} which annotation in which version is known */
  let known = null;
  let timer = 0;

  async function look() {
    const selected = app.selected();
    const key = selected && typeof selected.id === 'number' ? `${selected.id}@${selected.version}` : null;
    if (key === known) return;
    known = key;
    app.state.set({ previous: null, previousNote: '' });
    if (!selected || !key || selected.version < 2) return;
    try {
      const answer = await app.api.get(`annotations/${selected.id}/previous`);
      if (known !== key) return;
      app.state.set({ previous: answer.annotation, previousNote: [answer.kind, answer.actor].filter(Boolean).join(' by ') });
    } catch {
      known = null; // the next selection asks again
    }
  }

  // Walking through the list with a held key must not ask for each annotation on the way.
  app.state.on(['annotations', 'selectedId'], () => {
    clearTimeout(timer);
    timer = setTimeout(look, 120);
  });

  return {
    forget() {
      known = null;
    },
  };
}
