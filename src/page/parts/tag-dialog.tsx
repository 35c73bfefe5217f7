import { useState } from 'preact/hooks';
import { useService } from '../state/service.js';
import { changedTags } from '../state/tags.js';
import { Dialog } from './dialog.js';
import { Icon } from './icons.js';
import { Failure } from './notice.js';

type Metadata = { readonly [key: string]: unknown };
type TagDialogProps = {
  /** Where the metadata are not at hand, they are asked for before they are changed. */
  readonly pictures: readonly { readonly id: string; readonly metadata?: Metadata }[];
  /** Told of each picture's new metadata. */
  readonly onChanged?: (id: string, metadata: Metadata) => void;
  readonly onClose: () => void;
};

/** Changed at once: many enough to be quick, few enough to leave the service to others. */
const AT_ONCE = 4;

/** Adds tags to pictures, or takes one away from all of them. */
export function TagDialog({ pictures, onChanged, onClose }: TagDialogProps) {
  const { client, address, toast } = useService();
  const { collection } = address;
  const [text, setText] = useState('');
  const [done, setDone] = useState<number>();
  const [failure, setFailure] = useState<unknown>();
  const known = [...new Set(pictures.flatMap(({ metadata = {} }) => changedTags(metadata, [], [])))].sort();
  const added = text.split(',').flatMap((tag) => tag.trim() || []);
  const changeOne = async ({ id, metadata }: TagDialogProps['pictures'][number], add: readonly string[], remove: readonly string[]) => {
    const before = metadata ?? (await client.image(id, { collection })).metadata;
    const tags = changedTags(before, add, remove);
    const changed = await client.patch(id, { tags: tags.length === 0 ? null : tags }, { collection });
    onChanged?.(id, changed.metadata);
  };
  const change = async (add: readonly string[], remove: readonly string[]): Promise<void> => {
    setFailure(undefined);
    try {
      for (let at = 0; at < pictures.length; at += AT_ONCE) {
        setDone(at);
        await Promise.all(pictures.slice(at, at + AT_ONCE).map((picture) => changeOne(picture, add, remove)));
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
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void change(added, []);
        }}
      >
        <div class="field">
          <label for="tags">
            Add to {pictures.length === 1 ? 'the picture' : `all ${pictures.length.toLocaleString()}`}, commas between
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
          <ul class="row" aria-label="Tags they have">
            {known.map((tag) => (
              <li key={tag}>
                <button
                  type="button"
                  class="button small"
                  aria-label={`Remove the tag ${tag}`}
                  disabled={done !== undefined}
                  onClick={() => void change([], [tag])}
                >
                  {tag}
                  <Icon name="close" size={14} />
                </button>
              </li>
            ))}
          </ul>
        )}
        {failure !== undefined && <Failure error={failure} slim />}
        <p class="small soft">
          Kept in the metadata field <code>tags</code>, so a filter finds them.
        </p>
        <button type="submit" class="button primary" disabled={added.length === 0 || done !== undefined}>
          {done === undefined ? 'Add' : `${done.toLocaleString()} of ${pictures.length.toLocaleString()}`}
        </button>
      </form>
    </Dialog>
  );
}
