import type { Embedding, Encoder, FeatureMap } from '../../src/encoder/encoder.js';
import type { Pixels } from '../../src/images/pixels.js';

/** Side of the input and of the grid of cells whose mean colours are the embedding. */
const SIDE = 32;
const CELLS = 4;

/** An encoder that can be held back, so that tests decide when work ends. */
export type PooledEncoder = Encoder & {
  /** While held, encodes wait; returns the function that lets them go. */
  hold(): () => void;
  /** Rejects with the next encode's error where set. */
  fail: Error | undefined;
  readonly calls: number;
};

/**
 * A small honest encoder: the mean colour of 4 x 4 cells, centred, norm 1. The same picture always gives the same
 * vector, similar pictures similar ones. No network, no worker.
 */
export function createPooledEncoder({ hasFeatures = false } = {}): PooledEncoder {
  const dimensions = CELLS * CELLS * 3;
  let gate: Promise<void> | undefined;
  let active = 0;
  let calls = 0;
  const encoder: PooledEncoder = {
    description: {
      name: 'pooled-test',
      id: 'pooled-test-1',
      dimensions,
      hasFeatures,
      preprocessing: {
        width: SIDE,
        height: SIDE,
        fit: 'cover',
        mean: [0.5, 0.5, 0.5],
        scale: [1, 1, 1],
        layout: 'NHWC',
      },
      device: 'cpu',
      runtime: 'test double',
    },
    fail: undefined,
    get calls() {
      return calls;
    },
    get statistics() {
      return { queued: 0, active };
    },
    hold() {
      let release = (): void => {};
      gate = new Promise((resolve) => {
        release = () => {
          gate = undefined;
          resolve();
        };
      });
      return release;
    },
    async encode(pixels, { signal, features = false }) {
      calls += 1;
      active += 1;
      try {
        if (gate !== undefined) {
          const aborted = new Promise<never>((_, reject) => {
            if (signal?.aborted) reject(signal.reason);
            signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
          });
          await Promise.race([gate, aborted]);
        }
        if (encoder.fail !== undefined) throw encoder.fail;
        const maps = hasFeatures && features ? { features: patches(pixels) } : {};
        return { embedding: pool(pixels, dimensions), ...maps, queueMs: 0, encodeMs: 0 };
      } finally {
        active -= 1;
      }
    },
    close: async () => {},
  };
  return encoder;
}

/** Grid of the feature map: each cell is the colours of its 4 x 4 pixels. */
const GRID = 8;

function patches({ width, height, rgb }: Pixels): FeatureMap {
  const side = width / GRID;
  const channels = side * side * 3;
  const values = new Float32Array(channels * GRID * GRID);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const cell = Math.floor(y / side) * GRID + Math.floor(x / side);
      for (let colour = 0; colour < 3; colour++) {
        const channel = ((y % side) * side + (x % side)) * 3 + colour;
        values[channel * GRID * GRID + cell] = rgb[(y * width + x) * 3 + colour]!;
      }
    }
  }
  return { channels, width: GRID, height: GRID, values };
}

function pool({ width, height, rgb }: Pixels, dimensions: number): Embedding {
  const embedding = new Float32Array(dimensions);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const cell = Math.floor((y * CELLS) / height) * CELLS + Math.floor((x * CELLS) / width);
      for (let channel = 0; channel < 3; channel++) {
        const at = cell * 3 + channel;
        embedding[at] = embedding[at]! + rgb[(y * width + x) * 3 + channel]!;
      }
    }
  }
  const mean = embedding.reduce((sum, value) => sum + value, 0) / dimensions;
  for (let i = 0; i < dimensions; i++) embedding[i] = embedding[i]! - mean;
  embedding[0] = embedding[0]! + 1; // A grey picture has a direction too.
  const norm = Math.hypot(...embedding);
  return embedding.map((value) => value / norm);
}
