/**
 * An error for the person in front of the page: `message` is a sentence, `code` is for scripts.
 *
 * Codes: "image", "expression", "manifest", "shard", "device", "memory", "options", "internal".
 */
export class RrsisError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    this.name = "RrsisError";
    this.code = code;
  }
}

/** The same words as the Rust side, for what can be told before anything is downloaded. */
export const EMPTY_EXPRESSION =
  'The expression is empty. Say what to find in the image, for example "building".';

/**
 * Any thrown value as an error with a code.
 * @param {unknown} value
 * @param {string} [code] for errors that have none
 */
export function asRrsisError(value, code = "internal") {
  if (value instanceof RrsisError) return value;
  const error = /** @type {{code?: unknown, message?: unknown}} */ (value ?? {});
  return new RrsisError(
    typeof error.code === "string" ? error.code : code,
    typeof error.message === "string" && error.message ? error.message : String(value),
  );
}

/**
 * What an aborted call rejects with: the caller's own reason where it is an error.
 * @param {AbortSignal} signal
 */
export function abortReason(signal) {
  const { reason } = signal;
  const isError = reason instanceof Error || reason instanceof DOMException;
  return isError ? reason : new DOMException("The segmentation was cancelled.", "AbortError");
}
