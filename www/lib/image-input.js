import { RrsisError } from "./errors.js";
import { readHeader } from "./image-header.js";

/**
 * Fetches an image.
 * @param {string} source URL, relative to the page
 * @param {AbortSignal} [signal]
 * @returns {Promise<Blob>}
 */
export async function fetchImage(source, signal) {
  let url;
  try {
    url = new URL(source, document.baseURI);
  } catch {
    throw new RrsisError("image", `"${source}" is not the address of an image.`);
  }
  let response;
  try {
    response = await fetch(url, { signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new RrsisError(
      "image",
      `The image ${url} could not be fetched. Either it is out of reach, or its server does not ` +
        "let other sites read it (CORS): save the image and choose the file.",
    );
  }
  if (!response.ok) {
    throw new RrsisError("image", `The image ${url} could not be fetched: the server answered ${response.status}.`);
  }
  return response.blob();
}

/**
 * An image in the form in which the worker takes it.
 *
 * Files go as they are and are decoded by the program, so that a page and a command line see the
 * same pixels. A blob is passed by reference: its bytes are read in the worker alone. What the
 * program cannot decode (AVIF, say) goes as the browser's own bitmap.
 *
 * @param {Blob | ImageBitmap | HTMLImageElement} image
 * @returns {Promise<{blob: Blob} | {bitmap: ImageBitmap}>}
 */
export async function workerInput(image) {
  if (image instanceof Blob) {
    const { format } = await readHeader(image);
    if (!format && image.size > 0) {
      const bitmap = await createImageBitmap(image).catch(() => undefined);
      if (bitmap) return { bitmap };
    }
    return { blob: image };
  }
  if (image instanceof HTMLImageElement) {
    try {
      await image.decode();
      return { bitmap: await createImageBitmap(image) };
    } catch {
      throw new RrsisError("image", `The image ${image.currentSrc || image.src} could not be decoded.`);
    }
  }
  if (image instanceof ImageBitmap) {
    if (image.width === 0) throw new RrsisError("image", "This ImageBitmap has been closed.");
    return { bitmap: image };
  }
  throw new RrsisError("image", "An image must be a Blob, an ImageBitmap, an <img> element or a URL.");
}
