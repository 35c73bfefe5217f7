import { useEffect, useRef, useState } from 'preact/hooks';
import type { ImportSource } from '../../client/client.js';
import { filesOfDrop, filesOfField } from '../state/picked-files.js';
import { useService } from '../state/service.js';
import type { PickedFile } from '../state/upload-run.js';
import { Icon } from './icons.js';

type ImportSourcesProps = {
  readonly onFiles: (files: readonly PickedFile[]) => void;
  readonly onSource: (source: ImportSource) => void;
  readonly collection: string;
};

/** The ways in: drop, choose, addresses, the demo, and the command line for what is large. */
export function ImportSources({ onFiles, onSource, collection }: ImportSourcesProps) {
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const { receiver } = useService();
  useEffect(() => {
    receiver.current = (incoming) => {
      if (incoming.kind === 'files') void filesOfDrop(incoming).then(onFiles);
      else if (incoming.kind === 'url') onSource({ urls: [incoming.url] });
    };
    return () => {
      receiver.current = undefined;
    };
  }, [receiver, onFiles, onSource]);
  const take = (field: HTMLInputElement): void => {
    onFiles(filesOfField(field.files ?? []));
    field.value = ''; // The same files may be chosen again.
  };
  return (
    <div class="stack">
      <section class="import-drop" aria-label="Files to import">
        <Icon name="upload" size={28} />
        <p>Drop pictures, folders or an archive (zip, tar) anywhere on this page</p>
        <div class="row">
          <button type="button" class="button primary" onClick={() => files.current?.click()}>
            Choose files
          </button>
          <button type="button" class="button" onClick={() => folder.current?.click()}>
            Choose a folder
          </button>
        </div>
        <input
          ref={files}
          type="file"
          multiple
          hidden
          aria-label="Files to import"
          accept="image/*,.zip,.tar,.tgz,.gz"
          onChange={(event) => take(event.currentTarget)}
        />
        <input
          ref={(element) => {
            folder.current = element;
            if (element !== null) element.webkitdirectory = true;
          }}
          type="file"
          multiple
          hidden
          aria-label="Folder to import"
          onChange={(event) => take(event.currentTarget)}
        />
      </section>
      <AddressList onSource={onSource} />
      <div class="row spread">
        <p class="soft">Only trying it? 208 pictures of clothing, free to use (CC0), come with it.</p>
        <button type="button" class="button" onClick={() => onSource({ demo: true })}>
          Load the demo pictures
        </button>
      </div>
      <details>
        <summary>Many thousands of pictures? From the command line</summary>
        <p class="soft small">It runs beside the service, can be stopped and run again, and ends with a list of what failed and why.</p>
        <code class="command">{`npx likeness import ~/Pictures${collection === 'default' ? '' : ` --collection ${collection}`}`}</code>
      </details>
    </div>
  );
}

function AddressList({ onSource }: { readonly onSource: (source: ImportSource) => void }) {
  const [text, setText] = useState('');
  const urls = text
    .split(/\s+/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const wrong = urls.find((url) => !/^https?:\/\//i.test(url) || !URL.canParse(url));
  return (
    <details>
      <summary>From web addresses</summary>
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (urls.length === 0 || wrong !== undefined) return;
          onSource({ urls });
          setText('');
        }}
      >
        <div class="field">
          <label for="import-addresses">Addresses of pictures, one a line</label>
          <textarea
            id="import-addresses"
            class="input"
            rows={4}
            value={text}
            aria-invalid={wrong !== undefined}
            aria-describedby="import-addresses-word"
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </div>
        <p id="import-addresses-word" class="small soft">
          {wrong === undefined
            ? 'The service fetches them itself, where it was started with --allow-url-fetch.'
            : `“${wrong}” is no address: it should begin with https:// or http://.`}
        </p>
        <div class="row">
          <button type="submit" class="button" disabled={urls.length === 0 || wrong !== undefined}>
            {urls.length > 1 ? `Fetch ${urls.length} pictures` : 'Fetch'}
          </button>
        </div>
      </form>
    </details>
  );
}
