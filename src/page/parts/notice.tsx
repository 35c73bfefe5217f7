import type { ComponentChildren } from 'preact';
import { messageFor } from '../state/error-messages.js';
import { START } from '../state/query/page-address.js';
import { useService } from '../state/service.js';
import { Button } from './button.js';

/** A message in place of missing content, with the next step. */
export function Notice({ title, children }: { readonly title: string; readonly children?: ComponentChildren }) {
  return (
    <section class="notice">
      <h2>{title}</h2>
      {children}
    </section>
  );
}

/** An error message, with the remedy as a button if the page has one. `slim`: above content that is still shown. */
export function Failure({
  error,
  retry,
  slim = false,
}: {
  readonly error: unknown;
  readonly retry?: () => void;
  readonly slim?: boolean;
}) {
  const { navigate, address, askForKey } = useService();
  const { title, advice, offer, detail } = messageFor(error);
  return (
    <section class={`notice failure${slim ? ' slim' : ''}`} role="alert">
      <h2>{title}</h2>
      <p>{advice}</p>
      <div class="row">
        {offer === 'retry' && retry !== undefined && <Button onClick={retry}>Try again</Button>}
        {offer === 'key' && (
          <Button look="primary" onClick={() => askForKey(title)}>
            Enter a key
          </Button>
        )}
        {offer === 'start' && (
          <Button onClick={() => navigate({ ...START, collection: address.collection })}>New search</Button>
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
