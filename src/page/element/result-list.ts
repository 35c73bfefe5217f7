import type { LikenessClient, MatchKind, SearchResult } from '../../client/client.js';

/** What a result list is made with. `linkOf` is undefined where results are buttons; `select` is told of each choice before the link is followed. */
export type ResultListOptions = {
  readonly client: LikenessClient;
  readonly signal: AbortSignal;
  readonly linkOf: (result: SearchResult) => string | undefined;
  readonly select: (result: SearchResult, event: Event) => void;
};

const GROUPS: readonly { readonly match: MatchKind; readonly title: string }[] = [
  { match: 'same', title: 'The same picture' },
  { match: 'edited', title: 'Edited copies' },
  { match: 'similar', title: 'Alike' },
];

/** The results as headed lists: the same picture, edited copies, look-alikes; each empty one is left out. */
export function resultLists(results: readonly SearchResult[], options: ResultListOptions): HTMLElement[] {
  return GROUPS.flatMap(({ match, title }) => {
    const members = results.filter((result) => result.match === match);
    if (members.length === 0) return [];
    const heading = make('h3', { part: 'group', text: title });
    const list = make('ul', { part: 'results' });
    list.append(...members.map((result) => resultItem(result, options)));
    return [heading, list];
  });
}

function resultItem(result: SearchResult, { client, signal, linkOf, select }: ResultListOptions): HTMLLIElement {
  const link = linkOf(result);
  const choice = link === undefined ? make('button', { part: 'result' }) : make('a', { part: 'result' });
  if (choice instanceof HTMLAnchorElement) choice.href = link!;
  else choice.type = 'button';
  choice.className = 'result';
  choice.addEventListener('click', (event) => select(result, event));

  const image = make('img', { part: 'image' });
  image.alt = '';
  image.decoding = 'async';
  // Fetched, not linked: only so can a key be sent, and the service lets other pages' scripts read pictures but not embed them.
  client.file(result.thumbnailUrl, { signal }).then(
    (blob) => {
      const address = URL.createObjectURL(blob);
      image.src = address;
      signal.addEventListener('abort', () => URL.revokeObjectURL(address), { once: true });
    },
    () => {}, // The grey square stays; the caption still names the picture.
  );
  const caption = make('span', { part: 'caption', text: captionOf(result) });
  caption.className = 'caption';
  choice.append(image, caption);
  const item = make('li', {});
  item.append(choice);
  return item;
}

/** Its title or name in the metadata, where there is one, or else its id; and how near it is. */
function captionOf({ id, metadata, score }: SearchResult): string {
  const named = [metadata.title, metadata.name].find((value) => typeof value === 'string' && value !== '');
  return `${String(named ?? id)} · ${Math.round(Math.max(0, score) * 100)} %`;
}

/** An element with its part and text. */
export function make<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  { part, text }: { readonly part?: string; readonly text?: string },
): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  if (part !== undefined) element.setAttribute('part', part);
  if (text !== undefined) element.textContent = text;
  return element;
}
