import { useEffect, useId, useRef, useState } from 'preact/hooks';
import type { SearchResult, StoredImage } from '../../../client/client.js';
import { messageFor } from '../../state/error-messages.js';
import { changedTags, type Metadata } from '../../state/metadata-edit.js';
import { formatAddress, START } from '../../state/query/page-address.js';
import { displayName } from '../../state/result-messages.js';
import { saveFile } from '../../state/save-file.js';
import { useService } from '../../state/service.js';
import { useComparison } from '../../state/use-comparison.js';
import { Button, IconButton } from '../button.js';
import { useModal } from '../dialog.js';
import { Failure } from '../notice.js';
import { thumbnailPath } from '../query/example-picture.js';
import { CompareView } from './compare-view.js';
import { DetailFacts } from './detail-facts.js';
import { MetadataDialog } from './metadata-dialog.js';
import { type CardActions, isTextField, runCardKey } from './result-card.js';
import { DeleteDialog } from './selection-bar.js';
import { TagDialog } from './tag-dialog.js';

type DetailDialogProps = {
  readonly id: string;
  /** The results that the arrow keys step through. */
  readonly results: readonly SearchResult[];
  readonly isSelected: boolean;
  readonly actions: CardActions;
  readonly onGone: (ids: ReadonlySet<string>) => void;
  /** Called with the new metadata of an image. */
  readonly onChanged: (id: string, metadata: Metadata) => void;
};

/** Detail view of one image: compared with the query, facts, actions. Arrow keys step through the results. */
export function DetailDialog({ id, results, isSelected, actions, onGone, onChanged }: DetailDialogProps) {
  const { client, address, navigate, toast } = useService();
  const { collection } = address;
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  const [record, setRecord] = useState<StoredImage>();
  const [failure, setFailure] = useState<unknown>();
  const [openDialog, setOpenDialog] = useState<'delete' | 'tags' | 'metadata'>();
  const at = results.findIndex((one) => one.id === id);
  const result = results[at];
  const query = address.like.length === 1 ? address.like[0] : undefined;
  const known = useComparison(query, id);
  const name = displayName({ id, fileName: record?.fileName ?? null });
  const originalUrl = result?.originalUrl ?? record?.originalUrl;

  const close = (): void => navigate((now) => ({ ...now, open: undefined }));
  const step = (by: number): void => {
    const next = at < 0 ? undefined : results[at + by];
    if (next !== undefined) navigate((now) => ({ ...now, open: next.id }), { replace: true });
  };
  useModal(element);
  useEffect(() => {
    const controller = new AbortController();
    setFailure(undefined);
    setRecord(undefined);
    client.image(id, { collection }, { signal: controller.signal }).then(setRecord, (error: unknown) => {
      if (!controller.signal.aborted) setFailure(error);
    });
    return () => controller.abort();
  }, [client, id, collection]);

  const change = (metadata: Metadata): void => {
    setRecord((now) => (now === undefined ? now : { ...now, metadata }));
    onChanged(id, metadata);
  };

  const copyLink = async (): Promise<void> => {
    const link = new URL(formatAddress({ ...START, collection, like: [{ kind: 'stored', id }] }), document.baseURI)
      .href;
    try {
      await navigator.clipboard.writeText(link);
      toast('Link copied.');
    } catch {
      toast(link); // The clipboard is available on https and loopback only.
    }
  };
  const download = async (): Promise<void> => {
    try {
      if (typeof originalUrl === 'string') saveFile(name, await client.file(originalUrl));
      else saveFile(`${name.replace(/\.\w+$/, '')}.webp`, await client.thumbnail(id, { collection }));
    } catch (error) {
      toast(messageFor(error).title);
    }
  };

  return (
    <dialog
      ref={element}
      class="dialog detail"
      aria-labelledby={heading}
      onCancel={(event) => {
        if (event.target !== element.current) return; // From a dialog on top of this one.
        event.preventDefault();
        close();
      }}
      onKeyDown={(event) => {
        if (isTextField(event.target) || document.querySelectorAll('dialog[open]').length > 1) return;
        if (event.key === 'ArrowRight') step(1);
        else if (event.key === 'ArrowLeft') step(-1);
        else runCardKey(event, id, actions);
      }}
    >
      <div class="detail-head">
        <h2 id={heading} title={id}>
          {name}
        </h2>
        <span class="row">
          <IconButton icon="left" label="Previous result" disabled={at <= 0} onClick={() => step(-1)} />
          <IconButton
            icon="right"
            label="Next result"
            disabled={at < 0 || at >= results.length - 1}
            onClick={() => step(1)}
          />
          <IconButton icon="close" label="Close" onClick={close} />
        </span>
      </div>
      <div class="detail-body">
        <CompareView
          key={id}
          query={query}
          result={{
            thumbnailUrl: result?.thumbnailUrl ?? thumbnailPath(id, collection),
            originalUrl: originalUrl ?? null,
          }}
          view={address.comparison}
          onView={(comparison) => navigate((now) => ({ ...now, comparison }), { replace: true })}
          regions={result?.regions ?? known.comparison?.regions}
        />
        <div class="stack detail-side">
          {failure !== undefined && <Failure error={failure} slim />}
          <div class="row">
            <Button look="primary" icon="search" onClick={() => actions.search({ kind: 'stored', id })}>
              Search with this
            </Button>
            {address.like.length > 0 && (
              <>
                <Button look="small" icon="plus" onClick={() => actions.example('like', id)}>
                  More like this
                </Button>
                <Button look="small" icon="minus" onClick={() => actions.example('unlike', id)}>
                  Less like this
                </Button>
              </>
            )}
          </div>
          <DetailFacts result={result} record={record} known={known} hasQuery={query !== undefined} />
          {record !== undefined && <ImageTags image={record} onChanged={change} onAdd={() => setOpenDialog('tags')} />}
          <div class="row">
            <label class="button small check">
              <input type="checkbox" checked={isSelected} onChange={() => actions.toggle(id)} />
              Select
            </label>
            <Button look="small" icon="copy" onClick={() => void copyLink()}>
              Copy link
            </Button>
            <Button look="small" icon="download" onClick={() => void download()}>
              Download
            </Button>
            <Button look="small" icon="edit" disabled={record === undefined} onClick={() => setOpenDialog('metadata')}>
              Edit metadata
            </Button>
            <Button look="small danger" icon="trash" onClick={() => setOpenDialog('delete')}>
              Delete
            </Button>
          </div>
        </div>
      </div>
      {openDialog === 'tags' && record !== undefined && (
        <TagDialog
          pictures={[record]}
          onChanged={(_id, metadata) => change(metadata)}
          onClose={() => setOpenDialog(undefined)}
        />
      )}
      {openDialog === 'metadata' && record !== undefined && (
        <MetadataDialog image={record} onChanged={change} onClose={() => setOpenDialog(undefined)} />
      )}
      {openDialog === 'delete' && (
        <DeleteDialog
          ids={[id]}
          onClose={() => setOpenDialog(undefined)}
          onGone={(gone) => {
            close();
            onGone(gone);
          }}
        />
      )}
    </dialog>
  );
}

type ImageTagsProps = {
  readonly image: StoredImage;
  readonly onChanged: (metadata: Metadata) => void;
  readonly onAdd: () => void;
};

/** The tags of an image, each with a button that removes it, and a button to add more. */
function ImageTags({ image, onChanged, onAdd }: ImageTagsProps) {
  const { client, address, toast } = useService();
  const [isBusy, setIsBusy] = useState(false);
  const tags = changedTags(image.metadata, [], []);
  const remove = async (tag: string): Promise<void> => {
    setIsBusy(true);
    try {
      const left = changedTags(image.metadata, [], [tag]);
      const changed = await client.patch(
        image.id,
        { tags: left.length === 0 ? null : left },
        { collection: address.collection },
      );
      onChanged(changed.metadata);
    } catch (error) {
      toast(messageFor(error).title);
    }
    setIsBusy(false);
  };
  return (
    <ul class="row" aria-label="Tags">
      {tags.map((tag) => (
        <li key={tag} class="tag">
          {tag}
          <IconButton
            icon="close"
            size={14}
            label={`Remove the tag ${tag}`}
            disabled={isBusy}
            onClick={() => void remove(tag)}
          />
        </li>
      ))}
      <li>
        <Button look="small plain" icon="tag" onClick={onAdd}>
          {tags.length === 0 ? 'Add tags' : 'Add'}
        </Button>
      </li>
    </ul>
  );
}
