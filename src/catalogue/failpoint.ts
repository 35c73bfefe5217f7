import { channel } from 'node:diagnostics_channel';

/**
 * Moments at which a kill would do the most harm if the code were wrong, in the order in which a catalogue lives through them. Tests kill the process at each
 * of them (A10 of docs/reliability.md).
 */
export const FAILPOINTS = [
  'store opened', // the database file is there, without tables at the first start
  'migration in the middle', // tables are made or changed, the version is not yet written
  'migration before its commit',
  'store ready', // migrated; the indexes are not opened
  'commit begun', // records of a group are written and not committed
  'commit done', // committed and flushed; not in the index, not answered
  'index follows', // in the index; not answered
  'index file being written', // a file of an unknown part of its length
  'index file written', // whole, neither flushed nor renamed
  'index file before its rename',
  'index file renamed', // nobody names it yet
  'index file remembered', // the store knows it, no side-car names it
  'side-car before its rename',
  'side-car renamed', // in force; the former file is still there
  'graph exchanged', // a graph without its removed vectors has taken the place of the former
  'space reclaimed', // pages were given back to the file system, the reserve is not yet back
  'snapshot being copied',
  'snapshot copied',
  'snapshot before its rename',
  'snapshot renamed',
  'restore staged', // written and verified, not checked
  'restore before its rename',
  'restore half moved in', // on a mount: some parts have their name, the database does not
  'restore renamed', // not yet flushed
] as const;

/** One of {@link FAILPOINTS}. */
export type Failpoint = (typeof FAILPOINTS)[number];

/** Name of the channel of `node:diagnostics_channel` on which points are told. */
export const FAILPOINT_CHANNEL = 'likeness:failpoint';

const points = channel(FAILPOINT_CHANNEL);

/**
 * Says that a point is reached. Nothing of ours listens: without a subscriber, and so in production, this reads one flag. A test subscribes from a module that it
 * makes Node load before the program (`--import`), which no setting, variable or request of Likeness can do.
 */
export function reached(point: Failpoint): void {
  if (points.hasSubscribers) points.publish(point);
}
