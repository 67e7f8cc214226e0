/** Canvases of the page are no larger than this on a side; the CSS scales them. */
const MAX_SIDE = 2048;

/**
 * Draws a picture into a canvas at a size that every browser can hold.
 * @param {HTMLCanvasElement} canvas
 * @param {ImageBitmap | HTMLImageElement} picture
 * @param {number} width the picture's own size
 * @param {number} height
 */
export function drawPicture(canvas, picture, width, height) {
  const scale = Math.min(1, MAX_SIDE / Math.max(width, height));
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d");
  // The network sees transparent pixels over white.
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
}

/**
 * Draws a mask as a fill and, apart from it, its outline: the opacity of the fill is then a matter
 * of CSS, and the outline stays where a faint fill would be lost.
 *
 * @param {{fill: HTMLCanvasElement, outline: HTMLCanvasElement}} canvases
 * @param {{width: number, height: number, mask: Uint8Array}} result
 * @param {string} color `#rrggbb`
 * @param {number} shownWidth CSS pixels that the picture is wide, for an even line width
 */
export function drawMask({ fill, outline }, { width, height, mask }, color, shownWidth) {
  const scale = Math.min(1, MAX_SIDE / Math.max(width, height));
  const columns = Math.max(1, Math.round(width * scale));
  const rows = Math.max(1, Math.round(height * scale));
  const [red, green, blue] = [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16));
  // Bytes in memory: red, green, blue, alpha.
  const inked = new Uint32Array(new Uint8Array([red, green, blue, 255]).buffer)[0];
  const fillImage = new ImageData(columns, rows);
  const outlineImage = new ImageData(columns, rows);
  const filled = new Uint32Array(fillImage.data.buffer);
  const outlined = new Uint32Array(outlineImage.data.buffer);
  const small = scale === 1 ? mask : reduced(mask, width, height, columns, rows);
  const reach = Math.max(1, Math.min(4, Math.round((1.5 * columns) / Math.max(1, shownWidth))));
  for (let y = 0, at = 0; y < rows; y += 1) {
    for (let x = 0; x < columns; x += 1, at += 1) {
      if (!small[at]) continue;
      filled[at] = inked;
      const isEdge =
        (x >= reach && !small[at - reach]) ||
        (x + reach < columns && !small[at + reach]) ||
        (y >= reach && !small[at - reach * columns]) ||
        (y + reach < rows && !small[at + reach * columns]);
      if (isEdge) outlined[at] = inked;
    }
  }
  for (const [canvas, image] of [
    [fill, fillImage],
    [outline, outlineImage],
  ]) {
    canvas.width = columns;
    canvas.height = rows;
    canvas.getContext("2d").putImageData(image, 0, 0);
  }
}

function reduced(mask, width, height, columns, rows) {
  const small = new Uint8Array(columns * rows);
  for (let y = 0, at = 0; y < rows; y += 1) {
    const row = Math.floor(((y + 0.5) * height) / rows) * width;
    for (let x = 0; x < columns; x += 1, at += 1) {
      small[at] = mask[row + Math.floor(((x + 0.5) * width) / columns)];
    }
  }
  return small;
}

/**
 * A mask as a PNG file: 0 and 255, the image's own size.
 * @param {{width: number, height: number, mask: Uint8Array}} result
 * @returns {Promise<Blob>}
 */
export async function maskPng({ width, height, mask }) {
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let at = 0; at < mask.length; at += 1) pixels[at] = mask[at] ? 0xffffffff : 0xff000000;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.getContext("2d").putImageData(image, 0, 0);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  if (!blob) throw new Error(`this browser cannot write a PNG of ${width} x ${height} pixels`);
  return blob;
}

/**
 * The share of a mask's pixels that are foreground, from 0 to 1.
 * @param {Uint8Array} mask
 */
export function coverage(mask) {
  let count = 0;
  for (let at = 0; at < mask.length; at += 1) count += mask[at];
  return mask.length ? count / mask.length : 0;
}
