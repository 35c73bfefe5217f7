/** The tags of an image after some were added and others removed, each once, in their order. They stand in the metadata field `tags`. Pure. */
export function changedTags(
  metadata: { readonly [key: string]: unknown },
  added: readonly string[],
  removed: readonly string[],
): readonly string[] {
  const { tags } = metadata;
  const before = Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string') : typeof tags === 'string' ? [tags] : [];
  return [...new Set([...before, ...added])].filter((tag) => !removed.includes(tag));
}
