/**
 * Other workers that compute tiles of a large image beside the one that has it: where a page may not share
 * memory (lib/threads.js), each holds the model for itself, and what it needs of a tile and what it finds
 * are sent. They are started by the first large image, and end a while after the last one.
 */
import { acquireHost } from "./host.js";
import { isKept } from "./shard-cache.js";

/** Fewer tiles are finished before another worker is ready. */
const FEWEST_TILES = 4;
/** Beside the one that has the image; each holds a program and a model. */
const MOST_HELPERS = 3;
/** Gigabytes of the machine's memory a worker. */
const MEMORY_EACH = 2;
/** Tiles that one has at a time: the next one waits there while it computes. */
const QUEUE = 2;
const IDLE_MS = 60_000;

/**
 * How many workers may help one with a large image.
 * @param {number} [threads] at most so many compute on the CPU, that one included
 */
export function helpersFor(threads = Infinity) {
  const { hardwareConcurrency: cores = 1, deviceMemory = 2 * MOST_HELPERS } = navigator;
  return Math.max(0, Math.min(threads - 1, cores - 1, MOST_HELPERS, Math.floor(deviceMemory / MEMORY_EACH)));
}

export class Crew {
  #config;
  #members = [];
  #starting = false;
  #idle;

  /**
   * @param {{model: string, precision: string}} config of their segmenters
   * @param {number} count
   */
  constructor(config, count) {
    this.#config = config;
    /** How many to start. */
    this.count = count;
  }

  /** Members that are ready. */
  get ready() {
    return this.#members.filter(({ ready }) => ready);
  }

  /**
   * Starts them, unless they run already; does not wait.
   * @param {{sha256: string}[]} files of the model: unless they are kept, each would download them anew
   */
  async start(files) {
    if (this.#starting || this.#members.length || this.count === 0) return;
    this.#starting = true;
    const kept = await Promise.all(files.map(({ sha256 }) => isKept(sha256)));
    this.#starting = false;
    if (!kept.every(Boolean)) return;
    for (let number = 1; number <= this.count; number += 1) {
      const host = acquireHost({ ...this.#config, device: "cpu", threads: 1, member: number });
      const member = { host, ready: false, tiles: 0 };
      this.#members.push(member);
      host.call({ type: "load", parts: ["tokenizer", "text", "vision"] }).then(
        () => (member.ready = true),
        (error) => this.dismiss(member, error),
      );
    }
    this.rest();
  }

  /** A member that failed; the others go on. */
  dismiss(member, error) {
    if (!this.#members.includes(member)) return;
    console.warn(`rrsis: a helper stopped (${error.message})`);
    this.#members = this.#members.filter((other) => other !== member);
    member.ready = false;
    member.host.release();
    // No second try: what stopped one stops the next one.
    this.count -= 1;
  }

  /** Sends them home after a while, unless they are busy then. */
  rest() {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => {
      if (this.#members.some(({ tiles }) => tiles > 0)) return this.rest();
      for (const { host } of this.#members.splice(0)) host.release();
    }, IDLE_MS);
  }
}

/** What the program asks of a crew for one image and one expression (src/web/crew.rs). */
export class Shift {
  #crew;
  #expression;
  #files;
  #abort = new AbortController();
  /** Tiles that came back. @type {{tile: number, margin?: Float32Array}[]} */
  #finished = [];
  #wake = () => {};

  /** @param {Crew} crew @param {{expression: string, files: {sha256: string}[], signal: AbortSignal}} job */
  constructor(crew, { expression, files, signal }) {
    this.#crew = crew;
    this.#expression = expression;
    this.#files = files;
    signal.addEventListener("abort", () => this.end());
  }

  /** How many tiles to give now, where nobody has `open` of them. */
  room(open) {
    if (this.#abort.signal.aborted) return 0;
    if (open >= FEWEST_TILES) void this.#crew.start(this.#files);
    const { ready } = this.#crew;
    // Towards the end nobody waits for another's second tile.
    const each = open > QUEUE * (ready.length + 1) ? QUEUE : 1;
    const free = ready.reduce((sum, { tiles }) => sum + Math.max(0, each - tiles), 0);
    // One is for the worker that has the image.
    return Math.max(0, Math.min(open - 1, free));
  }

  /** Gives one to whoever has the fewest. */
  give(tile, side, rgb) {
    const [member] = this.#crew.ready.sort((a, b) => a.tiles - b.tiles);
    member.tiles += 1;
    this.#crew.rest();
    const { signal } = this.#abort;
    member.host
      .call({ type: "tile", side, rgb, expression: this.#expression }, { signal })
      .then(
        (margin) => this.#finished.push({ tile, margin }),
        (error) => {
          this.#finished.push({ tile });
          if (!signal.aborted) this.#crew.dismiss(member, error);
        },
      )
      .finally(() => {
        member.tiles -= 1;
        this.#wake();
      });
  }

  take() {
    return this.#finished.shift();
  }

  async wait() {
    if (this.#finished.length || this.#abort.signal.aborted) return;
    await new Promise((resolve) => (this.#wake = resolve));
  }

  /** Nobody needs the rest. */
  end() {
    this.#abort.abort();
    this.#wake();
  }
}
