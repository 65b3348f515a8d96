/** The border of a mask along pixel edges, so that it stays exact and crisp at any zoom. */

/**
 * @param {import('./rle.js').Shape} shape
 * @returns {Path2D} in photo pixels
 */
export function outlineOf({ x, width, runs }) {
  const path = new Path2D();
  /** @type {Map<number, number>} horizontal edges that go on: their y and the column where they started */
  let open = new Map();
  /** @type {number[]} where the column to the left changes between background and mask, from top to bottom */
  let before = [];
  let index = 0;
  for (let column = x; column <= x + width; column += 1) {
    const changes = [];
    for (; index < runs.length && runs[index] === column; index += 3) changes.push(runs[index + 1], runs[index + 2]);
    addUpright(path, column, before, changes);
    open = addLevel(path, column, open, changes);
    before = changes;
  }
  return path;
}

/**
 * Between two columns the border runs where one of them has the mask and the other has not.
 * @param {Path2D} path @param {number} column @param {number[]} left @param {number[]} right
 */
function addUpright(path, column, left, right) {
  let [l, r] = [0, 0];
  let top = NaN;
  while (l < left.length || r < right.length) {
    if (left[l] === right[r]) {
      l += 1;
      r += 1; // both change here, so whether they differ does not
      continue;
    }
    const y = r >= right.length || left[l] < right[r] ? left[l++] : right[r++];
    if (Number.isNaN(top)) top = y;
    else {
      path.moveTo(column, top);
      path.lineTo(column, y);
      top = NaN;
    }
  }
}

/**
 * Level edges are drawn once they end, so that a long one is one line.
 * @param {Path2D} path @param {number} column @param {Map<number, number>} open @param {number[]} changes
 * @returns {Map<number, number>} those that go on
 */
function addLevel(path, column, open, changes) {
  /** @type {Map<number, number>} */
  const next = new Map();
  for (const y of changes) next.set(y, open.get(y) ?? column);
  for (const [y, start] of open) {
    if (next.has(y)) continue;
    path.moveTo(start, y);
    path.lineTo(column, y);
  }
  return next;
}
