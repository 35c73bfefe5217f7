import { useRef, useState } from 'preact/hooks';
import { cameraMethod } from '../../state/query/camera.js';
import { START } from '../../state/query/page-address.js';
import { searchWithFiles } from '../../state/query/search-with-files.js';
import { asWebAddress } from '../../state/query/use-incoming.js';
import { useService } from '../../state/service.js';
import { IconButton } from '../button.js';
import { Icon } from '../icons.js';
import { CameraDialog } from './camera-dialog.js';

/** Inputs of a query: file, camera, image URL. Drop and paste work on the whole window (use-incoming.ts). */
export function QueryInputs({ isCompact = false }: { readonly isCompact?: boolean }) {
  const { locals, navigate, toast, canFetchUrls } = useService();
  const [wrongUrl, setWrongUrl] = useState<string>();
  const file = useRef<HTMLInputElement>(null);
  const camera = useRef<HTMLInputElement>(null);
  const [isCameraOpen, setIsCameraOpen] = useState(false);
  const method = cameraMethod();
  const take = (event: Event): void => {
    const input = event.currentTarget as HTMLInputElement; // The handler is on file inputs only.
    const files = [...(input.files ?? [])];
    input.value = ''; // So that the same file can be chosen again.
    if (files.length > 0) void searchWithFiles(files, { locals, navigate, toast });
  };
  const search = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const url = String(new FormData(form).get('url') ?? '').trim();
    if (url === '') return;
    if (asWebAddress(url) === undefined) {
      setWrongUrl(url);
      return;
    }
    setWrongUrl(undefined);
    navigate(({ collection, fold, k, filter, minScore }) => ({
      ...START,
      collection,
      fold,
      k,
      filter,
      minScore,
      like: [{ kind: 'url', url }],
    }));
    form.reset();
  };
  return (
    <div class={`query-inputs${isCompact ? ' compact' : ''}`}>
      <div class="row">
        <button
          type="button"
          class={`button${isCompact ? ' small' : ' primary'}`}
          onClick={() => file.current?.click()}
        >
          <Icon name="upload" size={18} />
          {isCompact ? 'Another picture' : 'Choose a picture'}
        </button>
        {method !== undefined && (
          <button
            type="button"
            class={`button${isCompact ? ' small' : ''}`}
            onClick={() => (method === 'live' ? setIsCameraOpen(true) : camera.current?.click())}
          >
            <Icon name="camera" size={18} />
            Camera
          </button>
        )}
      </div>
      {canFetchUrls === true && (
        <form class="url-box" onSubmit={search}>
          <label class="visually-hidden" for="url">
            Image URL
          </label>
          <input
            id="url"
            name="url"
            inputMode="url"
            class="input"
            placeholder="Image URL: https://…"
            autocomplete="off"
            aria-invalid={wrongUrl !== undefined}
            aria-describedby="url-error"
            onInput={() => setWrongUrl(undefined)}
          />
          <IconButton icon="search" size={18} type="submit" label="Search with this URL" />
          <p id="url-error" class="small" role="alert">
            {wrongUrl !== undefined &&
              `“${shortened(wrongUrl)}” is not a URL. Enter the URL of a picture, starting with https://. Searching by words is not supported.`}
          </p>
        </form>
      )}
      <input ref={file} type="file" accept="image/*" multiple hidden aria-label="Picture file" onChange={take} />
      <input
        ref={camera}
        type="file"
        accept="image/*"
        capture="environment"
        hidden
        aria-label="Photo from the camera"
        onChange={take}
      />
      {isCameraOpen && (
        <CameraDialog
          onPicture={(picture) => void searchWithFiles([picture], { locals, navigate, toast })}
          onClose={() => setIsCameraOpen(false)}
        />
      )}
    </div>
  );
}

function shortened(text: string): string {
  return text.length > 40 ? `${text.slice(0, 39)}…` : text;
}
