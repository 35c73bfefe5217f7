import type { LikenessClient } from '../../../client/client.js';
import { LruMap } from '../../../lru.js';

/** Thumbnails of the map. */
export type MapPictures = {
  /** The picture if loaded; otherwise it is queued, and `onArrival` is called when it is there. */
  get(id: string): ImageBitmap | undefined;
  close(): void;
};

/** Requests in flight: panning must not send hundreds at once. */
const CONCURRENCY = 6;
/** LRU size. 600 bitmaps of 96 px are 22 MB. */
const ENTRIES_MAX = 600;
const SIDE = 96;

/** Loads thumbnails as they come into view, the latest request first. */
export function openMapPictures(options: {
  readonly client: LikenessClient;
  readonly collection: string;
  readonly onArrival: () => void;
}): MapPictures {
  const { client, collection, onArrival } = options;
  const tried = new Set<string>();
  const held = new LruMap<string, ImageBitmap>(ENTRIES_MAX, (id, bitmap) => {
    tried.delete(id);
    bitmap.close();
  });
  const wanted = new Set<string>();
  const controller = new AbortController();
  let inFlight = 0;

  const pump = (): void => {
    while (inFlight < CONCURRENCY && wanted.size > 0) {
      const id = [...wanted].at(-1)!;
      wanted.delete(id);
      tried.add(id);
      inFlight++;
      client
        .thumbnail(id, { collection }, { signal: controller.signal })
        .then((blob) => createImageBitmap(blob, { resizeWidth: SIDE, resizeQuality: 'medium' }))
        .then(
          (bitmap) => {
            if (controller.signal.aborted) return bitmap.close();
            held.set(id, bitmap);
            onArrival();
          },
          () => undefined, // Deleted, or the service is busy: the dot stays.
        )
        .finally(() => {
          inFlight--;
          if (!controller.signal.aborted) pump();
        });
    }
  };

  return {
    get(id) {
      if (controller.signal.aborted) return undefined;
      const bitmap = held.get(id);
      if (bitmap === undefined && !tried.has(id)) {
        wanted.add(id);
        pump();
      }
      return bitmap;
    },
    close() {
      controller.abort();
      for (const bitmap of held.values()) bitmap.close();
    },
  };
}
