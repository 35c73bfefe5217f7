import type { LocalPictures } from './local-pictures.js';
import { START } from './page-address.js';
import { mayBePicture } from './picked-files.js';
import { preparePicture } from './prepare-picture.js';
import type { Navigate } from './use-address.js';

/** The service's limit of pictures per search. */
const PICTURES_MAX = 8;

type SearchContext = {
  readonly locals: LocalPictures;
  readonly navigate: Navigate;
  readonly toast: (message: string) => void;
};

/** Stores the pictures among the files in this browser and searches with them. Search options stay. */
export async function searchWithFiles(
  files: readonly File[],
  { locals, navigate, toast }: SearchContext,
): Promise<void> {
  const pictures = files.filter(mayBePicture);
  if (pictures.length === 0) {
    toast('No picture in that file. Import archives on the Import page.');
    return;
  }
  if (pictures.length > PICTURES_MAX) toast(`Only the first ${PICTURES_MAX} pictures are used.`);
  const kept = pictures.slice(0, PICTURES_MAX).map(async (file) => {
    const key = await locals.keep(await preparePicture(file), file.name);
    return { kind: 'local' as const, key };
  });
  const like = await Promise.all(kept);
  navigate(({ collection, fold, k, filter, minScore }) => ({ ...START, collection, fold, k, filter, minScore, like }));
}
