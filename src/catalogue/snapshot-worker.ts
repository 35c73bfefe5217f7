import { parentPort, workerData } from 'node:worker_threads';
import { toErrorData } from '../errors.js';
import { type PackAnswer, type PackOptions, packSnapshot } from './pack-snapshot.js';

/** The thread that packs one snapshot and ends: hashing and SQLite's check would hold up searches on the catalogue's, and HTTP on the main thread. */

if (parentPort !== null) {
  const answer: PackAnswer = await packSnapshot(workerData as PackOptions).then(
    (manifest) => ({ manifest }),
    (error: unknown) => ({ error: toErrorData(error) }),
  ); // only snapshots.ts starts this file
  parentPort.postMessage(answer);
}
