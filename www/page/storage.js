import { NAME as WEIGHTS } from "../lib/shard-cache.js";
import { announceForgetting } from "../lib/forgetting.js";
import { megabytes } from "../element/text.js";
import { trustedScriptUrl } from "../lib/trusted.js";

const CACHES = [WEIGHTS, "rrsis-shell-v1"];

/** Bytes that this page keeps on the machine: the weights, and itself. */
async function keptBytes() {
  let bytes = 0;
  for (const name of CACHES) {
    if (!(await caches.has(name))) continue;
    const cache = await caches.open(name);
    for (const request of await cache.keys()) {
      const response = await cache.match(request);
      const length = response.headers.get("content-encoding") ? null : response.headers.get("content-length");
      bytes += length === null ? (await response.blob()).size : Number(length);
    }
  }
  return bytes;
}

/**
 * Says how much is kept, and clears it on request.
 * @param {{text: HTMLElement, button: HTMLButtonElement}} ui
 */
export async function showStorage({ text, button }) {
  const refresh = async () => {
    try {
      const bytes = await keptBytes();
      text.textContent = bytes
        ? `${megabytes(bytes)} MB are kept in this browser, so that the page works without a network.`
        : "Nothing is kept in this browser yet.";
      button.hidden = bytes === 0;
    } catch {
      text.textContent = "This browser keeps nothing for this page: the model is loaded anew with each visit.";
      button.hidden = true;
    }
  };
  button.addEventListener("click", async () => {
    announceForgetting();
    await Promise.all(CACHES.map((name) => caches.delete(name))).catch(() => {});
    await refresh();
  });
  await refresh();
  return refresh;
}

/** Makes the page work without a network from the second visit on. */
export async function keepForOffline() {
  if (!("serviceWorker" in navigator)) return;
  try {
    await navigator.serviceWorker.register(trustedScriptUrl(new URL("../offline.js", import.meta.url).href));
    const { active } = await navigator.serviceWorker.ready;
    const fetched = performance.getEntriesByType("resource").map(({ name }) => name);
    active.postMessage({ type: "keep", addresses: [location.href.split("#")[0], ...new Set(fetched)] });
  } catch {
    // Refused, as in a private window: the page works as long as there is a network.
  }
}
