/** What the page knows right now, and who wants to hear when it changes. */

/**
 * @template {Record<string, any>} T
 * @param {T} initial
 * @returns {{get: () => T, set: (patch: Partial<T>) => void, on: (keys: (keyof T)[], listener: () => void) => void}}
 */
export function createState(initial) {
  const current = { ...initial };
  /** @type {{keys: Set<keyof T>, listener: () => void}[]} */
  const listeners = [];
  /** @type {Set<keyof T>} */
  const changed = new Set();
  let scheduled = false;

  function tell() {
    scheduled = false;
    const keys = new Set(changed);
    changed.clear();
    for (const entry of listeners) if ([...entry.keys].some((key) => keys.has(key))) entry.listener();
  }

  return {
    get: () => current,
    set(patch) {
      for (const key of Object.keys(patch)) {
        if (Object.is(current[key], patch[key])) continue;
        /** @type {any} */ (current)[key] = patch[key];
        changed.add(key);
      }
      // One microtask for all changes of one step: panels are drawn once, with everything in place.
      if (changed.size && !scheduled) {
        scheduled = true;
        queueMicrotask(tell);
      }
    },
    on(keys, listener) {
      listeners.push({ keys: new Set(keys), listener });
      listener();
    },
  };
}
