import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { ImportSource, LikenessClient } from '../../../client/client.js';
import { isTouchScreen } from '../../state/query/camera.js';
import { filesOfDrop, filesOfField } from '../../state/query/picked-files.js';
import { useService } from '../../state/service.js';
import type { PickedFile } from '../../state/upload-run.js';
import { Button } from '../button.js';
import { Form } from '../form.js';
import { Icon } from '../icons.js';

type ImportSourcesProps = {
  readonly onFiles: (files: readonly PickedFile[]) => void;
  readonly onSource: (source: ImportSource) => void;
  readonly collection: string;
};

/** Sources of an import: files, folders, archives, image URLs, the demo, and a hint at the command line. */
export function ImportSources({ onFiles, onSource, collection }: ImportSourcesProps) {
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const { receiver, canFetchUrls, client, toast } = useService();
  useLayoutEffect(() => {
    // Before the next task: a drop must not meet the last render's collection.
    receiver.current = (incoming) => {
      if (incoming.kind === 'files') void filesOfDrop(incoming).then(onFiles);
      else if (incoming.kind === 'url' && canFetchUrls === false) toast('This service does not fetch image URLs.');
      else if (incoming.kind === 'url') onSource({ urls: [incoming.url] });
    };
    return () => {
      receiver.current = undefined;
    };
  }, [receiver, canFetchUrls, toast, onFiles, onSource]);
  const take = (field: HTMLInputElement): void => {
    onFiles(filesOfField(field.files ?? []));
    field.value = ''; // So that the same files can be chosen again.
  };
  return (
    <div class="stack">
      <section class="import-drop" aria-label="Files to import">
        <Icon name="upload" size={28} />
        <p>
          {isTouchScreen()
            ? 'Pictures or an archive (zip, tar)'
            : 'Drop pictures, folders or an archive (zip, tar) anywhere on this page'}
        </p>
        <div class="row">
          <Button look="primary" onClick={() => files.current?.click()}>
            Choose files
          </Button>
          <Button onClick={() => folder.current?.click()}>Choose a folder</Button>
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
      {canFetchUrls === true && <UrlList onSource={onSource} />}
      <div class="row spread">
        <p class="soft">No pictures at hand? Load the demo: 208 photographs of clothing (CC0).</p>
        <Button onClick={() => onSource({ demo: true })}>Load the demo pictures</Button>
      </div>
      <details>
        <summary>Many thousands of pictures? Use the command line</summary>
        <p class="soft small">Can be stopped and run again, and ends with a list of files that failed and why.</p>
        <code class="command">{importCommand(client, collection)}</code>
      </details>
    </div>
  );
}

/** The command that imports a folder into this service. */
export function importCommand(client: LikenessClient, collection: string): string {
  const url = client.addressOf('').href.replace(/\/$/, '');
  return `npx likeness import ~/Pictures --url ${url}${collection === 'default' ? '' : ` --collection ${collection}`}`;
}

function UrlList({ onSource }: { readonly onSource: (source: ImportSource) => void }) {
  const [text, setText] = useState('');
  const urls = text
    .split(/\s+/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const wrong = urls.find((url) => !/^https?:\/\//i.test(url) || !URL.canParse(url));
  return (
    <details>
      <summary>From image URLs</summary>
      <Form
        onSubmit={() => {
          if (urls.length === 0 || wrong !== undefined) return;
          onSource({ urls });
          setText('');
        }}
      >
        <div class="field">
          <label for="import-urls">Image URLs, one per line</label>
          <textarea
            id="import-urls"
            class="input"
            rows={4}
            value={text}
            aria-invalid={wrong !== undefined}
            aria-describedby="import-urls-hint"
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </div>
        <p id="import-urls-hint" class="small soft">
          {wrong === undefined
            ? 'The service fetches them. Each URL must lead to the picture itself, without a login.'
            : `“${wrong}” is not a URL: it must start with https:// or http://.`}
        </p>
        <div class="row">
          <Button type="submit" disabled={urls.length === 0 || wrong !== undefined}>
            {urls.length > 1 ? `Fetch ${urls.length} pictures` : 'Fetch'}
          </Button>
        </div>
      </Form>
    </details>
  );
}
