/**
 * A thread of the program on the CPU: started by worker.js where the page may share memory, and busy or
 * asleep from then on (lib/threads.js).
 *
 * In:  {script, module, memory, counters, slot}   once
 * Out: a message when the helper waits for work
 */
import { serve } from "./lib/threads.js";

self.addEventListener(
  "message",
  async ({ data: { script, module, memory, counters, slot } }) => {
    try {
      const program = await import(script);
      await program.default({ module_or_path: module, memory });
      self.postMessage("ready");
      // The message is on its way before this thread stops listening.
      setTimeout(() => serve(counters, slot, program.help));
    } catch (error) {
      setTimeout(() => {
        throw error;
      });
    }
  },
  { once: true },
);
