import { channel } from 'node:diagnostics_channel';

/**
 * Points at which tests kill the process (A10 of docs/reliability.md), in the order in which a catalogue reaches them.
 */
export const FAILPOINTS = [
  'store opened', // the database file is there, without tables at the first start
  'migration in the middle', // tables are made or changed, the version is not yet written
  'migration before its commit',
  'store ready', // migrated; the indexes are not opened
  'commit begun', // records of a group are written and not committed
  'commit done', // committed and flushed; neither in the index nor returned
  'index follows', // in the index; not returned
  'index file being written', // of unknown length
  'index file written', // whole, neither flushed nor renamed
  'index file before its rename',
  'index file renamed', // no side-car names it
  'index file remembered', // the store knows it, no side-car names it
  'side-car before its rename',
  'side-car renamed', // in use; the former file still exists
  'graph exchanged', // a graph without removed vectors replaced the former one
  'space reclaimed', // pages were returned to the file system; the reserve is not restored
  'snapshot being copied',
  'snapshot copied',
  'snapshot before its rename',
  'snapshot renamed',
  'restore staged', // written and verified, not checked
  'restore before its rename',
  'restore half moved in', // on a mount: all but the database
  'restore renamed', // not yet flushed
] as const;

/** One of {@link FAILPOINTS}. */
export type Failpoint = (typeof FAILPOINTS)[number];

/** Channel of `node:diagnostics_channel` to which points are published. */
export const FAILPOINT_CHANNEL = 'likeness:failpoint';

const points = channel(FAILPOINT_CHANNEL);

/**
 * Publishes that a point is reached. In production there is no subscriber, and this reads one flag. Tests subscribe
 * from a module that Node loads before the program (`--import`), which no setting or request of Likeness can do.
 */
export function reached(point: Failpoint): void {
  if (points.hasSubscribers) points.publish(point);
}
