import type { Region, SearchOptions } from './responses.js';
import type { QueryValue, ServiceRequest } from './transport.js';

/** The bytes of a picture file. */
export type Picture = Blob | Uint8Array<ArrayBuffer> | ArrayBuffer;

/**
 * The examples and options of a search. Examples are pictures, ids of stored images, a URL, an embedding with the id of
 * its encoder, or several of these; at least one is positive. `crop` needs exactly one positive picture. `include` adds
 * vectors or regions to each result.
 */
export type SearchQuery = SearchOptions & {
  readonly pictures?: readonly Picture[];
  readonly negativePictures?: readonly Picture[];
  readonly ids?: readonly string[];
  readonly negativeIds?: readonly string[];
  readonly url?: string;
  readonly embedding?: readonly number[] | Float32Array;
  readonly encoderId?: string;
  readonly crop?: Region;
  readonly include?: readonly ('vector' | 'regions')[];
};

type Fields = { [name: string]: QueryValue };

/** The request of a search: a form with pictures, otherwise JSON. */
export function searchRequest(query: SearchQuery): Pick<ServiceRequest, 'method' | 'path' | 'json' | 'body'> {
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

/** The query string of GET /search, which takes neither pictures nor embeddings. */
export function searchFields(
  query: Omit<SearchQuery, 'pictures' | 'negativePictures' | 'embedding' | 'encoderId'>,
): Fields {
  const { ids, negativeIds, crop, include, ...options } = query;
  return {
    ...options,
    id: omitEmpty(ids),
    negativeId: omitEmpty(negativeIds),
    crop: crop === undefined ? undefined : cropText(crop),
    include: omitEmpty(include)?.join(','),
  };
}

/** A crop in a query string: x,y,width,height in fractions of the upright picture. */
function cropText({ x, y, width, height }: Region): string {
  return [x, y, width, height].map((value) => String(Number(value.toFixed(6)))).join(',');
}

/** A picture as a Blob. */
export function toBlob(picture: Picture): Blob {
  return picture instanceof Blob ? picture : new Blob([picture]);
}

/** The name of a file, which the service stores with the image; `picture` for bytes without a name. */
export function fileName(picture: Picture): string {
  const { name } = picture as { readonly name?: unknown }; // only a File has a name
  return typeof name === 'string' && name !== '' ? name : 'picture';
}

/** Appends a field to a form, once for each value. */
export function appendField(form: FormData, name: string, value: QueryValue): void {
  if (value === undefined) return;
  for (const one of Array.isArray(value) ? value : [value]) form.append(name, String(one));
}

function omitEmpty<T>(values: readonly T[] | undefined): readonly T[] | undefined {
  return values === undefined || values.length === 0 ? undefined : values;
}
