import { RrsisError } from "./errors.js";

/**
 * Fetches a URL and reports what a person can act on.
 *
 * @param {string | URL} url
 * @param {{signal?: AbortSignal, code: string, what: string, headers?: Record<string, string>}} options
 *   `what` names the file in messages: "model file", "manifest"
 * @returns {Promise<Response>}
 */
export async function request(url, { signal, code, what, headers }) {
  let response;
  try {
    // Asked for again each time (an unchanged file is answered without its bytes), so that a
    // manifest never meets the shards of an earlier deployment.
    response = await fetch(url, { signal, headers, cache: "no-cache" });
  } catch (error) {
    if (signal?.aborted) throw error;
    const unreachable = new RrsisError(
      code,
      `The ${what} ${url} could not be downloaded (${message(error)}). Check the connection and try again.`,
    );
    throw Object.assign(unreachable, { unreachable: true });
  }
  if (!response.ok) {
    throw new RrsisError(
      code,
      `The ${what} ${url} could not be downloaded: the server answered ${response.status}${
        response.statusText ? ` (${response.statusText})` : ""
      }.`,
    );
  }
  if (/^text\/html\b/i.test(response.headers.get("content-type") ?? "")) {
    throw new RrsisError(
      code,
      `The ${what} ${url} is not there: the server answered with a web page. Check the model's address.`,
    );
  }
  return response;
}

/** How often a download that broke off is taken up again, and how long to wait before. */
const ATTEMPTS = 4;
const PAUSE_MS = 500;

/**
 * Fetches a file of known length. Where the connection breaks, the rest is asked for (or all of it,
 * from hosts that give no parts).
 *
 * The length comes from the manifest, because `Content-Length` is missing on some hosts and
 * counts compressed bytes on others.
 *
 * @param {URL} url
 * @param {{bytes: number, signal?: AbortSignal, onBytes: (loaded: number) => void}} options
 * @returns {Promise<Uint8Array>}
 */
export async function downloadExactly(url, { bytes, signal, onBytes }) {
  const content = room(bytes, url);
  let loaded = 0;
  for (let attempt = 1; ; attempt += 1) {
    try {
      const headers = loaded ? { range: `bytes=${loaded}-` } : {};
      const response = await request(url, { signal, code: "shard", what: "model file", headers });
      if (loaded && !continues(response, loaded)) loaded = 0;
      loaded = await readInto(content, loaded, response, { url, signal, onBytes });
      if (loaded === bytes) return content;
      // It ended as the server meant it to.
      throw new RrsisError("shard", `The model file ${url} is incomplete: ${loaded} of ${bytes} bytes came. Try again.`);
    } catch (error) {
      if (error instanceof BrokenOff) loaded = error.loaded;
      // What the server said in so many words will not change in a second.
      const hopeless = signal?.aborted || (error instanceof RrsisError && !error.unreachable);
      if (hopeless || (attempt === ATTEMPTS && error instanceof RrsisError)) throw error;
      if (attempt === ATTEMPTS) {
        throw new RrsisError(
          "shard",
          `The download of the model file ${url} broke off after ${loaded} of ${bytes} bytes, ${ATTEMPTS} times (${message(error)}). Try again.`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * attempt));
      signal?.throwIfAborted();
    }
  }
}

function room(bytes, url) {
  try {
    return new Uint8Array(bytes);
  } catch {
    throw new RrsisError("memory", `The browser gives no ${Math.round(bytes / 1e6)} MB of memory for the model file ${url}.`);
  }
}

class BrokenOff extends Error {
  constructor(text, loaded) {
    super(text);
    this.loaded = loaded;
  }
}

/** Whether an answer goes on where the last one ended. */
function continues(response, loaded) {
  return response.status === 206 && new RegExp(`^bytes ${loaded}-`).test(response.headers.get("content-range") ?? "");
}

/** Reads a body behind the bytes that are there; returns how many there are then. */
async function readInto(content, start, response, { url, signal, onBytes }) {
  let loaded = start;
  const reader = body(response).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return loaded;
      if (loaded + value.length > content.length) {
        throw new RrsisError(
          "shard",
          `The model file ${url} is longer than the ${content.length} bytes that its manifest says. ` +
            "They belong to different versions of the model.",
        );
      }
      content.set(value, loaded);
      loaded += value.length;
      onBytes(loaded);
    }
  } catch (error) {
    reader.cancel().catch(() => {});
    if (signal?.aborted || error instanceof RrsisError) throw error;
    throw new BrokenOff(message(error), loaded);
  }
}

/**
 * The same response with its bytes counted as they pass.
 *
 * @param {Response} response
 * @param {string} type its content type, whatever the server said
 * @param {(loaded: number) => void} onBytes
 */
export function counted(response, type, onBytes) {
  let loaded = 0;
  const counter = new TransformStream({
    transform(chunk, controller) {
      loaded += chunk.length;
      onBytes(loaded);
      controller.enqueue(chunk);
    },
  });
  return new Response(body(response).pipeThrough(counter), { headers: { "content-type": type } });
}

/**
 * The length of the decoded body, where the headers tell it.
 * @param {Response} response
 */
export function knownLength(response) {
  if (response.headers.get("content-encoding")) return undefined;
  const length = Number(response.headers.get("content-length"));
  return length > 0 ? length : undefined;
}

function body(response) {
  return response.body ?? new Blob([]).stream();
}

function message(error) {
  return error instanceof Error ? error.message : String(error);
}
