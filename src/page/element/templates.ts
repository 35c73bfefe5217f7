/** Values for the placeholders of a template. */
type Values = {
  readonly id: string;
  readonly fileName: string | null;
  readonly score: number;
  readonly metadata: { readonly [key: string]: unknown };
};

/**
 * The link of a result on the host's site: replaces `{id}`, `{fileName}` and `{metadata.KEY}` in the template,
 * percent-encoded. Undefined without a template, if a value is missing, or if the link is not http(s). `base` is the
 * URL of the host page.
 */
export function fillLinkTemplate(template: string | null, values: Values, base: string): string | undefined {
  if (template === null || template === '') return undefined;
  const { text, missing } = fill(template, values, encodeURIComponent);
  if (missing > 0 || !URL.canParse(text, base)) return undefined;
  const { protocol, href } = new URL(text, base);
  return protocol === 'https:' || protocol === 'http:' ? href : undefined;
}

/**
 * The caption of a result: replaces `{id}`, `{fileName}`, `{score}` and `{metadata.KEY}`; missing values are empty.
 * Undefined without a template, or if it has placeholders and every value is missing.
 */
export function fillCaptionTemplate(template: string | null, values: Values): string | undefined {
  if (template === null || template === '') return undefined;
  const { text, missing, found } = fill(template, values, (value) => value);
  return found === 0 && missing > 0 ? undefined : text.trim();
}

function fill(template: string, values: Values, encode: (value: string) => string) {
  let [found, missing] = [0, 0];
  const text = template.replaceAll(/\{(id|fileName|score|metadata\.([^}]+))\}/g, (_all, name: string, key: string) => {
    const value =
      name === 'id'
        ? values.id
        : name === 'fileName'
          ? values.fileName
          : name === 'score'
            ? values.score.toFixed(2)
            : values.metadata[key];
    if (typeof value !== 'string' && typeof value !== 'number') {
      missing++;
      return '';
    }
    found++;
    return encode(String(value));
  });
  return { text, found, missing };
}
