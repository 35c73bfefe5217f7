import { useState } from 'preact/hooks';
import { changedTags, type Metadata } from '../../state/metadata-edit.js';
import { useService } from '../../state/service.js';
import { Button } from '../button.js';
import { Dialog } from '../dialog.js';
import { Form } from '../form.js';
import { Icon } from '../icons.js';
import { Failure } from '../notice.js';

type TagDialogProps = {
  /** Missing metadata are loaded before they are changed. */
  readonly pictures: readonly { readonly id: string; readonly metadata?: Metadata }[];
  /** Called with each picture's new metadata. */
  readonly onChanged?: (id: string, metadata: Metadata) => void;
  readonly onClose: () => void;
};

/** Requests in flight. */
const CONCURRENCY = 4;

/** Adds tags to pictures, or removes a tag from all of them. */
export function TagDialog({ pictures, onChanged, onClose }: TagDialogProps) {
  const { client, address, toast } = useService();
  const { collection } = address;
  const [text, setText] = useState('');
  const [done, setDone] = useState<number>();
  const [failure, setFailure] = useState<unknown>();
  const known = [...new Set(pictures.flatMap(({ metadata = {} }) => changedTags(metadata, [], [])))].sort();
  const added = text.split(',').flatMap((tag) => tag.trim() || []);
  const changeOne = async (
    { id, metadata }: TagDialogProps['pictures'][number],
    add: readonly string[],
    remove: readonly string[],
  ) => {
    const before = metadata ?? (await client.image(id, { collection })).metadata;
    const tags = changedTags(before, add, remove);
    const changed = await client.patch(id, { tags: tags.length === 0 ? null : tags }, { collection });
    onChanged?.(id, changed.metadata);
  };
  const change = async (add: readonly string[], remove: readonly string[]): Promise<void> => {
    setFailure(undefined);
    try {
      for (let at = 0; at < pictures.length; at += CONCURRENCY) {
        setDone(at);
        await Promise.all(pictures.slice(at, at + CONCURRENCY).map((picture) => changeOne(picture, add, remove)));
      }
      toast(add.length > 0 ? `${pictures.length.toLocaleString()} tagged.` : 'Tag removed.');
      onClose();
    } catch (error) {
      setFailure(error);
      setDone(undefined);
    }
  };
  return (
    <Dialog title="Tags" onClose={onClose}>
      <Form onSubmit={() => void change(added, [])}>
        <div class="field">
          <label for="tags">
            Add tags to {pictures.length === 1 ? 'the picture' : `all ${pictures.length.toLocaleString()}`}{' '}
            (comma-separated)
          </label>
          <input
            id="tags"
            autofocus
            class="input"
            value={text}
            autocomplete="off"
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </div>
        {known.length > 0 && (
          <ul class="row" aria-label="Current tags">
            {known.map((tag) => (
              <li key={tag}>
                <Button
                  look="small"
                  aria-label={`Remove the tag ${tag}`}
                  disabled={done !== undefined}
                  onClick={() => void change([], [tag])}
                >
                  {tag}
                  <Icon name="close" size={14} />
                </Button>
              </li>
            ))}
          </ul>
        )}
        {failure !== undefined && <Failure error={failure} slim />}
        <p class="small soft">
          Stored in the metadata field <code>tags</code>, which filters can use.
        </p>
        <Button look="primary" type="submit" disabled={added.length === 0 || done !== undefined}>
          {done === undefined ? 'Add' : `${done.toLocaleString()} of ${pictures.length.toLocaleString()}`}
        </Button>
      </Form>
    </Dialog>
  );
}
