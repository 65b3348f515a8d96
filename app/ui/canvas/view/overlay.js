/** The upper layer: boxes, the outline of the selected mask, labels, the polygon, and what the tool adds. */

import { handlesOf } from './handles.js';
import { toPhotoPixels } from './scene.js';

const HALO = 'rgba(0, 0, 0, 0.55)';

/**
 * @param {CanvasRenderingContext2D} context
 * @param {import('../app.js').App} app
 */
export function drawOverlay(context, app) {
  const { photo, annotations, selectedId, masksShown, boxesShown, hoverId, polygon, comparing, previous } = app.state.get();
  if (!photo) return;
  const selected = annotations.find(({ id }) => id === selectedId);
  const hovered = annotations.find(({ id }) => id === hoverId);

  if (masksShown) {
    if (hovered && hovered !== selected) strokeOutline(context, app, hovered, 1);
    if (selected && comparing && previous) strokeOutline(context, app, previous, 1.5, ' before');
    else if (selected && !polygon) strokeOutline(context, app, selected, 1.5);
  }
  if (selected && polygon) drawPolygon(context, app, polygon, app.colourOf(selected));

  toStagePixels(context, app);
  if (boxesShown) {
    for (const annotation of annotations) if (annotation !== selected) drawBox(context, app, annotation, annotation === hovered);
  }
  if (selected) drawSelected(context, app, selected);
  app.tool().draw?.(context, app);
  drawCrosshair(context, app);
}

/** One unit is one CSS pixel of the stage. */
function toStagePixels(/** @type {CanvasRenderingContext2D} */ context, /** @type {import('../app.js').App} */ app) {
  context.setTransform(app.stage.ratio.x, 0, 0, app.stage.ratio.y, 0, 0);
}

/**
 * @param {CanvasRenderingContext2D} context @param {import('../app.js').App} app
 * @param {import('../types.js').Annotation} annotation @param {number} width CSS pixels @param {string} [slot]
 */
function strokeOutline(context, app, annotation, width, slot = '') {
  const picture = app.masks.pictureOf(annotation, slot);
  if (!picture) return;
  toPhotoPixels(context, app);
  const { scale } = app.viewport.view;
  context.lineCap = 'square';
  context.lineWidth = (width + 1.5) / scale;
  context.strokeStyle = HALO;
  context.stroke(picture.outline());
  context.lineWidth = width / scale;
  context.strokeStyle = '#ffffff';
  context.stroke(picture.outline());
}

/**
 * @param {CanvasRenderingContext2D} context @param {import('../app.js').App} app
 * @param {import('../types.js').Annotation} annotation @param {boolean} strong
 */
function drawBox(context, app, annotation, strong) {
  if (!annotation.box) return;
  const { x, y, width, height } = onStage(app, annotation.box);
  const colour = app.colourOf(annotation);
  context.globalAlpha = annotation.state === 'rejected' ? 0.4 : strong ? 1 : 0.9;
  context.setLineDash(dashes(annotation));
  context.lineWidth = strong ? 3.5 : 3;
  context.strokeStyle = 'rgba(0, 0, 0, 0.35)';
  context.strokeRect(x, y, width, height);
  context.lineWidth = strong ? 2 : 1.5;
  context.strokeStyle = colour;
  context.strokeRect(x, y, width, height);
  context.setLineDash([]);
  if (strong || Math.min(width, height) > 28) drawLabel(context, app, annotation, x, y);
  context.globalAlpha = 1;
}

/** @param {CanvasRenderingContext2D} context @param {import('../app.js').App} app @param {import('../types.js').Annotation} annotation */
function drawSelected(context, app, annotation) {
  const box = app.tool().boxOf?.(annotation) ?? annotation.box;
  if (!box) return;
  const { x, y, width, height } = onStage(app, box);
  context.lineWidth = 3.5;
  context.strokeStyle = HALO;
  context.strokeRect(x, y, width, height);
  context.lineWidth = 1.5;
  context.strokeStyle = '#ffffff';
  context.strokeRect(x, y, width, height);
  if (annotation.waiting && !annotation.mask) drawWaiting(context, x, y, width, height, app.colourOf(annotation));
  drawLabel(context, app, annotation, x, y, true);
  if (!app.tool().editsBoxes || app.isReadOnly()) return;
  for (const { point } of handlesOf(box)) {
    const [hx, hy] = app.viewport.toStage(point);
    context.fillStyle = '#ffffff';
    context.strokeStyle = 'rgba(0, 0, 0, 0.8)';
    context.lineWidth = 1;
    context.beginPath();
    context.rect(Math.round(hx) - 3.5, Math.round(hy) - 3.5, 7, 7);
    context.fill();
    context.stroke();
  }
}

/** A box whose mask is on its way. */
function drawWaiting(context, x, y, width, height, colour) {
  context.fillStyle = colour;
  context.globalAlpha = 0.14;
  context.fillRect(x, y, width, height);
  context.globalAlpha = 1;
}

/**
 * @param {CanvasRenderingContext2D} context @param {import('../app.js').App} app
 * @param {import('../types.js').Annotation} annotation @param {number} x @param {number} y @param {boolean} [strong]
 */
function drawLabel(context, app, annotation, x, y, strong = false) {
  const mark = { proposed: '', accepted: ' ✓', rejected: ' ✕', 'needs work': ' !' }[annotation.state];
  const text = app.nameOf(annotation) + mark;
  context.font = `${strong ? 600 : 500} 11px ${app.font}`;
  const width = context.measureText(text).width + 8;
  const left = Math.round(Math.min(Math.max(x - 0.5, 0), app.viewport.view.width - width));
  const top = Math.round(y - 17 < 0 ? Math.max(y, 0) : y - 17);
  const colour = app.colourOf(annotation);
  context.fillStyle = strong ? '#ffffff' : colour;
  context.beginPath();
  context.roundRect(left, top, width, 16, 3);
  context.fill();
  if (strong) {
    context.fillStyle = colour;
    context.fillRect(left, top + 14, width, 2);
  }
  context.fillStyle = strong ? '#111111' : inkOn(colour);
  context.textBaseline = 'middle';
  context.fillText(text, left + 4, top + 8.5);
}

/**
 * @param {CanvasRenderingContext2D} context @param {import('../app.js').App} app
 * @param {{rings: {points: number[], hole: boolean}[]}} polygon @param {string} colour
 */
function drawPolygon(context, app, polygon, colour) {
  toStagePixels(context, app);
  const path = new Path2D();
  /** @type {import('../types.js').Point[]} */
  const corners = [];
  for (const { points } of polygon.rings) {
    for (let at = 0; at + 1 < points.length; at += 2) {
      const corner = app.viewport.toStage([points[at], points[at + 1]]);
      corners.push(corner);
      if (at === 0) path.moveTo(...corner);
      else path.lineTo(...corner);
    }
    path.closePath();
  }
  context.fillStyle = colour;
  context.globalAlpha = 0.25;
  context.fill(path, 'evenodd');
  context.globalAlpha = 1;
  context.lineJoin = 'round';
  context.lineWidth = 3.5;
  context.strokeStyle = HALO;
  context.stroke(path);
  context.lineWidth = 1.5;
  context.strokeStyle = '#ffffff';
  context.stroke(path);
  if (corners.length > 4000) return; // an exact outline has a corner at each pixel: dots would hide it
  context.fillStyle = colour;
  for (const [x, y] of corners) {
    context.fillRect(x - 2.5, y - 2.5, 5, 5);
    context.lineWidth = 0.8;
    context.strokeRect(x - 2.5, y - 2.5, 5, 5);
  }
}

/** The keyboard's own pointer. @param {CanvasRenderingContext2D} context @param {import('../app.js').App} app */
function drawCrosshair(context, app) {
  const { crosshair } = app.state.get();
  if (!crosshair) return;
  const [x, y] = app.viewport.toStage(crosshair);
  for (const [width, colour] of /** @type {[number, string][]} */ ([[3, HALO], [1, '#ffffff']])) {
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.beginPath();
    context.moveTo(x - 14, y);
    context.lineTo(x + 14, y);
    context.moveTo(x, y - 14);
    context.lineTo(x, y + 14);
    context.stroke();
  }
}

/** @param {import('../app.js').App} app @param {import('../types.js').Box} box */
function onStage(app, box) {
  const [x0, y0] = app.viewport.toStage([box[0], box[1]]);
  const [x1, y1] = app.viewport.toStage([box[2], box[3]]);
  return { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
}

/** @param {import('../types.js').Annotation} annotation */
function dashes(annotation) {
  if (annotation.state === 'rejected') return [2, 5];
  return annotation.state === 'proposed' ? [6, 4] : [];
}

/** Black or white, whichever stands out more (contrast as WCAG 2 counts it). @param {string} colour '#rrggbb' */
export function inkOn(colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const part = parseInt(colour.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.19 ? '#111111' : '#ffffff';
}
