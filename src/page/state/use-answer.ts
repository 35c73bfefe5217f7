import { useCallback, useEffect, useState } from 'preact/hooks';

/** An answer of the service as a view sees it. An older answer stays while a newer one is fetched, and where fetching it fails. */
export type Asked<Answer> = {
  readonly answer: Answer | undefined;
  readonly error: unknown;
  /** Asks once more, at once. */
  readonly again: () => void;
};

/**
 * Asks the service when the view appears and whenever `ask` changes (keep it with useCallback), and again `everyMs` after each answer while
 * the tab is in sight. What is under way is given up when the view goes.
 */
export function useAnswer<Answer>(ask: (signal: AbortSignal) => Promise<Answer>, everyMs?: number): Asked<Answer> {
  const [state, setState] = useState<{ readonly answer?: Answer; readonly error?: unknown }>({});
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const given = new AbortController();
    let timer: number | undefined;
    const run = async (): Promise<void> => {
      if (!document.hidden) {
        try {
          const answer = await ask(given.signal);
          if (!given.signal.aborted) setState({ answer });
        } catch (error) {
          if (!given.signal.aborted) setState((before) => ({ ...before, error }));
        }
      }
      if (everyMs !== undefined && !given.signal.aborted) timer = window.setTimeout(() => void run(), everyMs);
    };
    void run();
    return () => {
      given.abort();
      clearTimeout(timer);
    };
  }, [ask, everyMs, turn]);
  const again = useCallback(() => setTurn((before) => before + 1), []);
  return { answer: state.answer, error: state.error, again };
}
