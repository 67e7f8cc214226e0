/**
 * A worker that was started before the page's service worker was there stays out of its sight, and what
 * it fetched would not be kept. So it tells: when it has its program, and whenever it is asked.
 * (offline.js, which can import nothing, asks and listens on the same channel.)
 */
import { openChannel } from "./channel.js";
import { onForgetting } from "./forgetting.js";

const channel = openChannel("rrsis-fetched");
let silent = false;

channel?.addEventListener("message", ({ data }) => {
  if (data.type === "ask") tellWhatWasFetched();
});
// What is kept was cleared: what was fetched before is not to come back.
onForgetting(() => (silent = true));

/** Names everything that no service worker has seen on its way here. */
export function tellWhatWasFetched() {
  const unseen = performance.getEntriesByType("resource").filter(({ workerStart }) => workerStart === 0);
  if (silent || !unseen.length) return;
  channel?.postMessage({ type: "fetched", addresses: [...new Set([self.location.href, ...unseen.map(({ name }) => name)])] });
}
