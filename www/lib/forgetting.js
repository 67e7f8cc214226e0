/**
 * What is kept between visits can be cleared while more of it arrives, in another thread. Whoever keeps
 * something listens here, deletes what it kept meanwhile, and keeps nothing that it began to fetch before.
 * (offline.js, which can import nothing, listens on the same channel.)
 */
import { openChannel } from "./channel.js";

const channel = openChannel("rrsis-forget");

/** Tells every other thread of this site. */
export function announceForgetting() {
  channel?.postMessage("forget");
}

/** @param {() => void} act */
export function onForgetting(act) {
  channel?.addEventListener("message", act);
}
