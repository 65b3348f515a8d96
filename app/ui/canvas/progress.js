/** How far the project is. Asked for rarely: it counts everything. */

const PAUSE_MS = 1500;
const LONGEST_MS = 6000; // somebody who decides every second wants to see the number move too

/** @param {import('./app.js').App} app */
export function createProgress(app) {
  let timer = 0;
  let due = 0;

  async function ask() {
    due = 0;
    try {
      app.state.set({ progress: await app.api.get('progress') });
    } catch {
      // the number on screen stays; the outbox tells about a lost connection
    }
  }

  return {
    refresh() {
      const now = performance.now();
      due ||= now + LONGEST_MS;
      clearTimeout(timer);
      timer = setTimeout(ask, Math.max(0, Math.min(PAUSE_MS, due - now)));
    },
    ask,
  };
}
