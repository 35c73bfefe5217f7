/**
 * A whole training step of the seed article's network (batch 64: loss, gradients, Adam), compiled, against PyTorch
 * eager, against tfjs on wasm, and as a share of the machine's own peak of matrix products. Contestants take turns, so
 * that a change of the machine's speed meets all; wall and processor time are both told, since a busy machine stretches
 * only the first. `npm run bench -- training-step`; PYTHON's place is
 * --python (default /usr/bin/python3; with OpenBLAS, Debian's libopenblas0: on the reference BLAS PyTorch takes three
 * times as long), threads --threads (default 1), rounds --rounds (default 5), --no-wasm leaves out the slow one.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import * as ort from 'onnxruntime-node';
import { EagerProgram } from '../src/compile/eager-program.js';
import { encodeModel } from '../src/compile/onnx-writer.js';
import { compileProgram, type StepProgram } from '../src/compile/program.js';
import { openSession } from '../src/compile/session.js';
import { SEED_CIFAR10 } from '../src/infomax/seed-recipe.js';
import { type InfoMaxStep, infoMaxStep } from '../test/compile/info-max-step.js';
import { figureOf, show, tableHead, tableRow } from './measuring.js';

const COMPILED = 'compiled';
const PEAK = 'matrix product';
const PEAK_SIDE = 1024;
const BATCH = 64;
const STEPS_A_TURN = 3;
/**
 * Multiply-adds of the article's encoder and discriminators, one image forward; a step is three times that (forward,
 * two gradients).
 */
const MULTIPLY_ADDS_AN_IMAGE = 67.5e6;

type Times = { readonly wallMs: number; readonly processorMs: number };
type Contestant = { readonly name: string; readonly turn: () => Promise<Times>; readonly close: () => Promise<void> };

const { values: flags } = parseArgs({
  options: {
    python: { type: 'string', default: '/usr/bin/python3' },
    threads: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '5' },
    'no-wasm': { type: 'boolean', default: false },
  },
});
const threads = Number(flags.threads);
const step = infoMaxStep(SEED_CIFAR10.objective, { batchSize: BATCH, seed: 1 });

const contestants = [await compiled(step), await matrixProduct(), await torch()].filter((one) => one !== undefined);
const results = new Map<string, Times[]>(contestants.map(({ name }) => [name, []]));
for (let round = 0; round < Number(flags.rounds); round++)
  for (const { name, turn } of contestants) results.get(name)!.push(await turn());
for (const { close } of contestants) await close();
if (!flags['no-wasm']) {
  const slow = await wasm(step);
  results.set(slow.name, [await slow.turn()]);
}

console.log(`## A training step, ${threads === 1 ? 'one thread' : `${threads} threads`}\n`);
console.log(
  `The whole step of the article's network, batch ${BATCH}, compiled into one ONNX program, against others; medians [least-greatest] of ${flags.rounds} turns of ${STEPS_A_TURN} steps.\n`,
);
console.log(tableHead('', 'images/s', 'processor ms a step', 'compiled / this by the clock', 'by processor time'));
const own = results.get(COMPILED)!;
for (const [name, times] of results) {
  if (name === PEAK) continue;
  const speed = figureOf(times.map(({ wallMs }) => (BATCH * 1000) / wallMs));
  const processor = figureOf(times.map(({ processorMs }) => processorMs));
  const ratio = (of: keyof Times): string => show(figureOf(times.map((time, round) => time[of] / own[round]![of])));
  const ratios = name === COMPILED ? ['', ''] : [ratio('wallMs'), ratio('processorMs')];
  console.log(tableRow(name, show(speed, 0), show(processor, 0), ...ratios));
}
const peak = show(figureOf(results.get(PEAK)!.map(gigaflops)), 0);
console.log(`\nThe machine's matrix products (${PEAK_SIDE} x ${PEAK_SIDE}) reach ${peak} GFLOP/s.`);
const shares = own.map(({ processorMs }, round) => {
  const flops = (2 * 3 * MULTIPLY_ADDS_AN_IMAGE * BATCH) / (processorMs / 1000) / 1e9;
  return flops / ((2 * PEAK_SIDE ** 3) / (results.get(PEAK)![round]!.processorMs / 1000) / 1e9);
});
console.log(
  `compiled does the article's arithmetic at ${show(figureOf(shares))} of the matrix-product peak (per processor second)`,
);

async function compiled({ definition, initialState, feeds }: InfoMaxStep): Promise<Contestant> {
  const program = await compileProgram(definition, { threads });
  program.writeState(initialState);
  await program.run(feeds(0));
  return { name: COMPILED, turn: () => turnOf(program, feeds), close: () => program.close() };
}

/** A square product, large enough for the peak: what the machine can do at all. */
async function matrixProduct(): Promise<Contestant> {
  const dims = [PEAK_SIDE, PEAK_SIDE];
  const value = (name: string) => ({ name, type: 'float32', dims }) as const;
  const nodes = [{ op: 'MatMul', inputs: ['a', 'b'], outputs: ['y'] }];
  const graph = { name: 'peak', inputs: [value('a'), value('b')], outputs: [value('y')], initializers: [], nodes };
  const session = await openSession(encodeModel({ graph, opset: 18 }), { threads });
  const matrix = new ort.Tensor('float32', new Float32Array(PEAK_SIDE ** 2).fill(0.5), dims);
  const product = async (): Promise<void> => void (await session.run({ a: matrix, b: matrix }));
  await product();
  return { name: PEAK, turn: () => timed(product), close: () => session.release() };
}

/** PyTorch, where there is one; undefined otherwise. */
async function torch(): Promise<Contestant | undefined> {
  const script = join(
    dirname(fileURLToPath(import.meta.url)),
    '..',
    '..',
    'bench',
    'anchors',
    'training_step_torch.py',
  );
  const child: ChildProcess = spawn(
    flags.python,
    [script, '--threads', flags.threads, '--batch', String(BATCH), '--steps', String(STEPS_A_TURN)],
    {
      stdio: ['pipe', 'pipe', 'ignore'],
    },
  );
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const turn = async (): Promise<Times | undefined> => {
    child.stdin!.write('\n');
    const { value, done } = await lines.next();
    if (done) return undefined;
    const [wallMs = 0, processorMs = 0] = String(value).split(' ').map(Number);
    return { wallMs, processorMs };
  };
  child.stdin!.on('error', () => {}); // a Python without torch is gone before it is asked; the missing answer says so
  const close = async (): Promise<void> => {
    child.stdin!.end();
    if (child.exitCode === null) await once(child, 'exit');
  };
  if ((await turn()) === undefined) {
    console.log(`no PyTorch at ${flags.python} (--python): compared with tfjs alone`);
    return undefined;
  }
  return { name: 'PyTorch eager', turn: async () => (await turn())!, close };
}

/**
 * tfjs on wasm. Two gradient kernels it lacks, or has only as plain loops, are written as its own fast
 * forward convolution.
 */
async function wasm({ definition, initialState, feeds }: InfoMaxStep): Promise<Contestant> {
  await tf.setBackend('wasm');
  const register = (kernelName: string, kernelFunc: tf.KernelFunc): void => {
    if (tf.getKernel(kernelName, 'wasm')) tf.unregisterKernel(kernelName, 'wasm');
    tf.registerKernel({ kernelName, backendName: 'wasm', kernelFunc });
  };
  register('Conv2DBackpropInput', ({ inputs: { dy, filter } }) =>
    tf.tidy(() =>
      tf.conv2d(dy as tf.Tensor4D, tf.transpose(tf.reverse(filter as tf.Tensor4D, [0, 1]), [0, 1, 3, 2]), 1, 'same'),
    ),
  );
  register('Conv2DBackpropFilter', ({ inputs: { x, dy } }) =>
    tf.tidy(() => {
      const images = tf.transpose(
        tf.pad(x as tf.Tensor4D, [
          [0, 0],
          [1, 1],
          [1, 1],
          [0, 0],
        ]),
        [3, 1, 2, 0],
      );
      return tf.transpose(tf.conv2d(images, tf.transpose(dy as tf.Tensor4D, [1, 2, 0, 3]), 1, 'valid'), [1, 2, 0, 3]);
    }),
  );
  register('MaxPoolGrad', ({ inputs: { dy, input, output } }) =>
    tf.tidy(() => {
      const [n = 1, h = 1, w = 1, c = 1] = output!.shape;
      const tiles = tf.equal(
        tf.reshape(input as tf.Tensor, [n * h, 2, w, 2 * c]),
        tf.reshape(tf.concat([output as tf.Tensor, output as tf.Tensor], 3), [n * h, 1, w, 2 * c]),
      );
      const spread = tf.reshape(tf.concat([dy as tf.Tensor, dy as tf.Tensor], 3), [n * h, 1, w, 2 * c]);
      return tf.reshape(tf.mul(tf.cast(tiles, 'float32'), spread), input!.shape);
    }),
  );
  register('UnsortedSegmentSum', ({ inputs: { x, segmentIds }, attrs }) =>
    tf.tidy(() => {
      const rows = tf.reshape(x as tf.Tensor, [x!.shape[0]!, -1]);
      const hits = tf.oneHot(tf.cast(segmentIds as tf.Tensor, 'int32'), attrs!.numSegments as number);
      return tf.reshape(tf.matMul(tf.cast(hits, 'float32'), rows, true), [
        attrs!.numSegments as number,
        ...x!.shape.slice(1),
      ]);
    }),
  );
  // Softplus is missing too: max(x, 0) + ln(1 + exp(-|x|)).
  register('Softplus', ({ inputs: { x } }) =>
    tf.tidy(() => tf.add(tf.relu(x as tf.Tensor), tf.log(tf.add(tf.exp(tf.neg(tf.abs(x as tf.Tensor))), 1)))),
  );
  const program = new EagerProgram(definition);
  program.writeState(initialState);
  await program.run(feeds(0));
  return { name: 'tfjs wasm', turn: () => turnOf(program, feeds), close: () => program.close() };
}

async function turnOf(program: StepProgram, feeds: InfoMaxStep['feeds']): Promise<Times> {
  const batches = Array.from({ length: STEPS_A_TURN }, (_, index) => feeds(index));
  let next = 0;
  return timed(async () => void (await program.run(batches[next++ % STEPS_A_TURN]!)));
}

async function timed(call: () => Promise<void>): Promise<Times> {
  const times: Times[] = [];
  for (let index = 0; index < STEPS_A_TURN; index++) {
    const processor = process.cpuUsage();
    const wall = performance.now();
    await call();
    const used = process.cpuUsage(processor);
    times.push({ wallMs: performance.now() - wall, processorMs: (used.user + used.system) / 1000 });
  }
  return {
    wallMs: figureOf(times.map(({ wallMs }) => wallMs)).median,
    processorMs: figureOf(times.map(({ processorMs }) => processorMs)).median,
  };
}

function gigaflops({ wallMs }: Times): number {
  return (2 * PEAK_SIDE ** 3) / (wallMs / 1000) / 1e9;
}
