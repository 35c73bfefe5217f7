import { SearchError } from '../errors.js';
import type { Device } from './encoder.js';
import { openRuntime, plainAbsence } from './open-runtime.js';
import { inputShape, type OpenRuntime, type Runtime } from './runtime.js';
import type { SavedEncoder } from './saved-encoder.js';

/** A device, or the best one. */
export type DeviceRequest = Device | 'auto';

/** A rejected device and the reason, for the log. */
export type DeviceNotTaken = { readonly device: Device; readonly reason: string };

/** Accelerators in the order in which `auto` tries them. */
const ACCELERATORS: readonly Device[] = ['cuda', 'tensorflow-gpu', 'webgpu'];
/** One full batch by default, to compare throughput. */
const PROBE_IMAGES = 32;
/** Timed runs after the first, which compiles; the fastest counts. */
const TIMED_RUNS = 3;
/** Least cosine of a device's embedding and the CPU's. Accelerators may round to 10 bits of mantissa (TF32). */
const COSINE_MIN = 0.999;

/**
 * Opens the encoder on the requested device. `auto` takes the first accelerator that agrees with the CPU on a probe
 * batch (cosine > 0.999 for every image) and is not slower, which also excludes software adapters; otherwise the CPU.
 * An explicit device must agree too, at any speed. Throws DEVICE_UNAVAILABLE where an explicit device is absent or
 * disagrees. Tests inject `open`, `absence` and `now` (ms).
 */
export async function chooseDevice(
  encoder: SavedEncoder,
  options: {
    readonly requested: DeviceRequest;
    readonly threads: number;
    readonly open?: OpenRuntime;
    readonly absence?: (device: Device) => string | undefined;
    readonly now?: () => number;
  },
): Promise<{ readonly runtime: Runtime; readonly notTaken: readonly DeviceNotTaken[] }> {
  const { requested, threads, open = openRuntime, absence = plainAbsence, now = () => performance.now() } = options;
  const cpu = await open(encoder, { device: 'cpu', threads });
  if (requested === 'cpu') return { runtime: cpu, notTaken: [] };

  const notTaken: DeviceNotTaken[] = [];
  let reference: ProbeResult | undefined; // computed when the first accelerator is there to compare
  for (const device of requested === 'auto' ? ACCELERATORS : [requested]) {
    const missing = absence(device);
    if (missing !== undefined) {
      notTaken.push({ device, reason: missing });
      continue;
    }
    let runtime: Runtime | undefined;
    try {
      runtime = await open(encoder, { device, threads });
      reference ??= await probe(encoder, cpu, now);
      const result = await probe(encoder, runtime, now);
      const reason = fault(result, reference, encoder.manifest.dimensions, requested === 'auto');
      if (reason === undefined) {
        await cpu.close();
        return { runtime, notTaken };
      }
      notTaken.push({ device, reason });
    } catch (error) {
      notTaken.push({ device, reason: error instanceof Error ? error.message : String(error) });
    }
    await runtime?.close();
  }
  if (requested === 'auto') return { runtime: cpu, notTaken };
  await cpu.close();
  throw new SearchError(
    'DEVICE_UNAVAILABLE',
    `Device ${requested} cannot be used: ${notTaken[0]?.reason}. Choose --device auto or cpu.`,
  );
}

type ProbeResult = { readonly embeddings: Float32Array; readonly ms: number };

async function probe(encoder: SavedEncoder, runtime: Runtime, now: () => number): Promise<ProbeResult> {
  const batch = probeBatch(encoder, PROBE_IMAGES);
  const embeddings = await runtime.run(batch, PROBE_IMAGES);
  let ms = Number.POSITIVE_INFINITY;
  for (let i = 0; i < TIMED_RUNS; i++) {
    const start = now();
    await runtime.run(batch, PROBE_IMAGES);
    ms = Math.min(ms, now() - start);
  }
  return { embeddings, ms };
}

function fault(
  result: ProbeResult,
  reference: ProbeResult,
  dimensions: number,
  mustBeFast: boolean,
): string | undefined {
  const cosine = leastCosine(result.embeddings, reference.embeddings, dimensions);
  if (!(cosine > COSINE_MIN)) return `its embeddings differ from the CPU's (cosine ${cosine.toFixed(4)})`;
  if (mustBeFast && result.ms > reference.ms) {
    return `slower than the CPU with this encoder (${result.ms.toFixed(1)} against ${reference.ms.toFixed(1)} ms for ${PROBE_IMAGES} images)`;
  }
  return undefined;
}

/** Least cosine over the rows of two [N, D] matrices; NaN where they are not comparable. */
function leastCosine(left: Float32Array, right: Float32Array, dimensions: number): number {
  if (left.length !== right.length) return Number.NaN;
  let least = 1;
  for (let from = 0; from < left.length; from += dimensions) {
    let dot = 0;
    let leftSquares = 0;
    let rightSquares = 0;
    for (let at = from; at < from + dimensions; at++) {
      dot += left[at]! * right[at]!;
      leftSquares += left[at]! ** 2;
      rightSquares += right[at]! ** 2;
    }
    least = Math.min(least, dot / Math.sqrt(leftSquares * rightSquares)); // NaN stays NaN
  }
  return least;
}

/** Different smooth pictures in the range of normalised pixels: waves whose frequency and phase depend on the index. */
export function probeBatch(encoder: SavedEncoder, count: number): Float32Array {
  const { mean, scale } = encoder.manifest.preprocessing;
  const shape = inputShape(encoder, count);
  const size = shape[1] * shape[2] * shape[3];
  return Float32Array.from({ length: count * size }, (_, at) => {
    const image = Math.floor(at / size);
    const pixel = 0.5 + 0.5 * Math.sin((at % size) * (0.01 + 0.003 * image) + image);
    return (pixel - mean[0]) * scale[0];
  });
}
