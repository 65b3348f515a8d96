/** How far the project is. Asked for rarely: it counts everything. */

const PAUSE_MS = 1500;

/** @param {import('./app.js').App} app */
export function createProgress(app) {
  let timer = 0;

  async function ask() {
    try {
      app.state.set({ progress: await app.api.get('progress') });
    } catch {
      // the number on screen stays; the outbox tells about a lost connection
    }
  }

  return {
    refresh() {
      clearTimeout(timer);
      timer = setTimeout(ask, PAUSE_MS);
    },
    ask,
  };
}
