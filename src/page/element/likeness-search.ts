/**
 * `<likeness-search server="https://pictures.example">`: a search box for other people's pages. One classic script, no framework, a shadow
 * of its own, no innerHTML (so it runs under any content policy that allows the script, the service and blob: pictures).
 */
import { createClient, LikenessError, type SearchPage, type SearchResult } from '../../client/client.js';
import { preparePicture } from '../state/prepare-picture.js';
import { ELEMENT_STYLE } from './element-style.js';
import { fillLinkTemplate } from './link-template.js';
import { make, resultLists } from './result-list.js';

/** Where this script came from: the service, unless the attribute `server` names another. A module has no current script. */
const OWN_ADDRESS = document.currentScript instanceof HTMLScriptElement ? document.currentScript.src : location.href;
const DEFAULT_COUNT = 12;
const PROMPT = 'Drop or paste a picture here to find its like.';

/**
 * Attributes: `server`, `collection`, `k` (12), `api-key` (of a read key: whoever sees the page sees it), `link-template`
 * (`/items/{id}`, `{metadata.KEY}`), `filter`, `paste-anywhere`. Events: `likeness-results` (detail: the answer) and `likeness-select`
 * (detail: the result; preventDefault keeps the link from being followed).
 */
export class LikenessSearch extends HTMLElement {
  readonly #zone = make('div', { part: 'zone' });
  readonly #query = make('img', {});
  readonly #button = make('button', { part: 'button', text: 'Choose a picture' });
  readonly #file = make('input', {});
  readonly #message = make('p', { part: 'message' });
  readonly #results = make('div', {});
  #current = new AbortController();
  #listening: AbortController | undefined;

  constructor() {
    super();
    const style = new CSSStyleSheet();
    style.replaceSync(ELEMENT_STYLE);
    const shadow = this.attachShadow({ mode: 'open', delegatesFocus: true });
    shadow.adoptedStyleSheets = [style];

    const prompt = make('span', { text: PROMPT });
    prompt.className = 'prompt';
    this.#zone.className = 'zone';
    this.#query.className = 'query';
    this.#query.alt = 'Your picture';
    this.#query.hidden = true;
    this.#button.type = 'button';
    this.#file.type = 'file';
    this.#file.accept = 'image/*';
    this.#file.hidden = true;
    this.#message.className = 'message';
    this.#message.setAttribute('role', 'status');
    this.#zone.append(this.#query, prompt, this.#button, this.#file);
    shadow.append(this.#zone, this.#message, this.#results);

    this.#button.addEventListener('click', () => this.#file.click());
    this.#file.addEventListener('change', () => {
      const [file] = this.#file.files ?? [];
      this.#file.value = ''; // The same file may be chosen again.
      if (file !== undefined) void this.search(file);
    });
  }

  connectedCallback(): void {
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    const mark = (event: DragEvent, isOver: boolean): void => {
      if (isOver) event.preventDefault();
      this.#zone.classList.toggle('over', isOver);
    };
    this.addEventListener('dragenter', (event) => mark(event, true), { signal });
    this.addEventListener('dragover', (event) => mark(event, true), { signal });
    this.addEventListener('dragleave', (event) => mark(event, false), { signal });
    this.addEventListener('drop', (event) => this.#take(event, event.dataTransfer), { signal });
    // The clipboard is the host page's: it is read where the box has the focus, and everywhere only where the host says so.
    const heard = this.hasAttribute('paste-anywhere') ? document : this;
    heard.addEventListener('paste', (event) => this.#take(event, (event as ClipboardEvent).clipboardData), { signal });
  }

  disconnectedCallback(): void {
    this.#listening?.abort();
    this.#current.abort();
  }

  /** Searches with a picture, as if it had been dropped. Answers the results, or undefined where it failed or a later search took its place. */
  async search(picture: Blob): Promise<SearchPage | undefined> {
    this.clear();
    const current = this.#current;
    const { signal } = current;
    this.#showQuery(picture, signal);
    this.#message.textContent = 'Searching…';
    this.#button.disabled = true;
    try {
      const client = createClient({
        url: new URL(this.getAttribute('server') ?? '.', OWN_ADDRESS).href,
        ...(this.hasAttribute('api-key') && { apiKey: this.getAttribute('api-key')! }),
      });
      const file = picture instanceof File ? await preparePicture(picture) : picture;
      const page = await client.search({ pictures: [file], ...this.#options() }, { signal, retry: { attempts: 3 } });
      if (signal.aborted) return undefined;
      const { results } = page;
      this.#message.textContent = results.length === 0 ? 'Nothing like it was found.' : `${results.length} pictures found.`;
      const linkOf = (result: SearchResult) => fillLinkTemplate(this.getAttribute('link-template'), result, document.baseURI);
      this.#results.append(...resultLists(results, { client, signal, linkOf, select: (result, event) => this.#select(result, event) }));
      this.dispatchEvent(new CustomEvent('likeness-results', { detail: page, bubbles: true, composed: true }));
      return page;
    } catch (error) {
      if (!signal.aborted) this.#message.textContent = failureText(error);
      return undefined;
    } finally {
      if (this.#current === current) this.#button.disabled = false;
    }
  }

  /** Forgets picture and results, and gives up a search that is under way. */
  clear(): void {
    this.#current.abort();
    this.#current = new AbortController();
    this.#query.hidden = true;
    this.#query.removeAttribute('src');
    this.#message.textContent = '';
    this.#button.disabled = false;
    this.#results.replaceChildren();
  }

  #options() {
    const collection = this.getAttribute('collection') ?? undefined;
    const filter = this.getAttribute('filter') ?? undefined;
    return {
      k: Number(this.getAttribute('k') ?? DEFAULT_COUNT),
      groups: true,
      ...(collection && { collection }),
      ...(filter && { filter }),
    };
  }

  #take(event: Event, data: DataTransfer | null): void {
    this.#zone.classList.remove('over');
    const file = [...(data?.files ?? [])].find(({ type, name }) => type.startsWith('image/') || /\.hei[cf]$/i.test(name));
    if (file === undefined) return;
    event.preventDefault();
    void this.search(file);
  }

  #showQuery(picture: Blob, signal: AbortSignal): void {
    const address = URL.createObjectURL(picture);
    this.#query.src = address;
    this.#query.hidden = false;
    signal.addEventListener('abort', () => URL.revokeObjectURL(address), { once: true });
  }

  #select(result: SearchResult, event: Event): void {
    const mayGoOn = this.dispatchEvent(
      new CustomEvent('likeness-select', { detail: result, bubbles: true, composed: true, cancelable: true }),
    );
    if (!mayGoOn) event.preventDefault();
  }
}

function failureText(error: unknown): string {
  if (!(error instanceof LikenessError)) return 'Something went wrong in this page.';
  return error.code === 'UNREACHABLE' ? 'The picture search cannot be reached just now.' : `${error.message} ${error.remedy}`;
}

declare global {
  interface HTMLElementTagNameMap {
    'likeness-search': LikenessSearch;
  }
}

if (customElements.get('likeness-search') === undefined) customElements.define('likeness-search', LikenessSearch);
