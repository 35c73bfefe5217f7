import type { Box, SearchOptions } from './answers.js';
import type { Ask, QueryValue } from './transport.js';

/** The bytes of a picture file. */
export type Picture = Blob | Uint8Array<ArrayBuffer> | ArrayBuffer;

/**
 * What to find the like of: pictures, stored images, an address, a vector with the id of its encoder, or several of them; at least one is
 * positive. `crop` is for one positive picture. `include` asks for vectors or regions with each result.
 */
export type SearchQuery = SearchOptions & {
  readonly pictures?: readonly Picture[];
  readonly negativePictures?: readonly Picture[];
  readonly ids?: readonly string[];
  readonly negativeIds?: readonly string[];
  readonly url?: string;
  readonly embedding?: readonly number[] | Float32Array;
  readonly encoderId?: string;
  readonly crop?: Box;
  readonly include?: readonly ('vector' | 'regions')[];
};

/** A filter or other value as the service takes it in a query or form. */
type Fields = { [name: string]: QueryValue };

/** The request of a search: a form where pictures are sent, JSON where not. */
export function searchRequest(query: SearchQuery): Pick<Ask, 'method' | 'path' | 'json' | 'body'> {
  const { pictures = [], negativePictures = [], embedding, encoderId, url, ...rest } = query;
  const fields = searchFields(rest);
  if (pictures.length + negativePictures.length === 0) {
    const vector = embedding === undefined ? undefined : Array.from(embedding);
    return { method: 'POST', path: '/search', json: { ...fields, url, embedding: vector, encoderId } };
  }
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) appendField(form, name, value);
  if (url !== undefined) form.append('url', url);
  for (const picture of pictures) form.append('image', toBlob(picture), fileName(picture));
  for (const picture of negativePictures) form.append('negative', toBlob(picture), fileName(picture));
  return { method: 'POST', path: '/search', body: form };
}

/** The same as the query of a link (GET /search). Pictures and vectors do not fit into one. */
export function searchFields(query: Omit<SearchQuery, 'pictures' | 'negativePictures' | 'embedding' | 'encoderId'>): Fields {
  const { ids, negativeIds, crop, include, ...options } = query;
  return {
    ...options,
    id: listed(ids),
    negativeId: listed(negativeIds),
    crop: crop === undefined ? undefined : cropText(crop),
    include: listed(include)?.join(','),
  };
}

/** A crop as a query has it: x,y,width,height in fractions of the upright picture. */
export function cropText({ x, y, width, height }: Box): string {
  return [x, y, width, height].map((value) => String(Number(value.toFixed(6)))).join(',');
}

/** Bytes as a part of a form. */
export function toBlob(picture: Picture): Blob {
  return picture instanceof Blob ? picture : new Blob([picture]);
}

/** The name a file goes by; the service keeps it with a stored image. */
export function fileName(picture: Picture): string {
  const { name } = picture as { readonly name?: unknown }; // Files have one, other bytes have none.
  return typeof name === 'string' && name !== '' ? name : 'picture';
}

/** Adds a field once for each of its values. */
export function appendField(form: FormData, name: string, value: QueryValue): void {
  if (value === undefined) return;
  for (const one of Array.isArray(value) ? value : [value]) form.append(name, String(one));
}

function listed<T>(values: readonly T[] | undefined): readonly T[] | undefined {
  return values === undefined || values.length === 0 ? undefined : values;
}
