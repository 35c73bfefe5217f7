import type { ComponentChildren } from 'preact';
import { wordsFor } from '../state/error-words.js';
import { START } from '../state/page-address.js';
import { useService } from '../state/service.js';

/** A calm message where there is nothing to show: what is so, and the next step. */
export function Notice({ title, children }: { readonly title: string; readonly children?: ComponentChildren }) {
  return (
    <section class="notice">
      <h2>{title}</h2>
      {children}
    </section>
  );
}

/** What failed, in words for people, with the remedy as a button where the page has one. `slim` stands above what is still shown. */
export function Failure({ error, retry, slim = false }: { readonly error: unknown; readonly retry?: () => void; readonly slim?: boolean }) {
  const { navigate, address, askForKey } = useService();
  const { title, advice, offer, detail } = wordsFor(error);
  return (
    <section class={`notice failure${slim ? ' slim' : ''}`} role="alert">
      <h2>{title}</h2>
      <p>{advice}</p>
      <div class="row">
        {offer === 'retry' && retry !== undefined && (
          <button type="button" class="button" onClick={retry}>
            Try again
          </button>
        )}
        {offer === 'key' && (
          <button type="button" class="button primary" onClick={() => askForKey(title)}>
            Enter a key
          </button>
        )}
        {offer === 'start' && (
          <button type="button" class="button" onClick={() => navigate({ ...START, collection: address.collection })}>
            New search
          </button>
        )}
      </div>
      {detail !== undefined && (
        <details>
          <summary>Details</summary>
          {detail}
        </details>
      )}
    </section>
  );
}
