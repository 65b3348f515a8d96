/** Choices of this browser that outlive the page: theme, opacity, order. Never anything that was labelled. */

const KEY = 'openseed-label';

/** @returns {Record<string, any>} */
export function loadPreferences() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? '{}');
    return found && typeof found === 'object' ? found : {};
  } catch {
    return {}; // storage is switched off, or holds something else
  }
}

/** @param {Record<string, any>} patch */
export function savePreferences(patch) {
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...loadPreferences(), ...patch }));
  } catch {
    // private windows refuse to store; the choice then lasts as long as the page
  }
}
