/**
 * The thread that packs one snapshot: hashing and SQLite's check would block searches on the catalogue's thread, HTTP
 * on the main one.
 */
import { parentPort } from 'node:worker_threads';
import { portChannel, serveCalls } from '../../call-port.js';
import { packSnapshot } from './pack-snapshot.js';

export type SnapshotWorkerMethods = { packSnapshot: typeof packSnapshot };

if (parentPort !== null) serveCalls<SnapshotWorkerMethods>(portChannel(parentPort), { packSnapshot });
