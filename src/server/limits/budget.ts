import { SearchError } from '../../errors.js';

/** A bound on bytes that all requests hold together. A reservation over the bound is refused at once, never queued. */
export type Budget = {
  readonly held: number;
  readonly limit: number;
  /** Throws OVERLOADED where less than `amount` is free. */
  reserve(amount: number): void;
  release(amount: number): void;
};

const RETRY_AFTER_SECONDS = 1;

/** `message` of the refusal names what is full and the setting that bounds it. */
export function createBudget(options: { readonly limit: number; readonly message: string }): Budget {
  const { limit, message } = options;
  let held = 0;
  return {
    limit,
    get held() {
      return held;
    },
    reserve(amount) {
      if (held + amount > limit)
        throw new SearchError('OVERLOADED', message, { retryAfterSeconds: RETRY_AFTER_SECONDS });
      held += amount;
    },
    release(amount) {
      held -= amount;
      if (held < 0) throw new Error('More of a budget was released than reserved. This is a bug.');
    },
  };
}

/** What one request holds of a budget: released in parts, or all at once by `end`. */
export type Reservation = {
  grow(amount: number): void;
  shrink(amount: number): void;
  /** Releases the rest. Later calls have no effect, since abandoned work may still make some. */
  end(): void;
};

/** An empty reservation. */
export function reservationOf(budget: Budget): Reservation {
  let held = 0;
  let isEnded = false;
  return {
    grow(amount) {
      if (isEnded) return;
      budget.reserve(amount);
      held += amount;
    },
    shrink(amount) {
      if (isEnded) return;
      held -= amount;
      budget.release(amount);
    },
    end() {
      if (isEnded) return;
      isEnded = true;
      budget.release(held);
    },
  };
}

/**
 * A budget shared fairly between callers: `reserve` returns the function that releases the amount. A caller may hold
 * four times what is free (a dynamic threshold, as in fair-queue.ts), so that one alone gets four fifths and some is
 * left for others.
 */
export type SharedBudget = { readonly held: number; reserve(caller: string, amount: number): () => void };

const SHARE_OF_FREE = 4;

/** `message` as for {@link createBudget}. */
export function createSharedBudget(options: { readonly limit: number; readonly message: string }): SharedBudget {
  const { limit, message } = options;
  const total = createBudget(options);
  const held = new Map<string, number>();
  return {
    get held() {
      return total.held;
    },
    reserve(caller, wanted) {
      const amount = total.held === 0 ? Math.min(wanted, limit) : wanted; // one alone fits, whatever its size
      const own = held.get(caller) ?? 0;
      if (own > 0 && own + amount > SHARE_OF_FREE * (limit - total.held - amount))
        throw new SearchError('OVERLOADED', message, { retryAfterSeconds: RETRY_AFTER_SECONDS });
      total.reserve(amount);
      held.set(caller, own + amount);
      let isReleased = false;
      return () => {
        if (isReleased) return;
        isReleased = true;
        total.release(amount);
        const rest = (held.get(caller) ?? 0) - amount;
        if (rest === 0) held.delete(caller);
        else held.set(caller, rest);
      };
    },
  };
}
