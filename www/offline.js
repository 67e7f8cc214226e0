/**
 * The service worker of the page (the element needs none): what was fetched once from this folder is
 * kept, and serves when the network does not answer. Online, the network always comes first, so a
 * new deployment is seen at once. Weights are kept elsewhere, by their hash (lib/shard-cache.js).
 */
const SHELL = "rrsis-shell-v1";
const WEIGHTS = /\.bpk$/;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { href } = new URL(request.url);
  if (request.method !== "GET" || !href.startsWith(self.registration.scope) || WEIGHTS.test(href)) return;
  event.respondWith(answer(event));
});

/** The page names what it had fetched before this worker was there. */
self.addEventListener("message", (event) => {
  if (event.data?.type !== "keep") return;
  const addresses = event.data.addresses.filter((href) => href.startsWith(self.registration.scope) && !WEIGHTS.test(href));
  event.waitUntil(Promise.all(addresses.map((href) => fetch(href).then((response) => keep(href, response), () => {}))));
});

async function answer(event) {
  const { request } = event;
  try {
    const response = await fetch(request);
    event.waitUntil(keep(request.url, response.clone()));
    return response;
  } catch (error) {
    const cache = await caches.open(SHELL);
    const kept = await cache.match(request.url, { ignoreSearch: request.mode === "navigate" });
    if (kept) return kept;
    throw error;
  }
}

async function keep(href, response) {
  // A part of a file, or an error, must not stand for the file.
  if (response.status !== 200 || response.redirected) return;
  try {
    const cache = await caches.open(SHELL);
    await cache.put(href.split("#")[0], response);
  } catch {
    // Full or refused: the page works as long as there is a network.
  }
}
