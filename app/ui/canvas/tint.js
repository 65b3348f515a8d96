/** A mask in its class's colour, as a picture at full, half, quarter... size; each size is made when it is first shown. */

import { makeCanvas } from './pyramid.js';

const DEEPEST = 8;

/**
 * @param {import('./rle.js').Shape} shape @param {string} colour '#rrggbb'
 * @returns {import('./pyramid.js').Pyramid}
 */
export function tinted(shape, colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  // Bytes in the machine's order: all machines with a browser are little-endian.
  const pixel = (255 << 24) | (blue << 16) | (green << 8) | red;
  /** @type {Map<number, OffscreenCanvas | HTMLCanvasElement>} */
  const made = new Map();
  return {
    width: shape.width,
    height: shape.height,
    level(depth) {
      const step = 2 ** Math.min(depth, DEEPEST);
      let level = made.get(step);
      if (!level) made.set(step, (level = painted(shape, pixel, step)));
      return level;
    },
    close: () => made.clear(),
  };
}

/**
 * Every `step`-th pixel of the mask. Runs stand upright, but pictures are kept row by row: painted lying down, a run is
 * one fill, and the browser turns the picture upright faster than a script could paint it pixel by pixel.
 * @param {import('./rle.js').Shape} shape @param {number} pixel @param {number} step
 */
function painted({ x, y, width, height, runs }, pixel, step) {
  const columns = Math.ceil(width / step);
  const rows = Math.ceil(height / step);
  const lying = makeCanvas(rows, columns);
  const context = /** @type {any} */ (lying.getContext('2d'));
  const image = context.createImageData(rows, columns);
  const pixels = new Int32Array(image.data.buffer);
  const half = step >> 1;
  for (let index = 0; index < runs.length; index += 3) {
    const column = (runs[index] - x - half) / step;
    if (!Number.isInteger(column) || column < 0) continue;
    const top = Math.ceil((runs[index + 1] - y - half) / step);
    const bottom = Math.ceil((runs[index + 2] - y - half) / step);
    pixels.fill(pixel, column * rows + Math.max(0, top), column * rows + Math.max(0, bottom));
  }
  context.putImageData(image, 0, 0);
  const upright = makeCanvas(columns, rows);
  const turned = /** @type {any} */ (upright.getContext('2d'));
  turned.setTransform(0, 1, 1, 0, 0, 0);
  turned.drawImage(lying, 0, 0);
  return upright;
}
