/**
 * The program comes as several WebAssembly modules of the same source (wasm-pack.toml), and a page needs
 * one of them. Which one depends on what the browser can do, never on what it calls itself, and is known
 * before anything is downloaded.
 */
import { RrsisError } from "./errors.js";
import { counted, knownLength, request } from "./download.js";
import { startHelpers, threadsFor } from "./threads.js";

/** What the program asks of a graphics adapter. The only list of it: the program opens what it is told to. */
const ADAPTER_LIMITS = {
  // The workgroups of burn's kernels.
  maxComputeInvocationsPerWorkgroup: 256,
  // The largest buffer that the network binds: WebGPU's default.
  maxStorageBufferBindingSize: 128 * 1024 * 1024,
};
/** cubecl-wgpu 0.11 panics on an adapter without it. */
const ADAPTER_FEATURE = "timestamp-query";

/** A module whose one function uses an instruction of relaxed SIMD, f32x4.relaxed_madd. */
const RELAXED_SIMD = Uint8Array.of(
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  // A function without parameters that returns a vector.
  ...[0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7b, 0x03, 0x02, 0x01, 0x00],
  ...[0x0a, 0x13, 0x01, 0x11, 0x00],
  // i32.const 0, i8x16.splat, three times.
  ...[0x41, 0x00, 0xfd, 0x0f, 0x41, 0x00, 0xfd, 0x0f, 0x41, 0x00, 0xfd, 0x0f],
  ...[0xfd, 0x85, 0x02, 0x0b],
);

/** The program itself could not be fetched or compiled. */
export class ProgramError extends RrsisError {
  constructor(message) {
    super("shard", message);
  }
}

/**
 * Which module to load for a choice of device.
 *
 * @param {"auto" | "webgpu" | "cpu"} wanted
 * @param {number} [threads] at most so many on a CPU
 * @returns {Promise<{name: string, device: "webgpu" | "cpu", threads: number, otherwise?: string, noGpu?: string}>}
 *   `threads`: to start the module with; `otherwise`: the module to load where they do not start;
 *   `noGpu`: why it is not WebGPU, where that was wanted
 */
export async function chooseProgram(wanted, threads) {
  const noGpu = wanted === "cpu" ? undefined : await webgpuUnavailable();
  if (wanted !== "cpu" && noGpu === undefined) return { name: "rrsis_gpu", device: "webgpu", threads: 1 };
  const relaxed = WebAssembly.validate(RELAXED_SIMD);
  const several = relaxed ? threadsFor(threads) : 1;
  if (several > 1) {
    return { name: "rrsis_cpu_threads", device: "cpu", threads: several, otherwise: "rrsis_cpu_relaxed", noGpu };
  }
  return { name: relaxed ? "rrsis_cpu_relaxed" : "rrsis_cpu", device: "cpu", threads: 1, noGpu };
}

/** Why WebGPU cannot be used here; undefined where it can. */
async function webgpuUnavailable() {
  const { gpu } = navigator;
  if (!gpu) return "this browser offers no WebGPU here";
  let adapter;
  try {
    adapter = await gpu.requestAdapter();
  } catch {
    // Told like the adapter that is not there.
  }
  if (!adapter) return "this browser has WebGPU but found no graphics adapter";
  if (!adapter.features.has(ADAPTER_FEATURE)) return `the graphics adapter lacks ${ADAPTER_FEATURE}`;
  for (const [limit, needed] of Object.entries(ADAPTER_LIMITS)) {
    const found = adapter.limits[limit] ?? 0;
    if (found < needed) return `the graphics adapter has ${limit} ${found}, but ${needed} is needed`;
  }
  return undefined;
}

/** The file that a module's bytes come in. */
export const fileOf = (name) => `${name}_bg.wasm`;

/**
 * Downloads and starts the module that was chosen; it is compiled while it arrives.
 *
 * @param {Awaited<ReturnType<typeof chooseProgram>>} choice
 * @param {{signal: AbortSignal, onBytes: (file: string, loaded: number, total?: number) => void}} options
 */
export async function loadProgram({ name, threads, otherwise }, { signal, onBytes }) {
  const load = (name, threads) =>
    loadModule(name, threads, { signal, onBytes: (loaded, total) => onBytes(fileOf(name), loaded, total) });
  try {
    return await load(name, threads);
  } catch (error) {
    if (signal.aborted || !otherwise) throw error;
    // No memory to share, or a host that keeps helpers out: one thread does the same.
    console.warn(`rrsis: computing with one thread (${error.message})`);
    onBytes(fileOf(name), 0, 0);
    return load(otherwise, 1);
  }
}

async function loadModule(name, threads, { signal, onBytes }) {
  const script = new URL(`../pkg/${name}.js`, import.meta.url);
  const wasm = new URL(`../pkg/${fileOf(name)}`, import.meta.url);
  const [module, response] = await Promise.all([
    import(script.href).catch((error) => {
      throw new ProgramError(`The program ${script} could not be loaded (${error.message}).`);
    }),
    request(wasm, { signal, code: "shard", what: "program" }).catch((error) => {
      throw error instanceof RrsisError ? new ProgramError(error.message) : error;
    }),
  ]);
  let size = 0;
  onBytes(0, knownLength(response));
  // Whatever MIME type the host gives it.
  const body = counted(response, "application/wasm", (loaded) => {
    size = loaded;
    onBytes(loaded);
  });
  let memory;
  try {
    if (threads > 1) {
      const compiled = await WebAssembly.compileStreaming(body);
      ({ memory } = await module.default({ module_or_path: compiled }));
      await startHelpers({ script, module: compiled, memory, threads });
    } else {
      ({ memory } = await module.default({ module_or_path: body }));
    }
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ProgramError(`The program ${wasm} could not be started (${error.message}). Try again.`);
  }
  onBytes(size, size);
  return { module, memory, threads };
}
