// The picture and the mask over it, both on 2D canvases.

/** Larger pictures are shown smaller: canvases have limits, and screens too. */
const LARGEST_SIDE = 2048;

export class Picture {
  #image;
  #overlay;

  /** @param {HTMLCanvasElement} image @param {HTMLCanvasElement} overlay */
  constructor(image, overlay) {
    this.#image = image;
    this.#overlay = overlay;
  }

  /**
   * Shows an image, without a mask.
   *
   * @param {ImageBitmap | HTMLImageElement} source
   */
  show(source) {
    const width = source.naturalWidth ?? source.width;
    const height = source.naturalHeight ?? source.height;
    this.#resize(width, height);
    this.#image.getContext('2d').drawImage(source, 0, 0, this.#image.width, this.#image.height);
  }

  /** Reserves the place of an image that the browser cannot show itself. */
  blank(width, height) {
    this.#resize(width, height);
  }

  #resize(width, height) {
    const scale = Math.min(1, LARGEST_SIDE / Math.max(width, height));
    for (const canvas of [this.#image, this.#overlay]) {
      canvas.width = Math.max(1, Math.round(width * scale));
      canvas.height = Math.max(1, Math.round(height * scale));
    }
  }

  /** Takes the mask away. */
  clear() {
    this.#overlay.getContext('2d').clearRect(0, 0, this.#overlay.width, this.#overlay.height);
  }

  /**
   * Draws a mask in one colour with a darker edge; how strongly it covers the image is a matter of
   * style, so that changing it costs nothing.
   *
   * @param {{ width: number, height: number, mask: Uint8Array }} result
   * @param {[number, number, number]} colour
   */
  draw({ width, height, mask }, [red, green, blue]) {
    const { width: columns, height: rows } = this.#overlay;
    const context = this.#overlay.getContext('2d');
    const pixels = context.createImageData(columns, rows);
    const column = Int32Array.from({ length: columns }, (_, x) => Math.min(width - 1, Math.floor(((x + 0.5) * width) / columns)));
    const at = (x, y) => mask[Math.min(height - 1, Math.floor(((y + 0.5) * height) / rows)) * width + column[x]];
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        if (!at(x, y)) continue;
        const inside =
          x > 0 && y > 0 && x + 1 < columns && y + 1 < rows && at(x - 1, y) && at(x + 1, y) && at(x, y - 1) && at(x, y + 1);
        const shade = inside ? 1 : 0.55;
        const offset = (y * columns + x) * 4;
        pixels.data[offset] = red * shade;
        pixels.data[offset + 1] = green * shade;
        pixels.data[offset + 2] = blue * shade;
        pixels.data[offset + 3] = 255;
      }
    }
    context.putImageData(pixels, 0, 0);
  }

  /** @param {number} opacity 0..1 */
  set opacity(opacity) {
    this.#overlay.style.opacity = String(opacity);
  }
}
