/** Choosing a class: for the selected object, else for the boxes to come. */

import { h } from '../dom.js';
import { createFinder } from './dialog.js';

/** @param {import('../app.js').App} app */
export function createClasses(app) {
  const { state, api } = app;
  /** Who asked, if it is not about the selected object. @type {(() => void) | null} */
  let asker = null;

  /** @param {number} id */
  function choose(id) {
    const selected = app.selected();
    state.set({ activeCategory: id });
    if (selected && app.mayWrite()) void app.acts.setCategory(selected, id);
  }

  /** @param {number} id */
  function found(id) {
    if (!asker) {
      choose(id);
      return;
    }
    state.set({ activeCategory: id });
    asker();
  }

  /** @param {string} name */
  async function create(name) {
    try {
      const category = await app.outbox.add(() => api.post('categories', { name }));
      state.set({ categories: [...state.get().categories, category] });
      found(category.id);
    } catch (error) {
      app.toast(error instanceof Error ? error.message : String(error), { kind: 'error' });
    }
  }

  const finder = createFinder({
    title: 'Find a class',
    placeholder: 'Type a class name…',
    testid: 'classes',
    nothing: () => (state.get().categories.length ? 'Nothing found.' : 'Type the name of the first class, then press Enter.'),
    onClose: () => app.stage.element.focus({ preventScroll: true }),
    find(text) {
      const wanted = text.toLowerCase();
      /** @param {import('../types.js').Category} one */
      const rank = (one) => {
        const names = [one.name, ...one.synonyms].map((name) => name.toLowerCase());
        if (names.some((name) => name.startsWith(wanted))) return 0;
        return names.some((name) => name.includes(wanted)) ? 1 : 2;
      };
      const matching = state.get().categories.map((one) => ({ one, rank: rank(one) })).filter((entry) => entry.rank < 2);
      matching.sort((a, b) => a.rank - b.rank);
      const options = matching.map(({ one }) => ({
        item: () => found(one.id),
        node: h(
          'span',
          { class: 'os-inline' },
          h('i', { class: 'os-dot', style: { background: one.colour } }),
          h('span', { class: 'os-grow' }, one.name, one.synonyms.length ? h('small', {}, ` ${one.synonyms.join(', ')}`) : null),
          one.key ? h('kbd', {}, one.key) : null,
        ),
      }));
      const isNew = text && !state.get().categories.some((one) => one.name.toLowerCase() === wanted);
      if (isNew) options.push({ item: () => void create(text), node: h('span', {}, 'New class “', h('b', {}, text), '”') });
      return options;
    },
    choose: (act) => act(),
  });
  // The list may be open before classes added on another tab have arrived.
  state.on(['categories'], () => finder.refresh());

  return {
    ...finder,
    choose,
    /** @param {() => void} [then] what to do once new boxes have a class; left out: it is the selected object's */
    open(then) {
      asker = then ?? null;
      finder.open();
    },
  };
}
