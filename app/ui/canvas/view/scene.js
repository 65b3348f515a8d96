/** The lower layer: the photo, and the masks over it. */

import { drawPyramid } from '../pyramid.js';

const PIXELS_FROM = 3; // device pixels per photo pixel, from which single pixels are shown as squares

/**
 * @param {CanvasRenderingContext2D} context
 * @param {import('../app.js').App} app
 */
export function drawScene(context, app) {
  const { photo, annotations, selectedId, opacity, masksShown, comparing, polygon, previous } = app.state.get();
  if (!photo) return;
  const { seen, density } = toPhotoPixels(context, app);
  context.imageSmoothingEnabled = density < PIXELS_FROM;
  context.imageSmoothingQuality = 'medium';
  drawPyramid(context, photo.pyramid, { x: 0, y: 0, seen, density });
  if (!masksShown) return;

  context.imageSmoothingEnabled = density < 1;
  for (const annotation of annotations) {
    const isSelected = annotation.id === selectedId;
    const shown = isSelected && comparing && previous ? previous : annotation;
    if (annotation.state === 'rejected' && !isSelected) continue;
    const picture = app.masks.pictureOf(shown, shown === previous ? ' before' : '');
    if (!picture) continue;
    const { x, y } = picture.shape;
    const faded = isSelected && polygon ? 0.4 : 1;
    context.globalAlpha = Math.min(1, opacity * faded * (isSelected ? 1.15 : 1));
    drawPyramid(context, picture.tinted(app.colourOf(shown)), { x, y, seen, density });
    context.globalAlpha = 1;
  }
}

/**
 * Set the transform from photo pixels to device pixels.
 * @param {CanvasRenderingContext2D} context @param {import('../app.js').App} app
 */
export function toPhotoPixels(context, app) {
  const { view } = app.viewport;
  const { ratio } = app.stage;
  context.setTransform(view.scale * ratio.x, 0, 0, view.scale * ratio.y, view.x * ratio.x, view.y * ratio.y);
  return { seen: app.viewport.seen(), density: view.scale * Math.max(ratio.x, ratio.y) };
}
