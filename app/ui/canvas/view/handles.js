/** The eight handles of a box: where they are, and what pulling one does. */

/** Which sides each handle moves: x 0 left, 1 right, y likewise, null none. */
const HANDLES = /** @type {const} */ ([
  { name: 'nw', x: 0, y: 0 },
  { name: 'n', x: null, y: 0 },
  { name: 'ne', x: 1, y: 0 },
  { name: 'e', x: 1, y: null },
  { name: 'se', x: 1, y: 1 },
  { name: 's', x: null, y: 1 },
  { name: 'sw', x: 0, y: 1 },
  { name: 'w', x: 0, y: null },
]);

/** @typedef {typeof HANDLES[number]} Handle */

/** @param {import('../types.js').Box} box @returns {{handle: Handle, point: import('../types.js').Point}[]} */
export function handlesOf([x0, y0, x1, y1]) {
  return HANDLES.map((handle) => ({
    handle,
    point: [
      handle.x === null ? (x0 + x1) / 2 : [x0, x1][handle.x],
      handle.y === null ? (y0 + y1) / 2 : [y0, y1][handle.y],
    ],
  }));
}

/**
 * The handle near a point; corners win over sides where a box is so small that they overlap.
 * @param {import('../types.js').Box} box @param {import('../types.js').Point} at @param {number} reach photo pixels
 * @returns {Handle | null}
 */
export function handleAt(box, [x, y], reach) {
  const near = handlesOf(box)
    .map(({ handle, point }) => ({ handle, far: Math.max(Math.abs(point[0] - x), Math.abs(point[1] - y)) }))
    .filter(({ far }) => far <= reach);
  near.sort((a, b) => a.far - b.far || a.handle.name.length * -1 + b.handle.name.length);
  return near[0]?.handle ?? null;
}

/**
 * The box after its handle was pulled to a point: whole pixels, inside the photo, never turned inside out.
 * @param {import('../types.js').Box} box @param {Handle} handle @param {import('../types.js').Point} to
 * @param {{width: number, height: number}} photo @returns {import('../types.js').Box}
 */
export function pulled(box, handle, to, photo) {
  const moved = /** @type {import('../types.js').Box} */ ([...box]);
  if (handle.x !== null) moved[handle.x ? 2 : 0] = clamp(Math.round(to[0]), 0, photo.width);
  if (handle.y !== null) moved[handle.y ? 3 : 1] = clamp(Math.round(to[1]), 0, photo.height);
  if (handle.x === 0) moved[0] = Math.min(moved[0], moved[2] - 1);
  if (handle.x === 1) moved[2] = Math.max(moved[2], moved[0] + 1);
  if (handle.y === 0) moved[1] = Math.min(moved[1], moved[3] - 1);
  if (handle.y === 1) moved[3] = Math.max(moved[3], moved[1] + 1);
  return moved;
}

/**
 * The box moved by whole pixels, stopped by the photo's border.
 * @param {import('../types.js').Box} box @param {number} dx @param {number} dy
 * @param {{width: number, height: number}} photo @returns {import('../types.js').Box}
 */
export function moved([x0, y0, x1, y1], dx, dy, photo) {
  const right = clamp(Math.round(dx), Math.min(-x0, 0), Math.max(photo.width - x1, 0));
  const down = clamp(Math.round(dy), Math.min(-y0, 0), Math.max(photo.height - y1, 0));
  return [x0 + right, y0 + down, x1 + right, y1 + down];
}

/**
 * The box between two corners: whole pixels, inside the photo.
 * @param {import('../types.js').Point} a @param {import('../types.js').Point} b
 * @param {{width: number, height: number}} photo @returns {import('../types.js').Box}
 */
export function spanned(a, b, photo) {
  const xs = [a[0], b[0]].map((x) => clamp(Math.round(x), 0, photo.width)).sort((p, q) => p - q);
  const ys = [a[1], b[1]].map((y) => clamp(Math.round(y), 0, photo.height)).sort((p, q) => p - q);
  return [xs[0], ys[0], xs[1], ys[1]];
}

/** @param {number} value @param {number} low @param {number} high */
function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
