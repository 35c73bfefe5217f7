import { useRef, useState } from 'preact/hooks';
import { wayToCamera } from '../state/camera.js';
import { START } from '../state/page-address.js';
import { searchWithFiles } from '../state/search-with-files.js';
import { useService } from '../state/service.js';
import { CameraDialog } from './camera-dialog.js';
import { Icon } from './icons.js';

/** The ways to a search by hand: a file, the camera, an address. Drop and paste work on the whole window (state/use-incoming.ts). */
export function WaysIn({ isCompact = false }: { readonly isCompact?: boolean }) {
  const { locals, navigate, toast } = useService();
  const file = useRef<HTMLInputElement>(null);
  const camera = useRef<HTMLInputElement>(null);
  const [isCameraOpen, setIsCameraOpen] = useState(false);
  const cameraWay = wayToCamera();
  const take = (event: Event): void => {
    const input = event.currentTarget as HTMLInputElement; // Both inputs are.
    const files = [...(input.files ?? [])];
    input.value = ''; // The same file may be chosen again.
    if (files.length > 0) void searchWithFiles(files, { locals, navigate, toast });
  };
  const search = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const url = String(new FormData(form).get('url') ?? '').trim();
    if (url === '') return;
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
    <div class={`ways-in${isCompact ? ' compact' : ''}`}>
      <div class="row">
        <button type="button" class={`button${isCompact ? ' small' : ' primary'}`} onClick={() => file.current?.click()}>
          <Icon name="upload" size={18} />
          {isCompact ? 'Another picture' : 'Choose a picture'}
        </button>
        {cameraWay !== undefined && (
          <button
            type="button"
            class={`button${isCompact ? ' small' : ''}`}
            onClick={() => (cameraWay === 'live' ? setIsCameraOpen(true) : camera.current?.click())}
          >
            <Icon name="camera" size={18} />
            Camera
          </button>
        )}
      </div>
      <form class="url-box" onSubmit={search}>
        <label class="heard" for="url">
          Address of a picture
        </label>
        <input id="url" name="url" type="url" class="input" placeholder="or an address: https://…" autocomplete="off" required />
        <button type="submit" class="icon-button" aria-label="Search with this address">
          <Icon name="search" size={18} />
        </button>
      </form>
      <input ref={file} type="file" accept="image/*" multiple hidden aria-label="Picture file" onChange={take} />
      <input ref={camera} type="file" accept="image/*" capture="environment" hidden aria-label="Photo from the camera" onChange={take} />
      {isCameraOpen && (
        <CameraDialog
          onPicture={(picture) => void searchWithFiles([picture], { locals, navigate, toast })}
          onClose={() => setIsCameraOpen(false)}
        />
      )}
    </div>
  );
}
