/** The thread that lays one sample of a collection out in the plane, and ends. Started by lay-out-map.ts, which holds the other end. */
import { constants, setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { nearestRows } from '../layout/nearest-rows.js';
import { neighboursWanted, planeLayout } from '../layout/plane-layout.js';

/** What is laid out. `embeddings`: [rows, dimensions], rows of length 1; `seed`: 32 bits, the same seed gives the same map. */
export type MapTask = { readonly embeddings: Float32Array; readonly dimensions: number; readonly seed: number };
/** A place for each row, 0..1. */
export type MapPlaces = { readonly x: readonly number[]; readonly y: readonly number[] };

type Port = NonNullable<typeof parentPort>;

async function work(port: Port, { embeddings, dimensions, seed }: MapTask): Promise<void> {
  giveWay();
  const nearest = nearestRows({ values: embeddings, dimensions, k: neighboursWanted(embeddings.length / dimensions) });
  const points = await planeLayout({ nearest, random: mulberry32(seed) });
  port.postMessage({ x: points.map(([x]) => rounded(x)), y: points.map(([, y]) => rounded(y)) } satisfies MapPlaces);
}

/** Only Linux has priorities of threads; elsewhere it would slow down the whole process. */
function giveWay(): void {
  if (process.platform !== 'linux') return;
  try {
    setPriority(0, constants.priority.PRIORITY_LOW); // 0: there, the calling thread
  } catch {
    // A sandbox may forbid it, and a map at the usual priority is no fault.
  }
}

/** Finer than any screen. */
function rounded(coordinate: number): number {
  return Math.round(coordinate * 1e5) / 1e5;
}

/** Numbers in [0, 1). Source: mulberry32 (Tommy Ettinger, public domain). */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

if (parentPort !== null) await work(parentPort, workerData as MapTask); // only lay-out-map.ts starts this file
