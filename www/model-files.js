// The files of a model directory: fetched with byte-exact progress, kept in the browser's cache.

const CACHE = 'rrsis-weights-v1';

/** An error whose `code` scripts can act on. */
class FileError extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'RrsisError';
    this.code = code;
  }
}

export class ModelFiles {
  #base;
  #report;
  #manifest;
  #entries = new Map();
  #pending = new Map();
  /** What has been asked for: name -> { loaded, total }. */
  #bytes = new Map();

  /**
   * @param {URL} base the model directory, with a slash at the end
   * @param {(progress: object) => void} report
   */
  constructor(base, report) {
    this.#base = base;
    this.#report = report;
  }

  /** The manifest's text. */
  async manifest() {
    this.#manifest ??= this.#fetchManifest().catch((error) => {
      this.#manifest = undefined;
      throw error;
    });
    return this.#manifest;
  }

  async #fetchManifest() {
    const url = new URL('manifest.json', this.#base);
    const response = await request(url, 'manifest', { cache: 'no-cache' });
    const text = await response.text();
    try {
      for (const entry of JSON.parse(text).files) this.#entries.set(entry.part, entry);
    } catch {
      throw new FileError(
        'manifest',
        `${url.href} is not a model manifest. Check the "model" address: it must lead to a folder with a manifest.json.`,
      );
    }
    return text;
  }

  /** Fetches the WebAssembly module, counted like the model's own files. */
  async fetchModule(url) {
    const response = await request(url, 'internal', {});
    const encoded = response.headers.get('Content-Encoding');
    const total = encoded ? 0 : Number(response.headers.get('Content-Length') ?? 0);
    const bytes = await this.#read(response, 'rrsis_bg.wasm', total, url, 'internal');
    return bytes;
  }

  /** Starts fetching parts, so that they arrive while something else is going on. */
  expect(parts) {
    for (const part of parts) this.#start(part).catch(() => {});
  }

  /** Name and content of a part; the caller owns the content. */
  async take(part) {
    try {
      return await this.#start(part);
    } finally {
      this.#pending.delete(part);
    }
  }

  #start(part) {
    if (!this.#pending.has(part)) this.#pending.set(part, this.#fetchPart(part));
    return this.#pending.get(part);
  }

  async #fetchPart(part) {
    await this.manifest();
    const entry = this.#entries.get(part);
    if (!entry) {
      throw new FileError('manifest', `The manifest at ${this.#base.href} lists no ${part} file.`);
    }
    const { file, bytes: total } = entry;
    const cached = await fromCache(this.#key(entry));
    if (cached) {
      this.#count(file, cached.byteLength, total);
      return { file, content: cached, cached: true };
    }
    const url = new URL(file, this.#base);
    this.#count(file, 0, total);
    const response = await request(url, 'shard', {});
    if ((response.headers.get('Content-Type') ?? '').startsWith('text/html')) {
      throw new FileError('shard', `${url.href} is a web page, not the model file ${file}. The model was not copied completely to this host.`);
    }
    const content = await this.#read(response, file, total, url, 'shard');
    return { file, content, cached: false };
  }

  async #read(response, file, total, url, code) {
    const reader = response.body.getReader();
    const chunks = [];
    let loaded = 0;
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        chunks.push(value);
        loaded += value.byteLength;
        this.#count(file, loaded, Math.max(total, loaded));
      }
    } catch {
      throw new FileError(code, `The connection broke while loading ${url.href}, after ${loaded} of ${total || '?'} bytes. Try again.`);
    }
    this.#count(file, loaded, total || loaded);
    const bytes = new Uint8Array(loaded);
    let offset = 0;
    for (const chunk of chunks) {
      bytes.set(chunk, offset);
      offset += chunk.byteLength;
    }
    return bytes;
  }

  #count(file, loaded, total) {
    this.#bytes.set(file, { loaded, total });
    let allLoaded = 0;
    let allTotal = 0;
    for (const entry of this.#bytes.values()) {
      allLoaded += entry.loaded;
      allTotal += entry.total;
    }
    this.#report({ stage: 'download', file, loaded: allLoaded, total: allTotal });
  }

  /** Keeps a part that has been checked for the next visit; a full or absent cache does not matter. */
  async keep(part, content) {
    const entry = this.#entries.get(part);
    try {
      const cache = await caches.open(CACHE);
      const key = this.#key(entry);
      if (!(await cache.match(key))) await cache.put(key, new Response(content));
    } catch {
      // Private windows, full disks and plain http have no cache: the model stays in memory.
    }
  }

  /** Drops a part from the cache; false where it was not cached. */
  async forget(part) {
    try {
      const cache = await caches.open(CACHE);
      return await cache.delete(this.#key(this.#entries.get(part)));
    } catch {
      return false;
    }
  }

  /** The hash is in the key: a new release never meets old bytes. */
  #key(entry) {
    const url = new URL(entry.file, this.#base);
    url.searchParams.set('sha256', entry.sha256);
    return url.href;
  }
}

async function request(url, code, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch {
    throw new FileError(code, `${url.href} could not be reached. Check the connection, and that its host allows this page to read it (CORS).`);
  }
  if (!response.ok) {
    throw new FileError(code, `${url.href} could not be loaded: the server answered ${response.status}.`);
  }
  return response;
}

async function fromCache(key) {
  try {
    const cache = await caches.open(CACHE);
    const response = await cache.match(key);
    return response && new Uint8Array(await response.arrayBuffer());
  } catch {
    return undefined;
  }
}
