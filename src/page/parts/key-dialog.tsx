import { useState } from 'preact/hooks';
import { Dialog } from './dialog.js';

type KeyDialogProps = {
  readonly reason: string;
  readonly onKey: (key: string | undefined) => void;
  readonly hasKey: boolean;
  readonly onClose: () => void;
};

/** Asks for the API key where the service has keys. It is kept for this tab only and sent as a header, never in an address. */
export function KeyDialog({ reason, onKey, hasKey, onClose }: KeyDialogProps) {
  const [text, setText] = useState('');
  return (
    <Dialog title="API key" onClose={onClose}>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (text.trim() !== '') onKey(text.trim());
        }}
      >
        <p>{reason}</p>
        <div class="field">
          <label for="api-key">Key</label>
          <input
            id="api-key"
            class="input"
            type="password"
            autofocus
            autocomplete="off"
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </div>
        <p class="small soft">It stays in this tab and is forgotten when you close it.</p>
        <div class="row">
          <button type="submit" class="button primary">
            Use this key
          </button>
          {hasKey && (
            <button type="button" class="button" onClick={() => onKey(undefined)}>
              Forget the key
            </button>
          )}
        </div>
      </form>
    </Dialog>
  );
}
