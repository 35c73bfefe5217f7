import { SearchError } from '../errors.js';

/** A bound on something held by all requests together. What does not fit is refused at once, never queued. */
export type Budget = {
  readonly held: number;
  readonly limit: number;
  /** Takes `amount` or throws OVERLOADED. */
  take(amount: number): void;
  give(amount: number): void;
};

const RETRY_AFTER_SECONDS = 1;

/** A budget of `limit`; `sentence` says in the refusal what is full and which setting bounds it. */
export function createBudget(options: { readonly limit: number; readonly sentence: string }): Budget {
  const { limit, sentence } = options;
  let held = 0;
  return {
    limit,
    get held() {
      return held;
    },
    take(amount) {
      if (held + amount > limit) throw new SearchError('OVERLOADED', sentence, { retryAfterSeconds: RETRY_AFTER_SECONDS });
      held += amount;
    },
    give(amount) {
      held -= amount;
      if (held < 0) throw new Error('A budget was given back more than was taken. This is a bug.');
    },
  };
}

/** What one user holds of a budget: given back piece by piece, or all at once where the work behind it is abandoned. */
export type Loan = {
  take(amount: number): void;
  give(amount: number): void;
  /** Gives all back. What the abandoned work still takes or gives afterwards counts no more. */
  end(): void;
};

/** A loan of the budget, nothing taken yet. */
export function borrow(budget: Budget): Loan {
  let held = 0;
  let isEnded = false;
  return {
    take(amount) {
      if (isEnded) return;
      budget.take(amount);
      held += amount;
    },
    give(amount) {
      if (isEnded) return;
      held -= amount;
      budget.give(amount);
    },
    end() {
      if (isEnded) return;
      isEnded = true;
      budget.give(held);
    },
  };
}
