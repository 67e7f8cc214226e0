/** Words and numbers for people. */

/** @param {number} bytes */
export function megabytes(bytes) {
  return (bytes / 1e6).toFixed(1);
}

/** @param {number} milliseconds */
export function seconds(milliseconds) {
  const value = milliseconds / 1000;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} s`;
}

/** @param {number} share 0 to 1 */
export function percent(share) {
  const value = share * 100;
  if (value === 0) return "0 %";
  if (value < 0.1) return "under 0.1 %";
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} %`;
}

/** @param {number} squareMetres */
export function area(squareMetres) {
  const [value, unit] =
    squareMetres < 10_000 ? [squareMetres, "m²"] : squareMetres < 1e6 ? [squareMetres / 1e4, "ha"] : [squareMetres / 1e6, "km²"];
  return `${value.toLocaleString("en", { maximumSignificantDigits: 3 })} ${unit}`;
}

/** @param {"webgpu" | "cpu"} device */
export function deviceName(device) {
  return device === "webgpu" ? "WebGPU" : "the CPU";
}

/** @param {string} text @param {number} [length] */
export function shortened(text, length = 60) {
  const characters = [...text.trim()];
  return characters.length <= length ? characters.join("") : `${characters.slice(0, length - 1).join("")}…`;
}
