/** COCO compressed run lengths -> pixels. Column by column, background first, as pycocotools writes them. */

/**
 * @typedef {{x: number, y: number, width: number, height: number, bits: Uint8Array}} Bitmask
 *   the tight window of a mask: `bits` is 0 or 1, row by row, `x`, `y` its top left pixel in the photo
 */

/**
 * The run lengths of a compressed text.
 * @param {string} counts
 * @returns {number[]}
 */
export function runsOf(counts) {
  /** @type {number[]} */
  const runs = [];
  let at = 0;
  while (at < counts.length) {
    let value = 0;
    let shift = 0;
    let more = true;
    while (more) {
      const code = counts.charCodeAt(at) - 48;
      at += 1;
      // Multiplication, because << is limited to 32 bits with a sign.
      value += (code & 0x1f) * 2 ** shift;
      more = (code & 0x20) !== 0 && at < counts.length;
      shift += 5;
      if (!more && code & 0x10) value -= 2 ** shift;
    }
    // From the fourth on, each run is stored as the difference to the one two before.
    runs.push(runs.length > 2 ? value + runs[runs.length - 2] : value);
  }
  return runs;
}

/**
 * Decode inside the tight box only: a cup in a 20-megapixel photo costs what the cup costs.
 * @param {import('./types.js').Rle} rle
 * @returns {Bitmask | null} null for an empty mask
 */
export function decodeRle(rle) {
  const [photoHeight] = rle.size;
  const runs = runsOf(rle.counts);
  const window = boundsOf(runs, photoHeight);
  if (!window) return null;
  const { x, y, width, height } = window;
  const bits = new Uint8Array(width * height);
  eachColumnRun(runs, photoHeight, (column, top, bottom) => {
    let index = (top - y) * width + (column - x);
    for (let row = top; row < bottom; row += 1, index += width) bits[index] = 1;
  });
  return { x, y, width, height, bits };
}

/** @param {Bitmask} mask @param {number} x @param {number} y whether the pixel under this point is set */
export function covers(mask, x, y) {
  const column = Math.floor(x) - mask.x;
  const row = Math.floor(y) - mask.y;
  if (column < 0 || row < 0 || column >= mask.width || row >= mask.height) return false;
  return mask.bits[row * mask.width + column] === 1;
}

/** @param {number[]} runs @param {number} photoHeight */
function boundsOf(runs, photoHeight) {
  let [x0, y0, x1, y1] = [Infinity, Infinity, -1, -1];
  eachColumnRun(runs, photoHeight, (column, top, bottom) => {
    if (column < x0) x0 = column;
    if (column > x1) x1 = column;
    if (top < y0) y0 = top;
    if (bottom > y1) y1 = bottom;
  });
  return x1 < 0 ? null : { x: x0, y: y0, width: x1 - x0 + 1, height: y1 - y0 };
}

/**
 * Foreground runs, cut where a column ends.
 * @param {number[]} runs @param {number} photoHeight
 * @param {(column: number, top: number, bottom: number) => void} visit
 */
function eachColumnRun(runs, photoHeight, visit) {
  let at = 0;
  for (let index = 0; index < runs.length; index += 1) {
    const end = at + runs[index];
    if (index % 2) {
      while (at < end) {
        const column = Math.floor(at / photoHeight);
        const stop = Math.min(end, (column + 1) * photoHeight);
        visit(column, at - column * photoHeight, stop - column * photoHeight);
        at = stop;
      }
    }
    at = end;
  }
}
