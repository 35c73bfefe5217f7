/** Worker thread that prepares batches: each message requests the next one, whose buffers are transferred. */
import { parentPort, workerData } from 'node:worker_threads';
import { openPixels } from '../datasets/packed-dataset.js';
import { BatchMaker, type BatchWorkerData } from './batches.js';

if (parentPort === null) throw new Error('batch-worker.js runs as a worker thread only.');
const port = parentPort;
const { recipe, file, count, firstStep } = workerData as BatchWorkerData; // as openBatches passes it
const { side } = recipe.input;
const maker = new BatchMaker(recipe, {
  reader: openPixels(file, { count, width: side, height: side, isHeld: true }),
  count,
});
let step = firstStep;
port.on('message', () => {
  const feeds = maker.make(step++);
  port.postMessage(
    feeds,
    Object.values(feeds).map((values) => values.buffer),
  );
});
