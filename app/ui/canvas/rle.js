/** COCO compressed run lengths -> column runs. Column by column, background first, as pycocotools writes them. */

/**
 * @typedef {{x: number, y: number, width: number, height: number, runs: Int32Array}} Shape
 *   a mask: its tight box in photo pixels, and its `runs` as triples column, top, bottom (exclusive), sorted. A mask of
 *   ten megapixels has some thousand runs, so whatever is made from runs is fast.
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
 * @param {import('./types.js').Rle} rle
 * @returns {Shape | null} null for an empty mask
 */
export function decodeRle(rle) {
  const [photoHeight] = rle.size;
  /** @type {number[]} */
  const found = [];
  let [x0, y0, x1, y1] = [Infinity, Infinity, -1, -1];
  eachColumnRun(runsOf(rle.counts), photoHeight, (column, top, bottom) => {
    found.push(column, top, bottom);
    x0 = Math.min(x0, column);
    x1 = Math.max(x1, column);
    y0 = Math.min(y0, top);
    y1 = Math.max(y1, bottom);
  });
  return x1 < 0 ? null : { x: x0, y: y0, width: x1 - x0 + 1, height: y1 - y0, runs: Int32Array.from(found) };
}

/** @param {Shape} shape @param {number} x @param {number} y whether the pixel under this point is set */
export function covers(shape, x, y) {
  const column = Math.floor(x);
  const row = Math.floor(y);
  const { runs } = shape;
  // The last run that starts at or before the pixel.
  let low = 0;
  let high = runs.length / 3;
  while (low < high) {
    const middle = (low + high) >> 1;
    const before = runs[3 * middle] < column || (runs[3 * middle] === column && runs[3 * middle + 1] <= row);
    if (before) low = middle + 1;
    else high = middle;
  }
  return low > 0 && runs[3 * low - 3] === column && row < runs[3 * low - 1];
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
