import { useState } from 'preact/hooks';
import { Button } from './button.js';
import { Dialog } from './dialog.js';
import { Form } from './form.js';

type KeyDialogProps = {
  readonly reason: string;
  readonly onKey: (key: string | undefined) => void;
  readonly hasKey: boolean;
  readonly onClose: () => void;
};

/** Asks for the API key. It is kept for this tab only and sent as a header, never in a URL. */
export function KeyDialog({ reason, onKey, hasKey, onClose }: KeyDialogProps) {
  const [text, setText] = useState('');
  return (
    <Dialog title="API key" onClose={onClose}>
      <Form
        onSubmit={() => {
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
        <p class="small soft">It is kept in this tab until you close it.</p>
        <div class="row">
          <Button look="primary" type="submit">
            Use this key
          </Button>
          {hasKey && <Button onClick={() => onKey(undefined)}>Remove the key</Button>}
        </div>
      </Form>
    </Dialog>
  );
}
