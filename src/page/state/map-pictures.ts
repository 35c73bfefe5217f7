import type { LikenessClient } from '../../client/client.js';

/** The drawn pictures of the map. */
export type MapPictures = {
  /** The picture, if it has been fetched; if not, it is fetched when its turn comes, and `onArrival` is called. */
  get(id: string): ImageBitmap | undefined;
  close(): void;
};

/** Fetched at once, so that panning is not followed by a burst of hundreds of requests. */
const AT_ONCE = 6;
/** Kept; the ones not asked for longest go first. 96 px a side at most: 600 of them are 22 MB. */
const MOST = 600;
const SIDE = 96;

/** Small pictures for the map, fetched as they come into sight, the last asked for first. */
export function openMapPictures(options: {
  readonly client: LikenessClient;
  readonly collection: string;
  readonly onArrival: () => void;
}): MapPictures {
  const { client, collection, onArrival } = options;
  const held = new Map<string, ImageBitmap>();
  const wanted = new Set<string>();
  const tried = new Set<string>();
  const given = new AbortController();
  let underWay = 0;

  const pump = (): void => {
    while (underWay < AT_ONCE && wanted.size > 0) {
      const id = [...wanted].at(-1)!;
      wanted.delete(id);
      tried.add(id);
      underWay++;
      client
        .thumbnail(id, { collection }, { signal: given.signal })
        .then((blob) => createImageBitmap(blob, { resizeWidth: SIDE, resizeQuality: 'medium' }))
        .then(
          (bitmap) => {
            if (given.signal.aborted) return bitmap.close();
            held.set(id, bitmap);
            for (const [old, oldBitmap] of held) {
              if (held.size <= MOST) break;
              held.delete(old);
              tried.delete(old);
              oldBitmap.close();
            }
            onArrival();
          },
          () => undefined, // Removed meanwhile, or the service is busy: its dot stays.
        )
        .finally(() => {
          underWay--;
          if (!given.signal.aborted) pump();
        });
    }
  };

  return {
    get(id) {
      const bitmap = held.get(id);
      if (bitmap !== undefined) {
        held.delete(id); // To the young end.
        held.set(id, bitmap);
      } else if (!tried.has(id)) {
        wanted.add(id);
        pump();
      }
      return bitmap;
    },
    close() {
      given.abort();
      for (const bitmap of held.values()) bitmap.close();
      held.clear();
    },
  };
}
