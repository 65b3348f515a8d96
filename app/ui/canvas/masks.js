/** Decoded and tinted masks, kept as long as they do not change. */

import { outlineOf } from './outline.js';
import { makeCanvas, makePyramid } from './pyramid.js';
import { covers, decodeRle } from './rle.js';

/**
 * @typedef {object} Picture
 * @property {import('./rle.js').Bitmask} bitmask
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
    const bitmask = decodeRle(annotation.mask);
    const picture = bitmask && makePicture(bitmask);
    cache.set(key, { counts: annotation.mask.counts, picture });
    return picture;
  }

  return {
    pictureOf,
    /** @param {import('./types.js').Annotation} annotation @param {number} x @param {number} y */
    covers(annotation, x, y) {
      const picture = pictureOf(annotation);
      return picture !== null && covers(picture.bitmask, x, y);
    },
    forget: () => cache.clear(),
  };
}

/** @param {import('./rle.js').Bitmask} bitmask @returns {Picture} */
function makePicture(bitmask) {
  /** @type {Path2D | null} */
  let outline = null;
  /** @type {{colour: string, pyramid: import('./pyramid.js').Pyramid} | null} */
  let tinted = null;
  return {
    bitmask,
    outline: () => (outline ??= outlineOf(bitmask)),
    tinted(colour) {
      if (tinted?.colour !== colour) tinted = { colour, pyramid: makePyramid(tint(bitmask, colour)) };
      return tinted.pyramid;
    },
  };
}

/** @param {import('./rle.js').Bitmask} bitmask @param {string} colour '#rrggbb' */
function tint(bitmask, colour) {
  const canvas = makeCanvas(bitmask.width, bitmask.height);
  const context = /** @type {any} */ (canvas.getContext('2d'));
  const image = context.createImageData(bitmask.width, bitmask.height);
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  // Bytes in the machine's order: all machines with a browser are little-endian.
  const pixel = (255 << 24) | (blue << 16) | (green << 8) | red;
  const pixels = new Int32Array(image.data.buffer);
  const { bits } = bitmask;
  for (let index = 0; index < bits.length; index += 1) if (bits[index]) pixels[index] = pixel;
  context.putImageData(image, 0, 0);
  return canvas;
}
