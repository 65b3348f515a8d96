/** The one place that talks to the server: JSON in, JSON out, errors as `ApiError`. */

const PATIENCE_MS = 120_000;

/** What the server refused, or that it could not be reached (`kind` "offline"). */
export class ApiError extends Error {
  /** @param {string} kind @param {string} message @param {Record<string, any>} [detail] */
  constructor(kind, message, detail = {}) {
    super(message);
    this.kind = kind;
    this.detail = detail;
  }
}

/** Worth sending again unchanged: the act may not have arrived. @param {unknown} error */
export function isPassing(error) {
  return error instanceof ApiError && ['offline', 'busy', 'storage', 'unauthorised'].includes(error.kind);
}

export function createApi() {
  let csrf = '';
  /** @type {string | null} */
  let user = null;

  /**
   * @param {string} method @param {string} path @param {unknown} [body]
   * @returns {Promise<any>}
   */
  async function call(method, path, body) {
    /** @type {Response} */
    let response;
    try {
      response = await fetch(`/api/${path}`, {
        method,
        headers: { Accept: 'application/json', 'Content-Type': 'application/json', 'X-CSRF-Token': csrf },
        body: body === undefined ? undefined : JSON.stringify(body),
        credentials: 'same-origin',
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
    } catch {
      throw new ApiError('offline', 'The server can’t be reached.');
    }
    const answer = await response.json().catch(() => null);
    if (response.ok) return answer;
    const error = answer?.error ?? {};
    if (response.status === 401) throw new ApiError('unauthorised', 'You are signed out.');
    if (response.status === 502 || response.status === 504) throw new ApiError('offline', 'The server can’t be reached.');
    throw new ApiError(error.kind ?? 'failed', error.message ?? `The server answered ${response.status}.`, error);
  }

  /** Who is signed in; also fetches the token that every writing request must carry. */
  async function session() {
    const found = await call('GET', 'session');
    // What was done here must not be saved in the name of somebody who has signed in on another tab since.
    if (user !== null && found.user !== user) throw new ApiError('other', `${found.user} is signed in now. Reload the page to go on.`);
    user = found.user;
    csrf = found.csrf;
    return found;
  }

  /** Like `call`, but a token that became stale (a new session, made on another tab) is fetched anew, once. */
  async function write(method, path, body) {
    try {
      return await call(method, path, body);
    } catch (error) {
      if (!(error instanceof ApiError) || error.kind !== 'csrf') throw error;
      await session();
      return call(method, path, body);
    }
  }

  return {
    session,
    get: (/** @type {string} */ path) => call('GET', path),
    post: (/** @type {string} */ path, /** @type {unknown} */ body = {}) => write('POST', path, body),
    patch: (/** @type {string} */ path, /** @type {unknown} */ body) => write('PATCH', path, body),
    remove: (/** @type {string} */ path) => write('DELETE', path, undefined),
  };
}
