import { RrsisError } from "../lib/errors.js";
import { greyPng } from "./grey-png.js";

/**
 * A mask as a PNG file: 0 and 255, the image's own size.
 * @param {{width: number, height: number, mask: Uint8Array}} result
 * @returns {Promise<Blob>}
 */
export function maskPng(result) {
  if (typeof CompressionStream === "function") return greyPng(result);
  const { width, height, mask } = result;
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let at = 0; at < mask.length; at += 1) pixels[at] = mask[at] ? 0xffffffff : 0xff000000;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return png(canvas);
}

/**
 * What is shown, as a PNG file: the picture with its masks.
 * @param {{canvas: HTMLCanvasElement, opacity: number}[]} sheets from the lowest up
 * @returns {Promise<Blob>}
 */
export function overlayPng(sheets) {
  const [{ canvas: ground }] = sheets;
  const canvas = Object.assign(document.createElement("canvas"), { width: ground.width, height: ground.height });
  const context = canvas.getContext("2d");
  for (const { canvas: sheet, opacity } of sheets) {
    context.globalAlpha = opacity;
    if (sheet.width) context.drawImage(sheet, 0, 0, canvas.width, canvas.height);
  }
  return png(canvas);
}

async function png(canvas) {
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  if (blob) return blob;
  throw new RrsisError("internal", `This browser cannot write a PNG of ${canvas.width} x ${canvas.height} pixels.`);
}

/**
 * Hands a file to the person.
 * @param {Blob} blob
 * @param {string} name
 */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/**
 * Part of a file's name: no folder, no ending, nothing that a file system minds.
 * @param {string} text
 */
export function stem(text) {
  const name = text.split(/[\\/]/).pop().replace(/\.[^.]*$/, "");
  return name.replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^-+|-+$/g, "").slice(0, 60);
}
