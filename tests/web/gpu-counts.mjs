// What a page asks of WebGPU: counted in its worker, the same on every graphics card.

import { inWorker } from './harness.mjs';

/** Runs in the worker before its own code; answers on a channel with what has been counted so far. */
const COUNTER = `
  const counts = { dispatches: 0, submits: 0, pipelines: 0, buffers: 0, bufferBytes: 0, writes: 0, writeBytes: 0, reads: 0, readBytes: 0, largestBinding: 0 };
  const kernels = {};
  const names = new WeakMap();
  let kernel;
  const watch = (type, method, look) => {
    const original = type?.prototype[method];
    if (!original) return;
    type.prototype[method] = function (...args) {
      const result = original.apply(this, args);
      look.call(this, args, result);
      return result;
    };
  };
  watch(self.GPUComputePassEncoder, 'setPipeline', ([pipeline]) => (kernel = names.get(pipeline)));
  for (const method of ['dispatchWorkgroups', 'dispatchWorkgroupsIndirect']) {
    watch(self.GPUComputePassEncoder, method, () => {
      counts.dispatches += 1;
      kernels[kernel] = (kernels[kernel] ?? 0) + 1;
    });
  }
  watch(self.GPUQueue, 'submit', () => (counts.submits += 1));
  watch(self.GPUQueue, 'writeBuffer', ([, , data, , size]) => {
    counts.writes += 1;
    counts.writeBytes += size ?? data.byteLength;
  });
  watch(self.GPUDevice, 'createComputePipeline', ([{ label, compute }], pipeline) => {
    counts.pipelines += 1;
    names.set(pipeline, label || compute.entryPoint || 'unnamed');
  });
  watch(self.GPUDevice, 'createBuffer', ([{ size }]) => {
    counts.buffers += 1;
    counts.bufferBytes += size;
  });
  watch(self.GPUDevice, 'createBindGroup', ([{ entries }]) => {
    for (const { resource } of entries) {
      const buffer = resource.buffer ?? resource;
      const size = resource.size ?? (buffer.size ?? 0) - (resource.offset ?? 0);
      counts.largestBinding = Math.max(counts.largestBinding, size);
    }
  });
  watch(self.GPUBuffer, 'mapAsync', function ([mode]) {
    if (mode !== 1) return;
    counts.reads += 1;
    counts.readBytes += this.size;
  });
  const channel = new BroadcastChannel('gpu-counts');
  channel.onmessage = ({ data }) => data === 'ask' && channel.postMessage({ ...counts, kernels: { ...kernels } });
`;

/** For `openPage`: its workers count. */
export const counting = (page) => inWorker(page, COUNTER);

/** What has been counted so far. */
export const gpuCounts = (page) =>
  page.evaluate(
    () =>
      new Promise((resolve) => {
        const channel = new BroadcastChannel('gpu-counts');
        channel.onmessage = ({ data }) => {
          if (data === 'ask') return;
          channel.close();
          resolve(data);
        };
        channel.postMessage('ask');
      }),
  );
