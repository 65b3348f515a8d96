/**
 * Where the photo lies on the screen: photo pixel p is at `p * scale + offset`, in CSS pixels from the stage's top left
 * corner. The only place that converts between the two.
 */

const LARGEST_SCALE = 64;
const MARGIN = 24;
const IN_SIGHT = 80;

/** @param {() => void} onChange */
export function createViewport(onChange) {
  const view = { scale: 1, x: 0, y: 0, width: 1, height: 1, photoWidth: 1, photoHeight: 1 };
  let fitted = true;

  const fitScale = () =>
    Math.min((view.width - 2 * MARGIN) / view.photoWidth, (view.height - 2 * MARGIN) / view.photoHeight, LARGEST_SCALE);
  const smallest = () => Math.min(Math.max(fitScale(), 0.001) / 4, 1);

  function change(/** @type {{scale?: number, x?: number, y?: number}} */ next) {
    Object.assign(view, next);
    // A corner of the photo always stays in sight, so that nobody gets lost on an empty canvas.
    const [width, height] = [view.photoWidth * view.scale, view.photoHeight * view.scale];
    view.x = Math.min(Math.max(view.x, IN_SIGHT - width), view.width - IN_SIGHT);
    view.y = Math.min(Math.max(view.y, IN_SIGHT - height), view.height - IN_SIGHT);
    onChange();
  }

  function place(/** @type {number} */ scale, /** @type {import('../types.js').Point} */ [px, py]) {
    change({ scale, x: view.width / 2 - px * scale, y: view.height / 2 - py * scale });
  }

  return {
    view,
    fit() {
      fitted = true;
      place(Math.max(fitScale(), 0.001), [view.photoWidth / 2, view.photoHeight / 2]);
    },
    /** @param {number} width @param {number} height a new photo: all of it in sight */
    setPhoto(width, height) {
      Object.assign(view, { photoWidth: width, photoHeight: height });
      this.fit();
    },
    /** @param {number} width @param {number} height the stage's size in CSS pixels; what is in the middle stays there */
    setSize(width, height) {
      const middle = this.toPhoto([view.width / 2, view.height / 2]);
      Object.assign(view, { width, height });
      if (fitted) this.fit();
      else place(view.scale, middle);
    },
    /** @param {import('../types.js').Point} at stage point that stays where it is @param {number} factor */
    zoomAt([sx, sy], factor) {
      fitted = false;
      const scale = Math.min(Math.max(view.scale * factor, smallest()), LARGEST_SCALE);
      const used = scale / view.scale;
      change({ scale, x: sx - (sx - view.x) * used, y: sy - (sy - view.y) * used });
    },
    /** @param {number} scale CSS pixels per photo pixel, around the middle */
    zoomTo(scale) {
      this.zoomAt([view.width / 2, view.height / 2], scale / view.scale);
    },
    panBy(/** @type {number} */ dx, /** @type {number} */ dy) {
      fitted = false;
      change({ x: view.x + dx, y: view.y + dy });
    },
    /** @param {import('../types.js').Box} box shown as large as is comfortable */
    zoomToBox([x0, y0, x1, y1]) {
      fitted = false;
      const scale = Math.min((view.width * 0.7) / Math.max(x1 - x0, 1), (view.height * 0.7) / Math.max(y1 - y0, 1), 16);
      place(scale, [(x0 + x1) / 2, (y0 + y1) / 2]);
    },
    /** @param {import('../types.js').Point} point @returns {import('../types.js').Point} */
    toPhoto: ([sx, sy]) => [(sx - view.x) / view.scale, (sy - view.y) / view.scale],
    /** @param {import('../types.js').Point} point @returns {import('../types.js').Point} */
    toStage: ([px, py]) => [px * view.scale + view.x, py * view.scale + view.y],
    /** The part of the photo that can be seen. @returns {import('../types.js').Box} */
    seen() {
      const [x0, y0] = this.toPhoto([0, 0]);
      const [x1, y1] = this.toPhoto([view.width, view.height]);
      return [Math.max(x0, 0), Math.max(y0, 0), Math.min(x1, view.photoWidth), Math.min(y1, view.photoHeight)];
    },
  };
}
