/** One picture at full, half, quarter... size: drawing 20 megapixels into a small window stays fast and smooth. */

const SMALLEST_SIDE = 256;

/** @param {number} width @param {number} height */
export function makeCanvas(width, height) {
  if (typeof OffscreenCanvas !== 'undefined') return new OffscreenCanvas(width, height);
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

/**
 * @typedef {{width: number, height: number, level: (depth: number) => ImageBitmap | OffscreenCanvas | HTMLCanvasElement,
 *            close: () => void}} Pyramid  `level(1)` has about half the size, and so on; too deep gives the smallest
 */

/**
 * @param {ImageBitmap | OffscreenCanvas | HTMLCanvasElement} full
 * @returns {Pyramid}
 */
export function makePyramid(full) {
  const levels = [full];
  let last = full;
  while (Math.max(last.width, last.height) > 2 * SMALLEST_SIDE) {
    const next = makeCanvas(Math.max(1, Math.round(last.width / 2)), Math.max(1, Math.round(last.height / 2)));
    const context = /** @type {any} */ (next.getContext('2d'));
    context.imageSmoothingQuality = 'medium';
    context.drawImage(last, 0, 0, next.width, next.height);
    levels.push(next);
    last = next;
  }
  return {
    width: full.width,
    height: full.height,
    level: (depth) => levels[Math.min(depth, levels.length - 1)],
    close: () => levels.forEach((level) => 'close' in level && level.close()),
  };
}

/**
 * Draw the part of a picture that can be seen, from the smallest level that is still sharp.
 *
 * The context's transform must map photo pixels to device pixels.
 * @param {any} context
 * @param {Pyramid} pyramid
 * @param {{x: number, y: number, seen: import('./types.js').Box, density: number}} place where the picture's top left
 *   pixel lies in the photo, which part of the photo can be seen, and device pixels per photo pixel
 */
export function drawPyramid(context, pyramid, { x, y, seen, density }) {
  const x0 = Math.max(0, Math.floor(seen[0] - x));
  const y0 = Math.max(0, Math.floor(seen[1] - y));
  const x1 = Math.min(pyramid.width, Math.ceil(seen[2] - x));
  const y1 = Math.min(pyramid.height, Math.ceil(seen[3] - y));
  if (x1 <= x0 || y1 <= y0) return;
  const depth = Math.max(0, Math.floor(Math.log2(1 / density)));
  const level = pyramid.level(depth);
  const fx = level.width / pyramid.width;
  const fy = level.height / pyramid.height;
  context.drawImage(level, x0 * fx, y0 * fy, (x1 - x0) * fx, (y1 - y0) * fy, x + x0, y + y0, x1 - x0, y1 - y0);
}
