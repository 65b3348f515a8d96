/**
 * Acts on their way to the server, one after the other.
 *
 * An act that the connection swallowed waits here and is sent again until the server has answered. Order matters: the
 * second act on an annotation needs the version that the first one made.
 */

import { ApiError, isPassing } from './api.js';

const FIRST_WAIT_MS = 700;
const LONGEST_WAIT_MS = 8_000;
const MAYBE_STORED = ['offline', 'storage']; // the others were refused before anything was done

/**
 * @param {{onStatus: (status: 'saved' | 'saving' | 'offline' | 'busy' | 'storage' | 'unauthorised', waiting: number) => void,
 *          reconnect: () => Promise<unknown>}} hooks `reconnect` renews the session after a sign-in elsewhere
 */
export function createOutbox({ onStatus, reconnect }) {
  /** @type {{send: (lost: number) => Promise<any>, resolve: (value: any) => void, reject: (error: unknown) => void}[]} */
  const queue = [];
  /** @type {(() => void)[]} */
  let idlers = [];
  let running = false;

  async function run() {
    running = true;
    while (queue.length) {
      const entry = queue[0];
      try {
        entry.resolve(await persist(entry.send));
      } catch (error) {
        entry.reject(error);
      }
      queue.shift();
    }
    running = false;
    onStatus('saved', 0);
    const waiting = idlers;
    idlers = [];
    waiting.forEach((resolve) => resolve());
  }

  /** @param {(lost: number) => Promise<any>} send */
  async function persist(send) {
    let lost = 0;
    for (let attempt = 0; ; attempt += 1) {
      try {
        if (attempt === 0) onStatus('saving', queue.length);
        return await send(lost);
      } catch (error) {
        if (!isPassing(error)) throw error;
        const { kind } = /** @type {ApiError} */ (error);
        if (MAYBE_STORED.includes(kind)) lost += 1;
        onStatus(/** @type {any} */ (kind), queue.length);
        await pause(Math.min(FIRST_WAIT_MS * 1.6 ** attempt, LONGEST_WAIT_MS));
        if (kind === 'unauthorised') await reconnect().catch(() => null);
      }
    }
  }

  window.addEventListener('beforeunload', (event) => {
    if (queue.length) event.preventDefault();
  });

  return {
    /**
     * @template T
     * @param {(lost: number) => Promise<T>} send called again until it is answered, with the number of answers that got
     *   lost so far: where there is one, the act may have been stored already
     * @returns {Promise<T>}
     */
    add(send) {
      return new Promise((resolve, reject) => {
        queue.push({ send, resolve, reject });
        if (!running) void run();
      });
    },
    /** When everything has been answered. */
    idle: () => (running ? new Promise((resolve) => idlers.push(() => resolve(undefined))) : Promise.resolve()),
    waiting: () => queue.length,
  };
}

/** @param {number} ms ends early when the browser is back online */
function pause(ms) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      window.removeEventListener('online', done);
      resolve(undefined);
    };
    const timer = setTimeout(done, ms);
    window.addEventListener('online', done);
  });
}
