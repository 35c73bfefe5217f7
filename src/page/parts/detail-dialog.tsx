import { useEffect, useId, useRef, useState } from 'preact/hooks';
import type { SearchResult, StoredImage } from '../../client/client.js';
import { wordsFor } from '../state/error-words.js';
import { formatAddress, START, searchFor, withExample } from '../state/page-address.js';
import { shortName } from '../state/result-words.js';
import { saveFile } from '../state/save-file.js';
import { useService } from '../state/service.js';
import { useComparison } from '../state/use-comparison.js';
import { CompareView } from './compare-view.js';
import { DetailFacts } from './detail-facts.js';
import { thumbnailPath } from './example-picture.js';
import { Icon } from './icons.js';
import { Failure } from './notice.js';
import { DeleteDialog } from './selection-bar.js';

type DetailDialogProps = {
  readonly id: string;
  /** The results that arrows lead through. */
  readonly results: readonly SearchResult[];
  readonly isSelected: boolean;
  readonly toggle: (id: string) => void;
  readonly onGone: (ids: ReadonlySet<string>) => void;
};

/** One picture, whole: laid against the query, with what is known of it and what can be done with it. Arrows go on to the next. */
export function DetailDialog({ id, results, isSelected, toggle, onGone }: DetailDialogProps) {
  const { client, address, navigate, toast } = useService();
  const { collection } = address;
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  const [record, setRecord] = useState<StoredImage>();
  const [failure, setFailure] = useState<unknown>();
  const [isDeleting, setIsDeleting] = useState(false);
  const at = results.findIndex((one) => one.id === id);
  const result = results[at];
  const query = address.like.length === 1 ? address.like[0] : undefined;
  const known = useComparison(query, id);
  const originalUrl = result?.originalUrl ?? record?.originalUrl;

  const close = (): void => navigate((now) => ({ ...now, open: undefined }));
  const step = (by: number): void => {
    const next = at < 0 ? undefined : results[at + by];
    if (next !== undefined) navigate((now) => ({ ...now, open: next.id }), { replace: true });
  };
  useEffect(() => {
    const dialog = element.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  useEffect(() => {
    const given = new AbortController();
    setFailure(undefined);
    setRecord(undefined);
    client.image(id, { collection }, { signal: given.signal }).then(setRecord, (error: unknown) => {
      if (!given.signal.aborted) setFailure(error);
    });
    return () => given.abort();
  }, [client, id, collection]);

  const copyLink = async (): Promise<void> => {
    const link = new URL(formatAddress({ ...START, collection, like: [{ kind: 'stored', id }] }), document.baseURI).href;
    try {
      await navigator.clipboard.writeText(link);
      toast('Link copied.');
    } catch {
      toast(link); // The browser allows the clipboard on https and loopback only.
    }
  };
  const download = async (): Promise<void> => {
    const name = record?.fileName?.split('/').at(-1) ?? shortName(id);
    try {
      if (typeof originalUrl === 'string') saveFile(name, await client.file(originalUrl));
      else saveFile(`${name.replace(/\.\w+$/, '')}.webp`, await client.thumbnail(id, { collection }));
    } catch (error) {
      toast(wordsFor(error).title);
    }
  };

  return (
    <dialog
      ref={element}
      class="dialog detail"
      aria-labelledby={heading}
      onCancel={(event) => {
        if (event.target !== element.current) return; // A dialog over this one.
        event.preventDefault();
        close();
      }}
      onKeyDown={(event) => {
        if (event.target instanceof HTMLInputElement || isDeleting) return;
        if (event.key === 'ArrowRight') step(1);
        if (event.key === 'ArrowLeft') step(-1);
      }}
    >
      <div class="detail-head">
        <h2 id={heading} title={id}>
          {shortName(id)}
        </h2>
        <span class="row">
          <button type="button" class="icon-button" aria-label="Previous result" disabled={at <= 0} onClick={() => step(-1)}>
            <Icon name="left" />
          </button>
          <button
            type="button"
            class="icon-button"
            aria-label="Next result"
            disabled={at < 0 || at >= results.length - 1}
            onClick={() => step(1)}
          >
            <Icon name="right" />
          </button>
          <button type="button" class="icon-button" aria-label="Close" onClick={close}>
            <Icon name="close" />
          </button>
        </span>
      </div>
      <div class="detail-body">
        <CompareView
          key={id}
          query={query}
          result={{ thumbnailUrl: result?.thumbnailUrl ?? thumbnailPath(id, collection), originalUrl: originalUrl ?? null }}
          view={address.comparison}
          onView={(comparison) => navigate((now) => ({ ...now, comparison }), { replace: true })}
          regions={result?.regions ?? known.comparison?.regions}
        />
        <div class="stack detail-side">
          {failure !== undefined && <Failure error={failure} slim />}
          <div class="row">
            <button type="button" class="button primary" onClick={() => navigate((now) => searchFor(now, { kind: 'stored', id }))}>
              <Icon name="search" size={18} />
              Search with this
            </button>
            {address.like.length > 0 && (
              <>
                <button
                  type="button"
                  class="button small"
                  onClick={() => navigate((now) => withExample(now, 'like', { kind: 'stored', id }))}
                >
                  <Icon name="plus" size={16} />
                  More like this
                </button>
                <button
                  type="button"
                  class="button small"
                  onClick={() => navigate((now) => withExample(now, 'unlike', { kind: 'stored', id }))}
                >
                  <Icon name="minus" size={16} />
                  Less like this
                </button>
              </>
            )}
          </div>
          <DetailFacts result={result} record={record} known={known} hasQuery={query !== undefined} />
          <div class="row">
            <label class="button small check">
              <input type="checkbox" checked={isSelected} onChange={() => toggle(id)} />
              Select
            </label>
            <button type="button" class="button small" onClick={() => void copyLink()}>
              <Icon name="copy" size={16} />
              Copy link
            </button>
            <button type="button" class="button small" onClick={() => void download()}>
              <Icon name="download" size={16} />
              Download
            </button>
            <button type="button" class="button small danger" onClick={() => setIsDeleting(true)}>
              <Icon name="trash" size={16} />
              Delete
            </button>
          </div>
        </div>
      </div>
      {isDeleting && (
        <DeleteDialog
          ids={[id]}
          onClose={() => setIsDeleting(false)}
          onGone={(gone) => {
            close();
            onGone(gone);
          }}
        />
      )}
    </dialog>
  );
}
