import { RrsisError } from "./errors.js";

/**
 * The bytes of a file.
 * @param {Blob} blob
 * @returns {Promise<Uint8Array>}
 */
export async function bytesOf(blob) {
  try {
    return new Uint8Array(await blob.arrayBuffer());
  } catch (error) {
    throw new RrsisError(
      "image",
      `The image file can no longer be read (${error.message}): it was moved, changed or is too large. Choose it again.`,
    );
  }
}

/**
 * The pixels of a bitmap, which is closed.
 * @param {ImageBitmap} bitmap
 * @returns {{width: number, height: number, rgba: Uint8Array}}
 */
export function rgbaOf(bitmap) {
  const { width, height } = bitmap;
  try {
    const canvas =
      typeof OffscreenCanvas === "function"
        ? new OffscreenCanvas(width, height)
        : Object.assign(document.createElement("canvas"), { width, height });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    return { width, height, rgba: new Uint8Array(data.buffer) };
  } catch (error) {
    throw new RrsisError(
      "image",
      `The ${width} x ${height} pixels of the image could not be read in this browser (${error.message}).`,
    );
  } finally {
    bitmap.close();
  }
}
