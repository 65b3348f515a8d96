/**
 * The shapes that travel between the server and the page. Nothing runs here: other modules name these types
 * in their comments, as `import('./types.js').Annotation`.
 *
 * Points and boxes are pixels of the upright photo, x to the right, y down; (0, 0) is the top left corner of the
 * top left pixel.
 *
 * @typedef {[number, number]} Point
 * @typedef {[number, number, number, number]} Box  x0, y0, x1, y1
 * @typedef {{size: [number, number], counts: string}} Rle  COCO compressed run lengths, size is [height, width]
 * @typedef {'proposed' | 'accepted' | 'rejected' | 'needs work'} State
 *
 * @typedef {object} Annotation
 * @property {number | string} id  a text while the server has not answered yet
 * @property {number} image_id
 * @property {number | null} category_id
 * @property {Box | null} box
 * @property {Rle | null} mask
 * @property {'auto' | 'polygon' | 'rle'} form
 * @property {number} simplify
 * @property {number | null} quality
 * @property {string} source
 * @property {State} state
 * @property {boolean} iscrowd
 * @property {string} author
 * @property {number} version
 * @property {boolean} deleted
 * @property {boolean} [waiting]  changed here, not yet confirmed by the server
 *
 * @typedef {object} Photo
 * @property {number} id
 * @property {string} file_name
 * @property {number} width
 * @property {number} height
 * @property {string | null} problem
 * @property {number} position
 * @property {boolean} reviewed
 * @property {string | null} lease_by
 * @property {string} photo_url
 * @property {Annotation[]} annotations
 * @property {number[]} upcoming
 *
 * @typedef {{id: number, name: string, colour: string, synonyms: string[], key: string | null}} Category
 */

export {};
