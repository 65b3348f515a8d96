/**
 * Two canvases of exactly the device's pixels, one above the other: `scene` (photo and masks, expensive) and `overlay`
 * (boxes, handles, pointer, cheap). Each is drawn at most once per frame, and only when something changed.
 */

import { h } from '../dom.js';

/**
 * @param {{drawScene: (context: CanvasRenderingContext2D) => void, drawOverlay: (context: CanvasRenderingContext2D) => void,
 *          onResize: (width: number, height: number) => void}} hooks
 */
export function createStage({ drawScene, drawOverlay, onResize }) {
  const scene = h('canvas', { class: 'os-layer', 'aria-hidden': 'true' });
  const overlay = h('canvas', { class: 'os-layer', 'aria-hidden': 'true' });
  const element = h(
    'div',
    {
      class: 'os-stage',
      tabindex: '0',
      role: 'application',
      'aria-label': 'Photo. Tab goes from annotation to annotation, question mark shows all keys, F6 leaves.',
      'data-testid': 'stage',
    },
    scene,
    overlay,
  );
  const dirty = { scene: true, overlay: true };
  /** @type {(() => void)[]} */
  let afterPaint = [];
  let requested = false;
  // Device pixels per CSS pixel of the stage, from the real canvas size: page zoom makes it any number.
  const ratio = { x: 1, y: 1 };

  function frame() {
    requested = false;
    for (const [name, canvas, draw] of /** @type {const} */ ([
      ['scene', scene, drawScene],
      ['overlay', overlay, drawOverlay],
    ])) {
      if (!dirty[name]) continue;
      dirty[name] = false;
      const context = canvas.getContext('2d');
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, canvas.width, canvas.height);
      draw(context);
    }
    const done = afterPaint;
    afterPaint = [];
    // The next frame starts after this one has been painted.
    if (done.length) requestAnimationFrame(() => done.forEach((call) => call()));
  }

  function invalidate(/** @type {'scene' | 'overlay'} */ ...layers) {
    for (const layer of layers) dirty[layer] = true;
    if (!requested) {
      requested = true;
      requestAnimationFrame(frame);
    }
  }

  function resize(/** @type {number} */ deviceWidth, /** @type {number} */ deviceHeight) {
    const [width, height] = [element.clientWidth, element.clientHeight];
    if (!width || !height || !deviceWidth || !deviceHeight) return; // another tab is in front
    for (const canvas of [scene, overlay]) {
      canvas.width = deviceWidth;
      canvas.height = deviceHeight;
    }
    ratio.x = deviceWidth / width;
    ratio.y = deviceHeight / height;
    onResize(width, height);
    invalidate('scene', 'overlay');
  }

  const observer = new ResizeObserver((entries) => {
    const exact = entries[0].devicePixelContentBoxSize?.[0];
    if (exact) resize(exact.inlineSize, exact.blockSize);
    else resize(Math.round(element.clientWidth * devicePixelRatio), Math.round(element.clientHeight * devicePixelRatio));
  });
  try {
    observer.observe(element, { box: 'device-pixel-content-box' });
  } catch {
    observer.observe(element); // Safari
  }

  /** How much the stage is scaled by CSS on its way to the window (page zoom by style). */
  const stretch = () => {
    const box = element.getBoundingClientRect();
    return { box, kx: box.width / element.clientWidth || 1, ky: box.height / element.clientHeight || 1 };
  };

  return {
    element,
    ratio,
    invalidate,
    /** Call back once the changes asked for so far have been painted. @param {() => void} callback */
    painted(callback) {
      afterPaint.push(callback);
      invalidate('scene');
    },
    /** Window point of an event -> stage point. @returns {import('../types.js').Point} */
    fromClient(/** @type {number} */ clientX, /** @type {number} */ clientY) {
      const { box, kx, ky } = stretch();
      return [(clientX - box.left) / kx, (clientY - box.top) / ky];
    },
    /** Stage point -> window point. @param {import('../types.js').Point} point @returns {import('../types.js').Point} */
    toClient([sx, sy]) {
      const { box, kx, ky } = stretch();
      return [sx * kx + box.left, sy * ky + box.top];
    },
  };
}
