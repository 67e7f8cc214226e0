/**
 * What a worker can tell of its own end: of a trap in the program, of memory that was refused, of a
 * graphics device that is lost. Nothing of it can be caught where it happens.
 */
import { RrsisError } from "./errors.js";

/** What the last panic said: it goes to the console before the program traps. */
let panic = "";
/** Memory of the program. @type {WebAssembly.Memory | undefined} */
let memory;

/** @param {WebAssembly.Memory | undefined} used by the program */
export function watchMemory(used) {
  memory = used;
}

/**
 * A trap as an error for the person. A panic says why; where the allocator gets no memory the program
 * stops without a word, or a library panics over what it was refused.
 * @param {WebAssembly.RuntimeError} trap
 */
export function explained(trap) {
  const refused = /AllocError|TryReserveError|memory allocation/.test(panic);
  if (panic && !refused) return new RrsisError("internal", `The program stopped: ${panic}. Try again.`);
  if (refused || /unreachable/.test(trap.message)) {
    const used = memory ? ` beyond ${Math.round(memory.buffer.byteLength / 1e6)} MB` : "";
    return new RrsisError(
      "memory",
      `The browser gives no memory${used}. Use a smaller image, or close other tabs, and try again.`,
    );
  }
  return new RrsisError("internal", `The program stopped (${trap.message}). Try again.`);
}

/**
 * Calls `onTrap` for traps that no promise tells of: those behind an `await` in the program.
 * @param {(error: RrsisError) => void} onTrap
 */
export function watchTraps(onTrap) {
  const write = console.error;
  console.error = (...said) => {
    const [first] = said;
    const words = typeof first === "string" && /panicked at [^\n]*\n([^\n]*)/.exec(first);
    if (words) panic = words[1].slice(0, 300);
    write.apply(console, said);
  };
  const listen = (event) => {
    const error = event.error ?? event.reason;
    if (!(error instanceof WebAssembly.RuntimeError)) return;
    event.preventDefault();
    onTrap(explained(error));
  };
  self.addEventListener("error", listen);
  self.addEventListener("unhandledrejection", listen);
}

/** How the last graphics device was lost. @type {RrsisError | undefined} */
let lost;

/**
 * An error of the device as one for the person: work on a lost device fails by whatever it did next,
 * a moment before the browser tells of the loss.
 * @param {unknown} error
 */
export async function withLoss(error) {
  if (error?.code !== "device") return error;
  await new Promise((resolve) => setTimeout(resolve, 100));
  return lost ?? error;
}

/**
 * Calls `onLost` when a graphics device that the program has opened is gone: driver reset, card
 * unplugged, memory of the card exhausted.
 * @param {(error: RrsisError) => void} onLost
 */
export function watchGraphics(onLost) {
  const adapter = globalThis.GPUAdapter?.prototype;
  const request = adapter?.requestDevice;
  if (!request) return;
  adapter.requestDevice = async function (...options) {
    const device = await request.apply(this, options);
    device.lost.then(({ message }) => {
      const why = message ? ` (${message.slice(0, 200)})` : "";
      lost = new RrsisError("device", `The graphics device was lost${why}. Try again.`);
      onLost(lost);
    });
    return device;
  };
}

/**
 * Holds a lock for as long as this worker lives, so that the page learns of its end: a browser that
 * ends a worker for want of memory fires no event.
 * @param {string} name
 * @param {() => void} onHeld
 */
export function holdLifeline(name, onHeld) {
  navigator.locks
    ?.request(name, () => {
      onHeld();
      return new Promise(() => {});
    })
    .catch(() => {
      // Refused, as in a sandboxed frame: the page then hears only of failures that have an event.
    });
}
