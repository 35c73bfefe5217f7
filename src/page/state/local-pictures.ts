/** Query pictures that this browser keeps for itself, so that reload and the back button work. They are in no link that others can open. */

/** A picture kept under a key. */
export type LocalPicture = { readonly key: string; readonly file: Blob; readonly name: string; readonly keptAt: number };

/** The store; see {@link openLocalPictures}. */
export type LocalPictures = {
  /** Keeps a picture and resolves to its key: the start of its digest, so the same picture is kept once. */
  keep(file: Blob, name: string): Promise<string>;
  /** The picture of a key, or undefined where this browser keeps none. */
  get(key: string): Promise<LocalPicture | undefined>;
  /** Forgets all. */
  clear(): Promise<void>;
};

/** The latest pictures are kept, the rest forgotten. */
const MOST = 60;
const STORE = 'pictures';

/** The store in IndexedDB; where a browser forbids it (private windows of some), pictures last until the page is closed. */
export function openLocalPictures(): LocalPictures {
  const inMemory = new Map<string, LocalPicture>();
  const database = open();
  return {
    async keep(file, name) {
      const key = await keyOf(file);
      const picture = { key, file, name, keptAt: Date.now() };
      inMemory.set(key, picture);
      const opened = await database;
      if (opened !== undefined) await write(opened, picture).catch(() => undefined); // Full or forbidden: memory holds it.
      return key;
    },
    async get(key) {
      const held = inMemory.get(key);
      const opened = await database;
      if (held !== undefined || opened === undefined) return held;
      return request<LocalPicture | undefined>(opened.transaction(STORE).objectStore(STORE).get(key));
    },
    async clear() {
      inMemory.clear();
      const opened = await database;
      if (opened !== undefined) await request(opened.transaction(STORE, 'readwrite').objectStore(STORE).clear());
    },
  };
}

async function keyOf(file: Blob): Promise<string> {
  const bytes = await file.arrayBuffer();
  // Browsers offer digests on https and loopback only; elsewhere the key is a random one.
  const digest = crypto.subtle === undefined ? crypto.getRandomValues(new Uint8Array(8)) : await crypto.subtle.digest('SHA-256', bytes);
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
  for (const key of keys.slice(0, Math.max(0, keys.length - MOST))) await request(store.delete(key));
}

function request<T>(asked: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}
