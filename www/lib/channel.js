/**
 * A channel to every other thread of this site; `undefined` where storage is refused: then nothing is
 * kept, and there is nothing to tell.
 * @param {string} name
 */
export function openChannel(name) {
  try {
    return new BroadcastChannel(name);
  } catch {
    return undefined;
  }
}
