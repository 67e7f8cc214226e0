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

/** Control characters, and those that turn the direction of all that follows. */
const UNSHOWABLE = /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/**
 * What somebody typed, fit to be shown within a sentence.
 * @param {string} text
 * @param {number} [length]
 */
export function shortened(text, length = 60) {
  // No more is looked at than can be shown: the text may be very long.
  const characters = [...text.slice(0, 4 * length + 4000).trim().replace(UNSHOWABLE, "\ufffd")];
  return characters.length <= length ? characters.join("") : `${characters.slice(0, length - 1).join("")}…`;
}

/** How long something will take yet, by what it took so far; "" where that is too early to say. */
export class TimeLeft {
  #name;
  #start = 0;
  #from = 0;
  #last = 0;

  /** @param {string} name of the stage @param {number} done @param {number} total */
  of(name, done, total) {
    // Something new, or the same from the beginning.
    if (name !== this.#name || done < this.#last) {
      this.#name = name;
      this.#start = performance.now();
      this.#from = done;
    }
    this.#last = done;
    const spent = performance.now() - this.#start;
    const part = (done - this.#from) / Math.max(1, total - this.#from);
    if (part <= 0 || part >= 1 || spent < 1500) return "";
    const seconds = (spent * (1 / part - 1)) / 1000;
    if (seconds < 3) return "";
    return seconds < 90 ? `, about ${Math.ceil(seconds / 5) * 5} s left` : `, about ${Math.round(seconds / 60)} min left`;
  }
}
