/**
 * Weights kept between visits, by their SHA-256.
 *
 * The cache is a help and never a condition: it is missing in insecure contexts, refused in some
 * private windows, and full on some phones. Every failure here means "not cached".
 */
import { onForgetting } from "./forgetting.js";

export const NAME = "rrsis-weights-v1";

/**
 * A URL that nobody serves: the cache wants one as its key.
 * @param {string} sha256
 */
function key(sha256) {
  return new URL(`.rrsis-weights/${sha256}`, self.location.origin).href;
}

async function open() {
  try {
    return await self.caches?.open(NAME);
  } catch {
    return undefined;
  }
}

/** Until somebody clears what is kept: what still arrives then stays in memory. */
let keeping = true;
onForgetting(() => {
  keeping = false;
  self.caches?.delete(NAME).catch(() => {});
});

/** @param {string} sha256 */
function match(sha256) {
  // Unlike `open`, this makes no cache.
  return self.caches?.match(key(sha256), { cacheName: NAME });
}

/**
 * @param {string} sha256
 * @param {number} bytes what is not this long is not given out
 * @returns {Promise<Uint8Array | undefined>}
 */
export async function cached(sha256, bytes) {
  try {
    const response = await match(sha256);
    const content = response && new Uint8Array(await response.arrayBuffer());
    return content?.length === bytes ? content : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Whether something is kept under this hash; not whether it is whole.
 * @param {string} sha256
 */
export async function isKept(sha256) {
  try {
    return Boolean(await match(sha256));
  } catch {
    return false;
  }
}

/**
 * @param {string} sha256
 * @param {Uint8Array} content already checked against the hash
 */
export async function keep(sha256, content) {
  if (!keeping) return;
  try {
    // With its length, so that what is kept can be added up without reading it.
    const headers = { "content-length": String(content.length) };
    await (await open())?.put(key(sha256), new Response(inPieces(content), { headers }));
  } catch {
    // Full or refused: the weights stay in memory for this visit.
  }
}

/** Bytes of a piece. */
const PIECE = 1 << 20;

/**
 * The same bytes, a piece at a time: a browser makes copies of what a response is made of, and keeps them for longer
 * than anybody needs them.
 *
 * @param {Uint8Array} content
 */
function inPieces(content) {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at < content.length) controller.enqueue(content.slice(at, at + PIECE));
      at += PIECE;
      if (at >= content.length) controller.close();
    },
  });
}

/** @param {string} sha256 */
export async function forget(sha256) {
  try {
    await (await open())?.delete(key(sha256));
  } catch {
    // It will be found damaged again, and downloaded again.
  }
}
