/** Whether everything that was done is stored. */

import { h } from '../dom.js';

const TEXTS = {
  saved: ['Saved', 'Everything is stored on the server.'],
  saving: ['Saving…', 'On its way to the server.'],
  offline: ['Offline', 'The server can’t be reached. Nothing is lost: it is sent again until it arrives. Keep this page open.'],
  busy: ['Waiting', 'The server is busy, or the model is still being loaded. It goes on by itself.'],
  storage: ['Not stored', 'The server can’t write its database; is its disk full? Nothing is lost: it is sent again until it is stored. Keep this page open.'],
  unauthorised: ['Signed out', 'Sign in again in another tab of this browser; then this page goes on by itself. Keep it open.'],
};

const PATIENCE_MS = 250;

/** @param {import('../app.js').App} app */
export function createSync(app) {
  const element = h('span', { class: 'os-sync', role: 'status', 'data-testid': 'sync' });
  let timer = 0;

  function draw() {
    const { sync, unsaved } = app.state.get();
    const [text, title] = TEXTS[sync];
    element.textContent = unsaved > 1 ? `${text} (${unsaved})` : text;
    element.title = title;
    element.className = `os-sync os-sync-${sync}`;
    element.dataset.state = sync;
  }

  let shown = '';
  app.state.on(['sync', 'unsaved'], () => {
    const { sync } = app.state.get();
    clearTimeout(timer);
    // Most acts take a blink: words that flicker would only disturb.
    if (sync === 'saving') {
      element.dataset.state = 'saving';
      timer = setTimeout(draw, PATIENCE_MS);
    } else draw();
    if (['offline', 'storage', 'unauthorised'].includes(sync) && sync !== shown) app.toast(TEXTS[sync][1], { kind: 'error', seconds: 10 });
    shown = sync;
  });
  return element;
}
