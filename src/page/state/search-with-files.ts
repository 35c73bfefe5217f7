import type { LocalPictures } from './local-pictures.js';
import { START } from './page-address.js';
import { preparePicture } from './prepare-picture.js';
import type { Navigate } from './use-address.js';

/** Most pictures in one search, as the service takes them. */
const MOST_PICTURES = 8;

type Means = { readonly locals: LocalPictures; readonly navigate: Navigate; readonly toast: (words: string) => void };

/** Keeps the pictures among the files in this browser and searches with them; options of the search before stay. */
export async function searchWithFiles(files: readonly File[], { locals, navigate, toast }: Means): Promise<void> {
  // A file without a type may be a picture all the same; the service looks at the content.
  const pictures = files.filter(({ type }) => type === '' || type.startsWith('image/'));
  if (pictures.length === 0) {
    toast('There is no picture in that. Archives go to the Import page.');
    return;
  }
  if (pictures.length > MOST_PICTURES) toast(`The first ${MOST_PICTURES} pictures are used.`);
  const kept = pictures.slice(0, MOST_PICTURES).map(async (file) => {
    const key = await locals.keep(await preparePicture(file), file.name);
    return { kind: 'local' as const, key };
  });
  const like = await Promise.all(kept);
  navigate(({ collection, fold, k, filter, minScore }) => ({ ...START, collection, fold, k, filter, minScore, like }));
}
