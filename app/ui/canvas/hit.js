/** What lies under a point, the most specific thing first. */

/**
 * Annotations whose mask or box holds the point: masks before boxes, small before large. A mask says more than
 * a box, and a small thing in front of a large one could not be reached otherwise.
 * @param {import('./app.js').App} app @param {import('./types.js').Point} point
 * @returns {import('./types.js').Annotation[]}
 */
export function annotationsAt(app, point) {
  const { annotations, masksShown } = app.state.get();
  const [x, y] = point;
  const margin = 4 / app.viewport.view.scale;
  const found = [];
  for (const annotation of annotations) {
    const { box } = annotation;
    const isInBox = box && x >= box[0] - margin && x <= box[2] + margin && y >= box[1] - margin && y <= box[3] + margin;
    const isOnMask = masksShown && annotation.mask !== null && app.masks.covers(annotation, x, y);
    if (!isInBox && !isOnMask) continue;
    const size = box ? (box[2] - box[0]) * (box[3] - box[1]) : Infinity;
    found.push({ annotation, rank: isOnMask ? 0 : 1, size });
  }
  found.sort((a, b) => a.rank - b.rank || a.size - b.size);
  return found.map(({ annotation }) => annotation);
}
