/** What somebody else did to an annotation that we wanted to change too, in words. */

/**
 * @param {import('./app.js').App} app
 * @param {import('./types.js').Annotation | null | undefined} mine as it was shown here
 * @param {import('./api.js').ApiError} error
 */
export function explain(app, mine, error) {
  /** @type {import('./types.js').Annotation | undefined} */
  const theirs = error.detail.theirs;
  if (!theirs) return `${error.message} Your change was not saved; this is the stored state.`;
  const who = error.detail.by || 'Somebody'; // not the author: an undo gives the annotation back to whom it was from
  const what = app.nameOf(mine ?? theirs);
  if (theirs.deleted) return `${who} deleted this ${what} meanwhile. Your change was not saved.`;
  const did = [];
  if (mine && mine.category_id !== theirs.category_id) did.push(`class ${app.nameOf(theirs)}`);
  if (mine?.mask?.counts !== theirs.mask?.counts) did.push('another mask');
  if (JSON.stringify(mine?.box) !== JSON.stringify(theirs.box)) did.push('another box');
  did.push(theirs.state);
  return `${who} changed this ${what} meanwhile (now ${did.join(', ')}). Your change was not saved; you see theirs.`;
}
