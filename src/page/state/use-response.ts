import { useCallback, useEffect, useState } from 'preact/hooks';

/** A response of the service. The old one stays while a new one is fetched, and when fetching fails. */
type Polled<Response> = {
  readonly response: Response | undefined;
  readonly error: unknown;
  readonly reload: () => void;
};

/**
 * Sends a request when the view appears, when `request` changes (wrap it in useCallback), and `intervalMs` after each
 * response while the tab is visible. Aborted when the view disappears.
 */
export function useResponse<Response>(
  request: (signal: AbortSignal) => Promise<Response>,
  intervalMs?: number,
): Polled<Response> {
  const [state, setState] = useState<{ readonly response?: Response; readonly error?: unknown }>({});
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    const controller = new AbortController();
    let timer: number | undefined;
    const run = async (): Promise<void> => {
      if (!document.hidden) {
        try {
          const response = await request(controller.signal);
          if (!controller.signal.aborted) setState({ response });
        } catch (error) {
          if (!controller.signal.aborted) setState((before) => ({ ...before, error }));
        }
      }
      if (intervalMs !== undefined && !controller.signal.aborted)
        timer = window.setTimeout(() => void run(), intervalMs);
    };
    void run();
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [request, intervalMs, attempt]);
  const reload = useCallback(() => setAttempt((before) => before + 1), []);
  return { response: state.response, error: state.error, reload };
}
