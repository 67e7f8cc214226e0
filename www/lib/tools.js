import { bytesOf } from "./pixels.js";

/**
 * What the program can do without a model, by name: the worker's side.
 *
 * Every tool takes the program and its arguments, and gives `{value, transfer?}`.
 */
export const TOOLS = {
  /** An image that the browser may not be able to show. */
  async preview(program, { image, most }) {
    const preview = program.preview(await bytesOf(image), most);
    try {
      const { width, height, shown_width, shown_height, gsd, epsg } = preview;
      const pixels = new ImageData(preview.take_rgba(), shown_width, shown_height);
      const bitmap = await createImageBitmap(pixels);
      return { value: { bitmap, width, height, gsd, epsg }, transfer: [bitmap] };
    } finally {
      preview.free();
    }
  },

  /** The mask of a result at another threshold. */
  maskAt(program, { pixelMargins, threshold }) {
    const limit = program.margin_limit(threshold);
    // In the place of the margins, which are a copy already: large images have many.
    const mask = new Uint8Array(pixelMargins.buffer, pixelMargins.byteOffset, pixelMargins.length);
    for (let at = 0; at < mask.length; at += 1) mask[at] = pixelMargins[at] > limit ? 1 : 0;
    return { value: mask, transfer: [mask.buffer] };
  },

  /** How many regions a mask has. */
  countRegions(program, { mask, width, height }) {
    return { value: program.count_regions(mask, width, height) };
  },

  /** Masks of one image as the text of a GeoJSON file. */
  async geoJson(program, { features, image, tolerance }) {
    const file = new program.GeoJson(image && (await bytesOf(image)), tolerance);
    try {
      for (const { expression, mask, width, height, gsd } of features) file.add(expression, mask, width, height, gsd);
      return { value: file.text() };
    } finally {
      file.free();
    }
  },

  /** A mask as a GeoTIFF file at the place of an image. */
  async geoTiff(program, { mask, width, height, image }) {
    const file = program.geotiff(mask, width, height, await bytesOf(image));
    return { value: file, transfer: [file.buffer] };
  },
};
