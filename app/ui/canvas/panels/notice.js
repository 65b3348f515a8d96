/** What lies over the photo when there is something to know: read-only, broken, all done. */

import { fill, h, show } from '../dom.js';
import { keepFocus } from './buttons.js';

/** @param {import('../app.js').App} app */
export function createNotice(app) {
  const banner = h('div', { class: 'os-banner', role: 'status', 'data-testid': 'banner' });
  const middle = h('div', { class: 'os-middle', 'data-testid': 'middle' });

  app.state.on(['image', 'photo', 'photoProblem', 'loading', 'finished', 'session', 'annotations'], () => {
    const { image, photo, photoProblem, loading, finished, annotations } = app.state.get();
    const notes = [];
    if (image && app.isReadOnly()) notes.push(`${image.lease_by} is working on this photo. You can look; changes are not possible until it is free.`);
    if (image?.problem) notes.push(image.problem);
    if (finished && image) notes.push('Nothing is left to do in this order. N goes on looking, P goes back.');
    show(banner, notes.length > 0);
    banner.className = `os-banner ${finished && notes.length === 1 ? 'os-banner-good' : ''}`;
    fill(banner, ...notes.map((text) => h('span', {}, text)));

    if (finished && !image) {
      fill(
        middle,
        h('h2', {}, 'Nothing is left to do'),
        h('p', {}, 'Every photo of this selection is finished, or somebody is working on it.'),
        h('button', { type: 'button', class: 'os-button os-primary', onmousedown: keepFocus, onclick: () => app.panels.openGoto() }, h('span', {}, 'Go to a photo')),
      );
    } else if (photoProblem) fill(middle, h('h2', {}, 'This photo can’t be shown'), h('p', {}, photoProblem));
    else if (image && photo && !annotations.length) fill(middle);
    else fill(middle, image && !photo && loading ? h('p', { class: 'os-muted' }, 'Opening…') : null);
    show(middle, middle.childNodes.length > 0);
  });
  return [banner, middle];
}
