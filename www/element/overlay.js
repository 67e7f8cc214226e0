/** Canvases of the page are no larger than this on a side; the CSS scales them. */
const MAX_SIDE = 2048;

/** The size at which a picture is drawn, one that every browser can hold. */
export function shownSize(width, height) {
  const scale = Math.min(1, MAX_SIDE / Math.max(width, height));
  return { columns: Math.max(1, Math.round(width * scale)), rows: Math.max(1, Math.round(height * scale)) };
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {ImageBitmap | HTMLImageElement} picture
 * @param {number} width the picture's own size
 * @param {number} height
 */
export function drawPicture(canvas, picture, width, height) {
  const { columns, rows } = shownSize(width, height);
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  // The network sees transparent pixels over white.
  context.fillStyle = "#fff";
  context.fillRect(0, 0, columns, rows);
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, columns, rows);
}

/**
 * Draws masks as fills and, apart from them, their outlines: the opacity of the fills is then a
 * matter of CSS, and the outline stays where a faint fill would be lost.
 *
 * @param {{fill: HTMLCanvasElement, outline: HTMLCanvasElement}} canvases
 * @param {{small: Uint8Array, color: string}[]} layers the last one on top
 * @param {{columns: number, rows: number}} size of the canvases and of every mask
 * @param {number} shownWidth CSS pixels that the picture is wide, for an even line width
 */
export function drawLayers({ fill, outline }, layers, { columns, rows }, shownWidth) {
  const fillImage = new ImageData(columns, rows);
  const outlineImage = new ImageData(columns, rows);
  const filled = new Uint32Array(fillImage.data.buffer);
  const outlined = new Uint32Array(outlineImage.data.buffer);
  const reach = Math.max(1, Math.min(4, Math.round((1.5 * columns) / Math.max(1, shownWidth))));
  for (const { small, color } of layers) {
    const ink = inkOf(color);
    for (let y = 0, at = 0; y < rows; y += 1) {
      for (let x = 0; x < columns; x += 1, at += 1) {
        if (!small[at]) continue;
        filled[at] = ink;
        const isEdge =
          (x >= reach && !small[at - reach]) ||
          (x + reach < columns && !small[at + reach]) ||
          (y >= reach && !small[at - reach * columns]) ||
          (y + reach < rows && !small[at + reach * columns]);
        if (isEdge) outlined[at] = ink;
      }
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

/** @param {string} color `#rrggbb` @returns {number} an opaque pixel as it lies in memory */
function inkOf(color) {
  const [red, green, blue] = [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16));
  return new Uint32Array(new Uint8Array([red, green, blue, 255]).buffer)[0];
}

/** A mask with fewer pixels, each the one in the middle of its place. */
export function reduced(mask, width, height, columns, rows) {
  const small = new Uint8Array(columns * rows);
  for (let y = 0, at = 0; y < rows; y += 1) {
    const row = Math.floor(((y + 0.5) * height) / rows) * width;
    for (let x = 0; x < columns; x += 1, at += 1) {
      small[at] = mask[row + Math.floor(((x + 0.5) * width) / columns)];
    }
  }
  return small;
}

/** Logits of one step of a result's `pixelMargins`. */
const STEP = 6 / 127;

/**
 * Probability of the foreground at a place of the picture, that of the pixel there.
 * @param {{pixelMargins: Int8Array, width: number, height: number}} result
 * @param {number} x 0 to 1
 * @param {number} y 0 to 1
 */
export function probabilityAt({ pixelMargins, width, height }, x, y) {
  const at = (share, count) => Math.min(count - 1, Math.max(0, Math.floor(share * count)));
  return 1 / (1 + Math.exp(-STEP * pixelMargins[at(y, height) * width + at(x, width)]));
}
