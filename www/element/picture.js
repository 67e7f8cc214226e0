import { RrsisError } from "../lib/errors.js";
import { MAX_PIXELS, readHeader } from "../lib/image-header.js";
import { shownSize } from "./overlay.js";

/** Pixels from which on a picture is made smaller while it is decoded for display. */
const LARGE = 16_000_000;

/**
 * What the element needs to show an image before anything has been computed.
 *
 * @typedef {object} Picture
 * @property {Blob | ImageBitmap | HTMLImageElement} source what goes to the network
 * @property {string} name
 * @property {ImageBitmap | HTMLImageElement} preview
 * @property {number} width
 * @property {number} height
 * @property {number} [gsd] metres a pixel, where a GeoTIFF tells
 * @property {boolean} [placed] whether it is a GeoTIFF that says where it lies
 */

/**
 * Opens an image for display, or says why it cannot be used.
 * @param {Blob | ImageBitmap | HTMLImageElement} source
 * @param {string} name
 * @param {(source: Blob) => Promise<{bitmap: ImageBitmap, width: number, height: number, gsd?: number, epsg?: number}>} decode
 *   for TIFF, which browsers cannot show
 * @returns {Promise<Picture>}
 */
export async function openPicture(source, name, decode) {
  if (source instanceof ImageBitmap) {
    return { source, name, preview: source, width: source.width, height: source.height };
  }
  if (source instanceof HTMLImageElement) {
    await source.decode().catch(() => {
      throw new RrsisError("image", `The image ${source.currentSrc || source.src} could not be decoded.`);
    });
    return { source, name, preview: source, width: source.naturalWidth, height: source.naturalHeight };
  }
  if (!(source instanceof Blob)) {
    throw new RrsisError("image", "An image must be a Blob, an ImageBitmap, an <img> element or a URL.");
  }
  if (source.size === 0) {
    throw new RrsisError("image", "The image file is empty (0 bytes). Choose the file again, or save it anew.");
  }
  const { format, width, height } = await readHeader(source);
  // Decoding such a picture for display alone could take the page down.
  if (width * height > MAX_PIXELS) {
    throw new RrsisError(
      "image",
      `The image has ${width} x ${height} pixels; at most ${MAX_PIXELS / 1e6} million pixels can be read. ` +
        "Scale it down or cut a part out of it.",
    );
  }
  const byProgram = async () => {
    const { bitmap, gsd, epsg, ...size } = await decode(source);
    return { source, name, preview: bitmap, ...size, gsd, placed: epsg !== undefined || gsd !== undefined };
  };
  if (format === "TIFF") return byProgram();
  const isLarge = width * height > LARGE;
  try {
    const preview = await createImageBitmap(source, {
      imageOrientation: "from-image",
      // A bitmap of every pixel would take four bytes for each, here and on the graphics card.
      ...(isLarge ? { resizeWidth: shownSize(width, height).columns, resizeQuality: "high" } : {}),
    });
    const size = isLarge ? upright({ width, height }, preview) : { width: preview.width, height: preview.height };
    return { source, name, preview, ...size };
  } catch {
    // Some browsers hold no bitmap of this size, even for a moment.
    if (isLarge) return byProgram();
    throw new RrsisError(
      "image",
      format
        ? `The ${format} file cannot be read: it is cut short or damaged. Save or download it anew.`
        : "This file is not an image that can be read. Use PNG, JPEG, WebP, BMP, GIF or TIFF.",
    );
  }
}

/**
 * The size of an image as it stands after its EXIF orientation, told from what the browser made of it.
 * @param {{width: number, height: number}} stored
 * @param {{width: number, height: number}} shown
 */
function upright({ width, height }, shown) {
  const off = (a, b) => Math.abs(Math.log((a * shown.height) / (b * shown.width)));
  return off(width, height) <= off(height, width) ? { width, height } : { width: height, height: width };
}

/**
 * The first image among files that were dropped or pasted; any file where none calls itself one,
 * so that its owner is told what is wrong with it.
 * @param {DataTransfer | null} transfer
 */
export function fileOf(transfer) {
  const files = [...(transfer?.files ?? [])];
  return files.find((file) => file.type.startsWith("image/")) ?? files[0];
}
