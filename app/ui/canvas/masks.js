/** Decoded and tinted masks, kept as long as they do not change. */

import { outlineOf } from './outline.js';
import { covers, decodeRle } from './rle.js';
import { tinted } from './tint.js';

/**
 * @typedef {object} Picture
 * @property {import('./rle.js').Shape} shape
 * @property {(colour: string) => import('./pyramid.js').Pyramid} tinted
 * @property {() => Path2D} outline
 */

export function createMasks() {
  /** @type {Map<string, {counts: string, picture: Picture | null}>} */
  const cache = new Map();

  /**
   * The picture of an annotation's mask, null where it has none.
   * @param {import('./types.js').Annotation} annotation @param {string} [slot] another key for another state of it
   * @returns {Picture | null}
   */
  function pictureOf(annotation, slot = '') {
    if (!annotation.mask) return null;
    const key = `${annotation.id}${slot}`;
    const found = cache.get(key);
    if (found && found.counts === annotation.mask.counts) return found.picture;
    const shape = decodeRle(annotation.mask);
    const picture = shape && makePicture(shape);
    cache.set(key, { counts: annotation.mask.counts, picture });
    return picture;
  }

  return {
    pictureOf,
    /** @param {import('./types.js').Annotation} annotation @param {number} x @param {number} y */
    covers(annotation, x, y) {
      const picture = pictureOf(annotation);
      return picture !== null && covers(picture.shape, x, y);
    },
    forget: () => cache.clear(),
  };
}

/** @param {import('./rle.js').Shape} shape @returns {Picture} */
function makePicture(shape) {
  /** @type {Path2D | null} */
  let outline = null;
  /** @type {{colour: string, pyramid: import('./pyramid.js').Pyramid} | null} */
  let picture = null;
  return {
    shape,
    outline: () => (outline ??= outlineOf(shape)),
    tinted(colour) {
      if (picture?.colour !== colour) picture = { colour, pyramid: tinted(shape, colour) };
      return picture.pyramid;
    },
  };
}
