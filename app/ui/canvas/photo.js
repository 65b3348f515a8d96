/** Photos as the server stores them, decoded upright by the browser. Only for looking: masks come from the file. */

import { makePyramid } from './pyramid.js';

const KEPT = 3;

/**
 * @typedef {{id: number, pyramid: import('./pyramid.js').Pyramid}} LoadedPhoto
 */

/** A few decoded photos: the one on screen, and the ones that probably come next. */
export function createPhotos() {
  /** @type {Map<number, Promise<LoadedPhoto>>} newest last */
  const cache = new Map();

  /** @param {number} id @param {Promise<ImageBitmap>} decoding @returns {Promise<LoadedPhoto>} */
  function remember(id, decoding) {
    const loading = decoding.then((bitmap) => ({ id, pyramid: makePyramid(bitmap) }));
    keep(id, loading);
    return loading;
  }

  /** @param {number} id @param {Promise<LoadedPhoto>} loading */
  function keep(id, loading) {
    cache.delete(id);
    cache.set(id, loading);
    loading.catch(() => cache.get(id) === loading && cache.delete(id));
    for (const [oldest, old] of cache) {
      if (cache.size <= KEPT) break;
      cache.delete(oldest);
      void old.then(({ pyramid }) => pyramid.close()).catch(() => null);
    }
  }

  /**
   * @param {{id: number, photo_url: string, width: number, height: number}} photo
   * @returns {Promise<LoadedPhoto>}
   */
  async function load(photo) {
    const found = cache.get(photo.id);
    if (found) {
      keep(photo.id, found);
      const loaded = await found.catch(() => null);
      if (loaded?.pyramid.width === photo.width && loaded.pyramid.height === photo.height) return loaded;
    }
    return remember(photo.id, decode(photo));
  }

  /**
   * Decode a photo that is likely to be opened, whose size is not known yet.
   * @param {number} id
   */
  function warm(id) {
    if (!cache.has(id)) remember(id, fetchBitmap(urlOf(id)));
  }

  return { load, warm };
}

const urlOf = (/** @type {number} */ id) => `/api/images/${id}/photo`;

/**
 * The file's own bytes first. A browser that can't read them, or that turns the photo another way than the server,
 * gets the server's lossless upright copy instead: what is seen must lie pixel on pixel over what is labelled.
 * @param {{photo_url: string, width: number, height: number}} photo
 */
async function decode(photo) {
  try {
    const bitmap = await fetchBitmap(photo.photo_url);
    if (bitmap.width === photo.width && bitmap.height === photo.height) return bitmap;
    bitmap.close();
  } catch (error) {
    if (error instanceof TypeError) throw error; // no connection: the copy would not arrive either
  }
  const separator = photo.photo_url.includes('?') ? '&' : '?';
  return fetchBitmap(`${photo.photo_url}${separator}as=png`);
}

/** @param {string} url */
async function fetchBitmap(url) {
  const response = await fetch(url, { credentials: 'same-origin' });
  if (!response.ok) throw new Error(`The photo can’t be read (${response.status}).`);
  return createImageBitmap(await response.blob(), { imageOrientation: 'from-image' });
}
