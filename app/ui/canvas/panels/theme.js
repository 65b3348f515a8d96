/** Dark, light, or as the system has it. Gradio's other tabs follow. */

import { loadPreferences, savePreferences } from '../preferences.js';

const system = matchMedia('(prefers-color-scheme: dark)');

/** @param {import('../app.js').App} app */
function apply(app) {
  const chosen = loadPreferences().theme;
  const isDark = chosen ? chosen === 'dark' : system.matches;
  app.root.dataset.theme = isDark ? 'dark' : 'light';
  document.body.classList.toggle('dark', isDark);
}

/** @param {import('../app.js').App} app */
export function followTheme(app) {
  apply(app);
  system.addEventListener('change', () => apply(app));
}

/** @param {import('../app.js').App} app */
export function cycleTheme(app) {
  const wanted = app.root.dataset.theme === 'dark' ? 'light' : 'dark';
  // What the system has anyway is not remembered, so that it keeps following the system.
  savePreferences({ theme: wanted === (system.matches ? 'dark' : 'light') ? undefined : wanted });
  apply(app);
}
