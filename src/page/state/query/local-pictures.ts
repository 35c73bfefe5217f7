/** Query pictures kept in this browser, so that reload and Back work. Links to them work in no other browser. */

import { LruMap } from '../../../lru.js';

/** A query picture. */
type LocalPicture = {
  readonly key: string;
  readonly file: Blob;
  readonly name: string;
  readonly keptAt: number;
};

/** The store; see {@link openLocalPictures}. */
export type LocalPictures = {
  /** Stores a picture and resolves to its key, the start of its SHA-256: equal files are stored once. */
  keep(file: Blob, name: string): Promise<string>;
  /** The picture of a key; undefined if this browser does not hold it. */
  get(key: string): Promise<LocalPicture | undefined>;
  /** Deletes all pictures. */
  clear(): Promise<void>;
};

/** The oldest pictures beyond this number are deleted. */
const ENTRIES_MAX = 60;
const STORE = 'pictures';

/** The store in IndexedDB; in memory where the browser forbids it (some private windows) or its disk is full. */
export function openLocalPictures(): LocalPictures {
  // Only what IndexedDB could not hold, the oldest evicted: a page may be open for days.
  let inMemory = new LruMap<string, LocalPicture>(ENTRIES_MAX);
  const database = open();
  return {
    async keep(file, name) {
      const key = await keyOf(file);
      const picture = { key, file, name, keptAt: Date.now() };
      const opened = await database;
      const isStored =
        opened !== undefined &&
        (await write(opened, picture).then(
          () => true,
          () => false,
        ));
      if (!isStored) inMemory.set(key, picture); // Forbidden, or the disk is full.
      return key;
    },
    async get(key) {
      const held = inMemory.get(key);
      const opened = await database;
      if (held !== undefined || opened === undefined) return held;
      return request<LocalPicture | undefined>(opened.transaction(STORE).objectStore(STORE).get(key));
    },
    async clear() {
      inMemory = new LruMap(ENTRIES_MAX);
      const opened = await database;
      if (opened !== undefined) await request(opened.transaction(STORE, 'readwrite').objectStore(STORE).clear());
    },
  };
}

async function keyOf(file: Blob): Promise<string> {
  const bytes = await file.arrayBuffer();
  // crypto.subtle exists on https and loopback only; elsewhere the key is random.
  const digest =
    crypto.subtle === undefined
      ? crypto.getRandomValues(new Uint8Array(8))
      : await crypto.subtle.digest('SHA-256', bytes);
  return [...new Uint8Array(digest).subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

async function open(): Promise<IDBDatabase | undefined> {
  try {
    const opening = indexedDB.open('likeness', 1);
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore(STORE, { keyPath: 'key' }).createIndex('keptAt', 'keptAt');
    };
    return await request(opening);
  } catch {
    return undefined; // Forbidden by the browser's settings.
  }
}

async function write(database: IDBDatabase, picture: LocalPicture): Promise<void> {
  const store = database.transaction(STORE, 'readwrite').objectStore(STORE);
  await request(store.put(picture));
  const keys = await request(store.index('keptAt').getAllKeys());
  for (const key of keys.slice(0, Math.max(0, keys.length - ENTRIES_MAX))) await request(store.delete(key));
}

function request<T>(asked: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}
