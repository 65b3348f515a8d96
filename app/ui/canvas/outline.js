/** The border of a mask along pixel edges, so that it stays exact and crisp at any zoom. */

/**
 * @param {import('./rle.js').Bitmask} mask
 * @returns {Path2D} in photo pixels
 */
export function outlineOf(mask) {
  const { x, y, width, height, bits } = mask;
  const path = new Path2D();
  const at = (/** @type {number} */ column, /** @type {number} */ row) =>
    column >= 0 && row >= 0 && column < width && row < height ? bits[row * width + column] : 0;

  for (let row = 0; row <= height; row += 1) {
    let start = -1;
    for (let column = 0; column <= width; column += 1) {
      const edge = column < width && at(column, row - 1) !== at(column, row);
      if (edge && start < 0) start = column;
      if (!edge && start >= 0) {
        path.moveTo(x + start, y + row);
        path.lineTo(x + column, y + row);
        start = -1;
      }
    }
  }
  for (let column = 0; column <= width; column += 1) {
    let start = -1;
    for (let row = 0; row <= height; row += 1) {
      const edge = row < height && at(column - 1, row) !== at(column, row);
      if (edge && start < 0) start = row;
      if (!edge && start >= 0) {
        path.moveTo(x + column, y + start);
        path.lineTo(x + column, y + row);
        start = -1;
      }
    }
  }
  return path;
}
