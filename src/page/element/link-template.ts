/** What a link is filled with. */
type Linked = { readonly id: string; readonly metadata: { readonly [key: string]: unknown } };

/**
 * The address of a result on the host's own pages: `{id}` and `{metadata.KEY}` in the template are replaced, percent-encoded. Undefined where
 * the template is absent, needs a value that the result lacks, or would lead anywhere but to a web address (`javascript:`, say). `base` is
 * the address of the host page.
 */
export function fillLinkTemplate(template: string | null, { id, metadata }: Linked, base: string): string | undefined {
  if (template === null || template === '') return undefined;
  let isWhole = true;
  const link = template.replaceAll(/\{(id|metadata\.([^}]+))\}/g, (_found, name: string, key: string) => {
    const value = name === 'id' ? id : metadata[key];
    if (typeof value !== 'string' && typeof value !== 'number') isWhole = false;
    return encodeURIComponent(String(value));
  });
  if (!isWhole || !URL.canParse(link, base)) return undefined;
  const { protocol, href } = new URL(link, base);
  return protocol === 'https:' || protocol === 'http:' ? href : undefined;
}
