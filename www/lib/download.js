import { RrsisError } from "./errors.js";

/**
 * Fetches a URL and reports what a person can act on.
 *
 * @param {string | URL} url
 * @param {{signal?: AbortSignal, code: string, what: string}} options
 *   `what` names the file in messages: "model file", "manifest"
 * @returns {Promise<Response>}
 */
export async function request(url, { signal, code, what }) {
  let response;
  try {
    // Asked for again each time (an unchanged file is answered without its bytes), so that a
    // manifest never meets the shards of an earlier deployment.
    response = await fetch(url, { signal, cache: "no-cache" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new RrsisError(
      code,
      `The ${what} ${url} could not be downloaded (${message(error)}). Check the connection and try again.`,
    );
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

/**
 * Reads a body of known length.
 *
 * The length comes from the manifest, because `Content-Length` is missing on some hosts and
 * counts compressed bytes on others.
 *
 * @param {Response} response
 * @param {{url: string | URL, bytes: number, signal?: AbortSignal, onBytes: (loaded: number) => void}} options
 * @returns {Promise<Uint8Array>}
 */
export async function readExactly(response, { url, bytes, signal, onBytes }) {
  const content = new Uint8Array(bytes);
  let loaded = 0;
  const reader = body(response).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (loaded + value.length > bytes) {
        throw new RrsisError(
          "shard",
          `The model file ${url} is longer than the ${bytes} bytes that its manifest says. ` +
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
    throw new RrsisError(
      "shard",
      `The download of the model file ${url} broke off after ${loaded} of ${bytes} bytes (${message(error)}). Try again.`,
    );
  }
  if (loaded !== bytes) {
    throw new RrsisError(
      "shard",
      `The model file ${url} is incomplete: ${loaded} of ${bytes} bytes came. Try again.`,
    );
  }
  return content;
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
