/** The thread that makes batches ahead: each message asks for the next one, whose buffers are given away. */
import { parentPort, workerData } from 'node:worker_threads';
import { BatchMaker, type BatchWorkerData } from './batches.js';
import { openPixels } from './packed-dataset.js';

if (parentPort === null) throw new Error('batch-worker.js runs as a worker thread only.');
const port = parentPort;
const { recipe, file, count, firstStep } = workerData as BatchWorkerData; // What openBatches gave it.
const { side } = recipe.input;
const maker = new BatchMaker(recipe, { reader: openPixels(file, { count, width: side, height: side, isHeld: true }), count });
let step = firstStep;
port.on('message', () => {
  const feeds = maker.make(step++);
  port.postMessage(
    feeds,
    Object.values(feeds).map((values) => values.buffer),
  );
});
