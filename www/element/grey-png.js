/**
 * A mask as a PNG file of 8-bit grey, compressed row by row. A canvas would take four bytes for every
 * pixel, twice, and some browsers have none as large as an aerial image.
 */

/** Bytes that are handed over at once. */
const PORTION = 1 << 20;

const CRC = new Uint32Array(256).map((_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/**
 * @param {{width: number, height: number, mask: Uint8Array}} result 0 and 1 become 0 and 255
 * @returns {Promise<Blob>}
 */
export async function greyPng({ width, height, mask }) {
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  // Bits a sample; all else is 0: grey, deflate, no interlace.
  header.setUint8(8, 8);
  const pixels = await new Response(rows(width, height, mask).pipeThrough(new CompressionStream("deflate"))).arrayBuffer();
  const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
  const chunks = [chunk("IHDR", new Uint8Array(header.buffer)), chunk("IDAT", new Uint8Array(pixels)), chunk("IEND", new Uint8Array())];
  return new Blob([signature, ...chunks.flat()], { type: "image/png" });
}

/** The rows of the picture, each behind its filter byte (0: none). */
function rows(width, height, mask) {
  const together = Math.max(1, Math.floor(PORTION / (width + 1)));
  let row = 0;
  return new ReadableStream({
    pull(controller) {
      const count = Math.min(together, height - row);
      const bytes = new Uint8Array(count * (width + 1));
      for (let i = 0; i < count; i += 1, row += 1) {
        const from = row * width;
        const to = i * (width + 1) + 1;
        for (let x = 0; x < width; x += 1) bytes[to + x] = -mask[from + x];
      }
      controller.enqueue(bytes);
      if (row >= height) controller.close();
    },
  });
}

/** Length, name, content and checksum. */
function chunk(name, content) {
  const length = new DataView(new ArrayBuffer(4));
  length.setUint32(0, content.length);
  const code = Uint8Array.from(name, (character) => character.charCodeAt(0));
  let sum = ~0;
  for (const part of [code, content]) {
    for (const byte of part) sum = CRC[(sum ^ byte) & 255] ^ (sum >>> 8);
  }
  const check = new DataView(new ArrayBuffer(4));
  check.setUint32(0, ~sum >>> 0);
  return [length.buffer, code, content, check.buffer];
}
