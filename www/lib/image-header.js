/** Enough of a file to find the size of any image but a JPEG with a huge preview in front. */
const HEADER_BYTES = 256 * 1024;

/** Most pixels that are decoded, as on the Rust side. */
export const MAX_PIXELS = 120_000_000;

/**
 * What the first bytes of a file say.
 *
 * @param {Blob} blob
 * @returns {Promise<{format?: string, width?: number, height?: number}>}
 *   `format` is missing for what the program itself cannot decode; the size is missing where
 *   finding it takes a decoder.
 */
export async function readHeader(blob) {
  const bytes = new Uint8Array(await blob.slice(0, HEADER_BYTES).arrayBuffer());
  const view = new DataView(bytes.buffer);
  const is = (text, at = 0) =>
    bytes.length >= at + text.length && [...text].every((character, i) => bytes[at + i] === character.charCodeAt(0));
  try {
    if (is("\x89PNG\r\n\x1a\n")) {
      return { format: "PNG", width: view.getUint32(16), height: view.getUint32(20) };
    }
    if (is("\xff\xd8\xff")) return { format: "JPEG", ...jpegSize(view) };
    if (is("GIF8")) {
      return { format: "GIF", width: view.getUint16(6, true), height: view.getUint16(8, true) };
    }
    if (is("RIFF") && is("WEBP", 8)) return { format: "WebP", ...webpSize(view, is) };
    if (is("BM")) {
      return { format: "BMP", width: view.getInt32(18, true), height: Math.abs(view.getInt32(22, true)) };
    }
    if (is("II*\0") || is("MM\0*") || is("II+\0") || is("MM\0+")) return { format: "TIFF" };
  } catch {
    // The file ends inside its header: the decoder will say so.
    return { format: "image" };
  }
  return {};
}

/** Walks the segments up to the frame header. */
function jpegSize(view) {
  let at = 2;
  while (at + 9 < view.byteLength && view.getUint8(at) === 0xff) {
    const marker = view.getUint8(at + 1);
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return { height: view.getUint16(at + 5), width: view.getUint16(at + 7) };
    at += 2 + view.getUint16(at + 2);
  }
  return {};
}

function webpSize(view, is) {
  const uint24 = (at) => view.getUint16(at, true) + (view.getUint8(at + 2) << 16);
  if (is("VP8X", 12)) return { width: uint24(24) + 1, height: uint24(27) + 1 };
  if (is("VP8L", 12)) {
    const bits = view.getUint32(21, true);
    return { width: (bits & 0x3fff) + 1, height: ((bits >> 14) & 0x3fff) + 1 };
  }
  return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
}
