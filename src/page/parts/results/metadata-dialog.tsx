import { useState } from 'preact/hooks';
import type { StoredImage } from '../../../client/client.js';
import { type Metadata, mergePatch, parseMetadata } from '../../state/metadata-edit.js';
import { useService } from '../../state/service.js';
import { Button } from '../button.js';
import { Dialog } from '../dialog.js';
import { Form } from '../form.js';
import { Failure } from '../notice.js';

type MetadataDialogProps = {
  readonly image: StoredImage;
  /** Called with the stored metadata after a change. */
  readonly onChanged: (metadata: Metadata) => void;
  readonly onClose: () => void;
};

/** Edits the metadata of an image as JSON, checked while typing. Only changed fields are sent. */
export function MetadataDialog({ image, onChanged, onClose }: MetadataDialogProps) {
  const { client, address, toast } = useService();
  const [text, setText] = useState(() => JSON.stringify(image.metadata, null, 2));
  const [isBusy, setIsBusy] = useState(false);
  const [failure, setFailure] = useState<unknown>();
  const parsed = parseMetadata(text);
  const problem = 'problem' in parsed ? parsed.problem : undefined;
  const save = async (): Promise<void> => {
    if ('problem' in parsed) return;
    const patch = mergePatch(image.metadata, parsed.metadata);
    if (patch === undefined) return onClose();
    setIsBusy(true);
    setFailure(undefined);
    try {
      const changed = await client.patch(image.id, patch, { collection: address.collection });
      onChanged(changed.metadata);
      toast('Metadata saved.');
      onClose();
    } catch (error) {
      setFailure(error);
      setIsBusy(false);
    }
  };
  return (
    <Dialog title="Edit metadata" onClose={onClose}>
      <Form onSubmit={() => void save()}>
        <div class="field">
          <label for="metadata">Metadata (JSON)</label>
          <textarea
            id="metadata"
            class="input"
            rows={12}
            spellcheck={false}
            autofocus
            value={text}
            aria-invalid={problem !== undefined}
            aria-describedby="metadata-problem"
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </div>
        <p id="metadata-problem" class="small soft" aria-live="polite">
          {problem ?? 'Filters and tags use these fields.'}
        </p>
        {failure !== undefined && <Failure error={failure} slim />}
        <div class="row">
          <Button look="primary" type="submit" disabled={problem !== undefined || isBusy}>
            Save
          </Button>
          <Button onClick={onClose}>Cancel</Button>
        </div>
      </Form>
    </Dialog>
  );
}
