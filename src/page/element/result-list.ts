import type { LikenessClient, SearchResult } from '../../client/client.js';
import { displayName, groupOf, type ResultGroup } from '../state/result-messages.js';
import type { ElementMessages } from './element-messages.js';
import { fillCaptionTemplate } from './templates.js';

/** `linkOf` returns undefined for a button instead of a link; `select` is called before a link is followed. */
type ResultListOptions = {
  readonly client: LikenessClient;
  readonly signal: AbortSignal;
  readonly messages: ElementMessages;
  readonly captionTemplate: string | null;
  readonly linkOf: (result: SearchResult) => string | undefined;
  readonly select: (result: SearchResult, event: Event) => void;
};

/** Groups by the value of the attribute `show`. */
const SHOWN: { readonly [show: string]: readonly ResultGroup[] } = {
  copies: ['identical', 'edited'],
  similar: ['identical', 'edited', 'similar'],
  all: ['identical', 'edited', 'similar', 'weaker'],
};

/** The results that the attribute `show` lets through; without it those that are similar or better. */
export function shownResults(results: readonly SearchResult[], show: string | null): SearchResult[] {
  const groups = SHOWN[show ?? 'similar'] ?? SHOWN.similar!; // Defined above.
  return results.filter((result) => groups.includes(groupOf(result)));
}

/** The results as lists with headings, without empty groups. */
export function resultLists(results: readonly SearchResult[], options: ResultListOptions): HTMLElement[] {
  return SHOWN.all!.flatMap((group) => {
    const members = results.filter((result) => groupOf(result) === group);
    if (members.length === 0) return [];
    const heading = make('h3', { part: 'group', text: options.messages[group] });
    const list = make('ul', { part: 'results' });
    list.append(...members.map((result) => resultItem(result, options)));
    return [heading, list];
  });
}

function resultItem(result: SearchResult, options: ResultListOptions): HTMLLIElement {
  const { client, signal, captionTemplate, linkOf, select } = options;
  const link = linkOf(result);
  const choice = link === undefined ? make('button', { part: 'result' }) : make('a', { part: 'result' });
  if (choice instanceof HTMLAnchorElement) choice.href = link!;
  else choice.type = 'button';
  choice.className = 'result';
  choice.addEventListener('click', (event) => select(result, event));

  const image = make('img', { part: 'image' });
  image.alt = '';
  image.decoding = 'async';
  // Fetched, as an img cannot send a key, and the service allows other origins to fetch pictures but not to embed them.
  client.file(result.thumbnailUrl, { signal }).then(
    (blob) => {
      if (signal.aborted) return;
      const address = URL.createObjectURL(blob);
      image.src = address;
      signal.addEventListener('abort', () => URL.revokeObjectURL(address), { once: true });
    },
    () => {}, // The placeholder stays; the caption names the picture.
  );
  const text = fillCaptionTemplate(captionTemplate, result) ?? defaultCaption(result);
  const caption = make('span', { part: 'caption', text });
  caption.className = 'caption';
  choice.append(image, caption);
  const item = make('li', {});
  item.append(choice);
  return item;
}

/** Title or name in the metadata, else file name or id. */
function defaultCaption(result: SearchResult): string {
  const { title, name } = result.metadata;
  return [title, name].find((value) => typeof value === 'string' && value !== '')?.toString() ?? displayName(result);
}

/** Creates an element with part and text. */
export function make<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  { part, text }: { readonly part?: string; readonly text?: string },
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  if (part !== undefined) element.setAttribute('part', part);
  if (text !== undefined) element.textContent = text;
  return element;
}
