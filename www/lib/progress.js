/** Reports of downloads are at least this far apart. */
const INTERVAL_MS = 40;

/**
 * Adds up what has been downloaded over all files of a model and the program itself.
 */
export class Ledger {
  #files = new Map();
  #report;
  #last = 0;
  #known = false;

  /** @param {(progress: {stage: "download", file: string, loaded: number, total: number}) => void} report */
  constructor(report) {
    this.#report = report;
  }

  /**
   * The files that the total is made of; nothing is reported before.
   * @param {{file: string, bytes: number}[]} files
   */
  expect(files) {
    for (const { file, bytes } of files) this.#entry(file).total = bytes;
    this.#known = true;
  }

  /**
   * @param {string} file
   * @param {number} loaded
   * @param {number} [total] where it is not in the manifest
   */
  update(file, loaded, total) {
    const entry = this.#entry(file);
    entry.loaded = loaded;
    if (total !== undefined) entry.total = total;
    // A length that the headers did not tell grows with what arrives.
    entry.total = Math.max(entry.total, loaded);
    const now = performance.now();
    if (loaded < entry.total && now - this.#last < INTERVAL_MS) return;
    this.#last = now;
    this.emit(file);
  }

  /** Says how things stand, for instance to a caller that came late. */
  emit(file = "") {
    if (!this.#known) return;
    let loaded = 0;
    let total = 0;
    for (const entry of this.#files.values()) {
      loaded += entry.loaded;
      total += entry.total;
    }
    this.#report({ stage: "download", file, loaded, total });
  }

  #entry(file) {
    let entry = this.#files.get(file);
    if (!entry) this.#files.set(file, (entry = { loaded: 0, total: 0 }));
    return entry;
  }
}
