/** Editing metadata as JSON text: check and difference. Pure. */

/** Metadata of an image: a JSON object. */
export type Metadata = { readonly [key: string]: unknown };

/** The metadata in a text, or what is wrong with it. */
export type ParsedMetadata = { readonly metadata: Metadata } | { readonly problem: string };

/**
 * Parses JSON text as metadata. Rejects what the service could not store exactly: integers beyond 2^53, 1e999, nulls.
 */
export function parseMetadata(text: string): ParsedMetadata {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { problem: `Not valid JSON${lineOf(text, error)}.` };
  }
  if (!isObject(value)) return { problem: 'Metadata is a JSON object: { "name": value }.' };
  const wrong = inexactNumber(value);
  if (wrong !== undefined) return { problem: `“${wrong}” is too large to be stored exactly. Write it as text.` };
  const empty = nullField(value);
  if (empty !== undefined) return { problem: `“${empty}” is null. Remove the field instead.` };
  return { metadata: value };
}

/** The JSON merge patch (RFC 7396) from `before` to `after`; undefined if they are equal. */
export function mergePatch(before: Metadata, after: Metadata): Metadata | undefined {
  const patch: { [key: string]: unknown } = {};
  for (const key of Object.keys(before)) if (!Object.hasOwn(after, key)) patch[key] = null;
  for (const [key, value] of Object.entries(after)) {
    const old = Object.hasOwn(before, key) ? before[key] : undefined;
    if (isObject(value) && isObject(old)) {
      const inner = mergePatch(old, value);
      if (inner !== undefined) patch[key] = inner;
    } else if (JSON.stringify(old) !== JSON.stringify(value)) patch[key] = value;
  }
  return Object.keys(patch).length === 0 ? undefined : patch;
}

/** The tags (metadata field `tags`) after adding and removing some: unique, in order. */
export function changedTags(metadata: Metadata, added: readonly string[], removed: readonly string[]): string[] {
  const { tags } = metadata;
  const before = Array.isArray(tags)
    ? tags.filter((tag) => typeof tag === 'string')
    : typeof tags === 'string'
      ? [tags]
      : [];
  return [...new Set([...before, ...added])].filter((tag) => !removed.includes(tag));
}

function isObject(value: unknown): value is Metadata {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The path of the first number that JSON.parse rounded or made infinite. */
function inexactNumber(value: unknown, path = ''): string | undefined {
  if (typeof value === 'number')
    return Number.isInteger(value)
      ? Number.isSafeInteger(value)
        ? undefined
        : path
      : Number.isFinite(value)
        ? undefined
        : path;
  return firstInside(value, path, inexactNumber);
}

/** The path of the first object field that is null; a merge patch cannot set it. */
function nullField(value: unknown, path = ''): string | undefined {
  if (value === null) return path;
  return isObject(value) ? firstInside(value, path, nullField) : undefined;
}

function firstInside(
  value: unknown,
  path: string,
  find: (value: unknown, path: string) => string | undefined,
): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [key, inner] of Object.entries(value)) {
    const found = find(inner, path === '' ? key : `${path}.${key}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** " (line 3)", from the position that V8 and others name in the message. */
function lineOf(text: string, error: unknown): string {
  const message = error instanceof Error ? error.message : '';
  const line = /line (\d+)/.exec(message)?.[1];
  if (line !== undefined) return ` (line ${line})`;
  const position = /position (\d+)/.exec(message)?.[1];
  return position === undefined ? '' : ` (line ${text.slice(0, Number(position)).split('\n').length})`;
}
