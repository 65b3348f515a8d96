/** Find a photo by its name. */

import { h } from '../dom.js';
import { createFinder } from './dialog.js';

const SHOWN = 50;

/** @param {import('../app.js').App} app */
export function createGoto(app) {
  return createFinder({
    title: 'Go to a photo',
    placeholder: 'Part of a file name…',
    testid: 'goto',
    onClose: () => app.stage.element.focus({ preventScroll: true }),
    async find(text) {
      try {
        const answer = await app.api.get(`images?limit=${SHOWN}&offset=0&search=${encodeURIComponent(text)}`);
        const images = answer.images ?? answer;
        return images.map((/** @type {any} */ one) => ({
          item: one.id,
          node: h('span', { class: 'os-inline' }, h('span', { class: 'os-grow' }, one.file_name), h('small', {}, one.reviewed ? 'done' : one.pending ? `${one.pending} to do` : one.total ? 'decided' : 'empty')),
        }));
      } catch (error) {
        app.toast(error instanceof Error ? error.message : String(error), { kind: 'error' });
        return [];
      }
    },
    choose: (id) => void app.navigate.open(/** @type {number} */ (id)),
  });
}
