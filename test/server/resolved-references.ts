/** An OpenAPI document with each `$ref` replaced by what it refers to; fails on one that refers to nothing. */
export function resolvedReferences<Document extends object>(document: Document): Document {
  const resolve = (node: unknown): unknown => {
    if (Array.isArray(node)) return node.map(resolve);
    if (typeof node !== 'object' || node === null) return node;
    const { $ref } = node as { readonly $ref?: unknown };
    if (typeof $ref !== 'string')
      return Object.fromEntries(Object.entries(node).map(([key, value]) => [key, resolve(value)]));
    const found = $ref
      .replace(/^#\//, '')
      .split('/')
      .reduce<unknown>((at, key) => (at as { readonly [key: string]: unknown } | undefined)?.[key], document);
    if (found === undefined) throw new Error(`${$ref} refers to nothing.`);
    return resolve(found);
  };
  return resolve(document) as Document; // the same document, inlined
}
