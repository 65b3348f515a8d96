/** Line icons, drawn on a 20 x 20 grid. Constants only: nothing from outside ends up in this markup. */

const PATHS = {
  select: '<path d="M5 3l10 7-4.4.9L13 16l-2.2 1-2.3-5L5 15z"/>',
  box: '<rect x="4" y="5" width="12" height="10" rx="1" stroke-dasharray="3 2"/>',
  include: '<circle cx="10" cy="10" r="6.5"/><path d="M10 7v6M7 10h6"/>',
  exclude: '<circle cx="10" cy="10" r="6.5"/><path d="M7 10h6"/>',
  brush: '<path d="M16.5 3.5c-3 1-6.500 4.500-8 7l2 2c2.500-1.500 6-5 7-8zM8 11c-2 0-2.500 1.500-2.500 3 0 1-1 1.500-2 1.500C5 17 9.500 17 10 13z"/>',
  eraser: '<path d="M8 16l-4.500-4.500L11 4l5 5-7 7zM7 8l5 5M8 16h9"/>',
  undo: '<path d="M4 8h8a4 4 0 010 8H8M4 8l3.500-3.500M4 8l3.500 3.500"/>',
  redo: '<path d="M16 8H8a4 4 0 000 8h4M16 8l-3.500-3.500M16 8l-3.500 3.500"/>',
  previous: '<path d="M12 4l-6 6 6 6"/>',
  next: '<path d="M8 4l6 6-6 6"/>',
  search: '<circle cx="9" cy="9" r="5"/><path d="M13 13l4 4"/>',
  help: '<circle cx="10" cy="10" r="7"/><path d="M8 8a2 2 0 114 0c0 1.500-2 1.500-2 3.200M10 14v.2"/>',
  theme: '<circle cx="10" cy="10" r="6.500"/><path d="M10 3.500v13a6.500 6.500 0 000-13z" fill="currentColor"/>',
  accept: '<path d="M4 10.500l4 4 8-9"/>',
  reject: '<path d="M5 5l10 10M15 5L5 15"/>',
  work: '<path d="M10 4v7M10 14.500v.5"/>',
  decode: '<path d="M10 3l1.600 4.400L16 9l-4.400 1.600L10 15l-1.600-4.400L4 9l4.400-1.600zM15.500 13.500v4M13.500 15.500h4"/>',
  polygon: '<path d="M5 6l6-3 5 6-3 7-8-2z"/><circle cx="5" cy="6" r="1.200" fill="currentColor"/><circle cx="11" cy="3" r="1.200" fill="currentColor"/><circle cx="16" cy="9" r="1.200" fill="currentColor"/><circle cx="13" cy="16" r="1.200" fill="currentColor"/><circle cx="5" cy="14" r="1.200" fill="currentColor"/>',
  split: '<path d="M3 7c0-2 5-3 5 0s0 6-2 6-3-4-3-6zM12 8c0-2 5-2 5 1s-1 5-3 5-2-4-2-6z"/>',
  fill: '<circle cx="10" cy="10" r="6.500"/><circle cx="10" cy="10" r="2.500" fill="currentColor"/>',
  delete: '<path d="M4 6h12M8 6V4h4v2M6 6l.7 10h6.600L14 6M8.500 9v4.500M11.500 9v4.500"/>',
  eye: '<path d="M2.500 10C5 6 7.500 5 10 5s5 1 7.500 5c-2.500 4-5 5-7.500 5s-5-1-7.500-5z"/><circle cx="10" cy="10" r="2.300"/>',
  done: '<rect x="3.500" y="4" width="13" height="12" rx="1.500"/><path class="os-tick" d="M6.500 10.500l2.500 2.500 5-6"/>',
  find: '<path d="M3.500 7V3.500H7M13 3.500h3.500V7M16.500 13v3.500H13M7 16.500H3.500V13"/><path d="M10 6l1.100 2.900L14 10l-2.900 1.100L10 14l-1.100-2.900L6 10l2.900-1.100z"/>',
  convert: '<rect x="3.500" y="3.500" width="6" height="6" stroke-dasharray="2 1.500"/><rect x="11" y="11" width="6" height="6" stroke-dasharray="2 1.500"/><path d="M13 4.500c2 0 3 1 3 3M7 16c-2 0-3-1-3-3"/>',
};

/** @param {keyof typeof PATHS} name @returns {Node} */
export function icon(name) {
  const holder = document.createElement('template');
  holder.innerHTML = `<svg class="os-icon" viewBox="0 0 20 20" aria-hidden="true">${PATHS[name]}</svg>`;
  return /** @type {Node} */ (holder.content.firstChild);
}
