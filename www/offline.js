/**
 * The service worker of the page (the element needs none): what was fetched once from this folder is
 * kept, and serves when the network does not answer. Online, the network always comes first, so a
 * new deployment is seen at once. Weights are kept elsewhere, by their hash (lib/shard-cache.js).
 */
const SHELL = "rrsis-shell-v1";
const WEIGHTS = /\.bpk$/;

/** How often what is kept was cleared (lib/forgetting.js): what was asked for before is not kept any more. */
let forgotten = 0;
new BroadcastChannel("rrsis-forget").addEventListener("message", () => {
  forgotten += 1;
  caches.delete(SHELL).catch(() => {});
});

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { href } = new URL(request.url);
  if (request.method !== "GET" || !href.startsWith(self.registration.scope) || WEIGHTS.test(href)) return;
  event.respondWith(answer(event));
});

/** The page names what it had fetched before this worker was there, and so do its own workers (lib/fetched.js). */
const fetched = new BroadcastChannel("rrsis-fetched");
fetched.addEventListener("message", ({ data }) => {
  if (data.type === "fetched") keepAll(data.addresses);
});
self.addEventListener("message", (event) => {
  if (event.data?.type !== "keep") return;
  event.waitUntil(keepAll(event.data.addresses));
  fetched.postMessage({ type: "ask" });
});

/** @param {string[]} addresses */
function keepAll(addresses) {
  const ours = addresses.filter((href) => href.startsWith(self.registration.scope) && !WEIGHTS.test(href));
  const begun = forgotten;
  return Promise.all(ours.map((href) => fetch(href).then((response) => keep(href, response, begun), () => {})));
}

async function answer(event) {
  const { request } = event;
  const begun = forgotten;
  try {
    const response = await fetch(request);
    event.waitUntil(keep(request.url, response.clone(), begun));
    return response;
  } catch (error) {
    const kept = await caches.match(request.url, { cacheName: SHELL, ignoreSearch: request.mode === "navigate" });
    if (kept) return kept;
    throw error;
  }
}

/** @param {number} begun what `forgotten` was when the file was asked for */
async function keep(href, response, begun) {
  // A part of a file, or an error, must not stand for the file.
  if (response.status !== 200 || response.redirected || begun !== forgotten) return;
  try {
    const cache = await caches.open(SHELL);
    await cache.put(href.split("#")[0], response);
  } catch {
    // Full or refused: the page works as long as there is a network.
  }
}
