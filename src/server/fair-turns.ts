/**
 * Who may send images through decoder and encoder, and when. Two questions, both answered per caller, so that one who floods the service waits and is refused
 * himself while others hardly notice. Is there room? Counted in images, and, beyond a few, no more than can be served in the time that a wait may take. Whose turn is it? That
 * of the caller who has been given least.
 */
import { SearchError } from '../errors.js';
import type { Visitor } from './auth.js';

type Caller = Visitor['caller'];

/** Places for images on their way. `held`: all that are taken, by images that wait and by images that are worked on. */
export type FairTurns = {
  readonly held: number;
  /** Throws OVERLOADED where the caller would find no room for one image: to be asked before a body is read, so that a refusal costs nothing. */
  refuseWhenFull(caller: Caller): void;
  /**
   * Resolves when it is the caller's turn, with what gives the places back when the work has ended. Throws OVERLOADED at once where there is no room, and
   * rejects with the signal's reason where it fires before the turn: what has expired is never begun.
   */
  take(wish: { readonly caller: Caller; readonly places: number; readonly signal: AbortSignal }): Promise<() => void>;
};

/** Bounds of the turns. */
export type FairTurnsOptions = {
  /** Most places that may ever be held. */
  readonly limit: number;
  /** Places worked on at once: enough to keep decoders and encoder busy; what waits beyond them waits here, where callers are told apart. */
  readonly window: number;
  /** How long the last image to be let in may expect to wait. */
  readonly maxWaitMs: number;
  /** Milliseconds of a steady clock. */
  readonly now: () => number;
};

/**
 * A caller may hold so many times the room that is left. Alone he gets four fifths of all, two get four ninths each, and there is always some room left for one
 * who comes anew. Source: Choudhury & Hahne 1998, Dynamic queue length thresholds for shared-memory packet switches.
 */
const SHARE_OF_REST = 4;
/** So many places there always are, whatever a wait would be: a burst of large pictures is slow, not wrong. */
const ALWAYS_PLACES = 32;
/** Milliseconds of one place before any was measured. */
const FIRST_GUESS_MS = 10;
/** So long a time of waiting images makes one sample of the time per place, and so much a sample weighs. */
const SAMPLE_MS = 100;
const SAMPLE_WEIGHT = 0.3;

type Turn = { readonly places: number; readonly start: () => void };
type Queue = { readonly turns: Turn[]; given: number; held: number };

/** Nobody waits at first. */
export function createFairTurns(options: FairTurnsOptions): FairTurns {
  const { limit, window, maxWaitMs } = options;
  const queues = new Map<Caller, Queue>();
  const pace = createPace(options.now);
  let held = 0;
  let running = 0;
  let waiting = 0;
  /** What the caller had been given whose turn came last: a newcomer starts from here, neither owing nor owed. */
  let level = 0;

  /** Places that can be served within the wait. */
  const room = (): number => Math.min(limit, Math.max(ALWAYS_PLACES, Math.floor(maxWaitMs / pace.msPerPlace)));

  /**
   * Who holds nothing waits for no more of each other caller than he asks for himself, since turns are fair: what one of them has piled up is not to refuse him.
   * Who holds some already waits behind his own, and shares the rest of the room.
   */
  const fits = (own: number, places: number): boolean => {
    const rest = room() - held;
    if (own > 0) return places <= rest && own + places <= SHARE_OF_REST * rest;
    let ahead = 0;
    for (const other of queues.values()) ahead += Math.min(other.held, places);
    return held + places <= limit && ahead + places <= room();
  };

  const demandRoom = (caller: Caller, places: number): void => {
    const own = queues.get(caller)?.held ?? 0;
    if (fits(own, places)) return;
    const retryAfterSeconds = Math.max(1, Math.ceil((held * pace.msPerPlace) / 1000));
    const whose = own > 0 ? `, ${own} of them this caller's` : '';
    const message = `${held} images are on their way already${whose} (--max-images-in-flight, --queue-wait-ms). Try again in ${retryAfterSeconds} s.`;
    throw new SearchError('OVERLOADED', message, { retryAfterSeconds });
  };

  const queueOf = (caller: Caller): Queue => {
    const known = queues.get(caller);
    if (known !== undefined) return known;
    const queue: Queue = { turns: [], given: level, held: 0 };
    queues.set(caller, queue);
    return queue;
  };

  const startNext = (): void => {
    while (waiting > 0) {
      const next = poorest(queues);
      const places = next.turns[0]!.places;
      if (running > 0 && running + places > window) return;
      running += places;
      waiting -= 1;
      level = next.given;
      next.given += places;
      next.turns.shift()!.start();
    }
  };

  const giveBack = (caller: Caller, queue: Queue, places: number): void => {
    held -= places;
    queue.held -= places;
    if (queue.held === 0) queues.delete(caller);
  };

  return {
    get held() {
      return held;
    },
    refuseWhenFull: (caller) => demandRoom(caller, 1),
    async take({ caller, places, signal }) {
      signal.throwIfAborted();
      demandRoom(caller, places);
      const queue = queueOf(caller);
      held += places;
      queue.held += places;
      await new Promise<void>((resolve, reject) => {
        const leave = (): void => {
          queue.turns.splice(queue.turns.indexOf(turn), 1);
          waiting -= 1;
          giveBack(caller, queue, places);
          pace.lookAgain(waiting > 0);
          reject(signal.reason);
          startNext();
        };
        const turn: Turn = {
          places,
          start: () => {
            signal.removeEventListener('abort', leave);
            resolve();
          },
        };
        signal.addEventListener('abort', leave, { once: true });
        queue.turns.push(turn);
        waiting += 1;
        startNext();
        pace.lookAgain(waiting > 0);
      });
      let isGiven = false;
      return () => {
        if (isGiven) throw new Error('Places were given back twice. This is a bug.');
        isGiven = true;
        running -= places;
        giveBack(caller, queue, places);
        pace.ended(places);
        startNext();
        pace.lookAgain(waiting > 0);
      };
    },
  };
}

/** Of the callers that wait the one that has been given least; of several the one who came first. */
function poorest(queues: ReadonlyMap<Caller, Queue>): Queue {
  let found: Queue | undefined;
  for (const queue of queues.values()) {
    if (queue.turns.length > 0 && (found === undefined || queue.given < found.given)) found = queue;
  }
  if (found === undefined) throw new Error('Images wait and no caller has any. This is a bug.');
  return found;
}

/** Milliseconds that a place takes while images wait, the mean of the last second or so: then, and only then, the service runs as fast as it can. */
function createPace(now: () => number): {
  readonly msPerPlace: number;
  lookAgain(isAnyWaiting: boolean): void;
  ended(places: number): void;
} {
  let msPerPlace = FIRST_GUESS_MS;
  let busySince: number | undefined;
  let busyMs = 0;
  let ended = 0;
  return {
    get msPerPlace() {
      return msPerPlace;
    },
    lookAgain(isAnyWaiting) {
      if (!isAnyWaiting) busySince = undefined;
      else busySince ??= now();
    },
    ended(places) {
      if (busySince === undefined) return;
      const at = now();
      busyMs += at - busySince;
      busySince = at;
      ended += places;
      if (busyMs < SAMPLE_MS) return;
      msPerPlace += SAMPLE_WEIGHT * (busyMs / ended - msPerPlace);
      busyMs = 0;
      ended = 0;
    },
  };
}
