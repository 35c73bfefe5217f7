/**
 * `<likeness-search server="https://pictures.example">`: a search box to embed in other pages. One classic script, no
 * framework, a shadow root, no innerHTML: it runs under any content policy that allows the script, the service and
 * blob: images.
 */
import { createClient, LikenessError, type SearchPage, type SearchResult } from '../../client/client.js';
import { preparePicture } from '../state/query/prepare-picture.js';
import { type ElementMessages, messagesFor } from './element-messages.js';
import { ELEMENT_STYLE } from './element-style.js';
import { make, resultLists, shownResults } from './result-list.js';
import { fillLinkTemplate } from './templates.js';

/** URL of this script, on the service unless the attribute `server` names another. Modules have no currentScript. */
const SCRIPT_URL = document.currentScript instanceof HTMLScriptElement ? document.currentScript.src : location.href;
const DEFAULT_COUNT = 12;
/** Errors of the visitor's file. */
const UNREADABLE: ReadonlySet<string> = new Set([
  ...['UNSUPPORTED_FORMAT', 'UNSUPPORTED_MEDIA_TYPE', 'UNREADABLE_IMAGE', 'HEIC_NOT_SUPPORTED'],
  ...['IMAGE_TOO_LARGE', 'UPLOAD_TOO_LARGE', 'DECODE_TIMEOUT'],
]);

/** The element; docs/embedding.md lists its attributes, events, methods, parts and custom properties. */
export class LikenessSearch extends HTMLElement {
  readonly #zone = make('div', { part: 'zone' });
  readonly #query = make('img', {});
  readonly #button = make('button', { part: 'button' });
  readonly #file = make('input', {});
  readonly #message = make('p', { part: 'message' });
  readonly #prompt = make('span', { part: 'prompt' });
  readonly #results = make('div', {});
  #ownMessages: Partial<ElementMessages> = {};
  #current = new AbortController();
  #listening: AbortController | undefined;

  constructor() {
    super();
    const style = new CSSStyleSheet();
    style.replaceSync(ELEMENT_STYLE);
    const shadow = this.attachShadow({ mode: 'open', delegatesFocus: true });
    shadow.adoptedStyleSheets = [style];

    this.#prompt.className = 'prompt';
    this.#zone.className = 'zone';
    this.#query.className = 'query';
    this.#query.hidden = true;
    this.#button.type = 'button';
    this.#file.type = 'file';
    this.#file.accept = 'image/*';
    this.#file.hidden = true;
    this.#message.className = 'message';
    this.#message.setAttribute('role', 'status');
    this.#zone.append(this.#query, this.#prompt, this.#button, this.#file);
    shadow.append(this.#zone, this.#message, this.#results);

    this.#button.addEventListener('click', () => this.#file.click());
    this.#file.addEventListener('change', () => {
      const [file] = this.#file.files ?? [];
      this.#file.value = ''; // So that the same file can be chosen again.
      if (file !== undefined) void this.search(file);
    });
  }

  static readonly observedAttributes = ['lang'];

  attributeChangedCallback(): void {
    this.#showTexts();
  }

  /** Own texts, over those of the language: `element.messages = { choose: 'Upload' }`. */
  get messages(): Partial<ElementMessages> {
    return this.#ownMessages;
  }

  set messages(messages: Partial<ElementMessages>) {
    this.#ownMessages = messages;
    this.#showTexts();
  }

  connectedCallback(): void {
    this.#showTexts();
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
    // Pasting elsewhere on the host page is left alone, unless the host sets paste-anywhere.
    const pasteTarget = this.hasAttribute('paste-anywhere') ? document : this;
    pasteTarget.addEventListener('paste', (event) => this.#take(event, (event as ClipboardEvent).clipboardData), {
      signal,
    });
  }

  disconnectedCallback(): void {
    this.#listening?.abort();
    this.#current.abort();
  }

  /** Searches with a picture. Resolves with the response; undefined if it failed or a later search replaced it. */
  async search(picture: Blob): Promise<SearchPage | undefined> {
    this.clear();
    const current = this.#current;
    const { signal } = current;
    this.#showQuery(picture, signal);
    const messages = this.#texts();
    this.#message.textContent = messages.searching;
    this.#button.disabled = true;
    try {
      const client = createClient({
        url: new URL(this.getAttribute('server') ?? '.', SCRIPT_URL).href,
        ...(this.hasAttribute('api-key') && { apiKey: this.getAttribute('api-key')! }),
      });
      const file = picture instanceof File ? await preparePicture(picture) : picture;
      const page = await client.search({ pictures: [file], ...this.#options() }, { signal, retry: { attempts: 3 } });
      if (signal.aborted) return undefined;
      const results = shownResults(page.results, this.getAttribute('show'));
      this.#message.textContent =
        results.length === 0
          ? messages.noResults
          : results.length === 1
            ? messages.oneResult
            : messages.results.replace('{count}', String(results.length));
      const linkOf = (result: SearchResult) =>
        fillLinkTemplate(this.getAttribute('link-template'), result, document.baseURI);
      this.#results.append(
        ...resultLists(results, {
          ...{ client, signal, messages, linkOf },
          captionTemplate: this.getAttribute('caption-template'),
          select: (result, event) => this.#select(result, event),
        }),
      );
      this.dispatchEvent(new CustomEvent('likeness-results', { detail: page, bubbles: true, composed: true }));
      return page;
    } catch (error) {
      if (!signal.aborted) {
        this.#message.textContent = failureText(error, messages);
        // The visitor sees a short text; the site's owner learns the cause.
        console.warn('likeness-search:', error);
        this.dispatchEvent(new CustomEvent('likeness-error', { detail: error, bubbles: true, composed: true }));
      }
      return undefined;
    } finally {
      if (this.#current === current) this.#button.disabled = false;
    }
  }

  /** Removes picture and results and aborts a running search. */
  clear(): void {
    this.#current.abort();
    this.#current = new AbortController();
    this.#query.hidden = true;
    this.#query.removeAttribute('src');
    this.#message.textContent = '';
    this.#button.disabled = false;
    this.#results.replaceChildren();
  }

  #texts(): ElementMessages {
    const language = this.closest('[lang]')?.getAttribute('lang') ?? '';
    return messagesFor(language, this.#ownMessages);
  }

  #showTexts(): void {
    const { prompt, choose, yourPicture } = this.#texts();
    this.#prompt.textContent = prompt;
    this.#button.textContent = choose;
    this.#query.alt = yourPicture;
  }

  #options() {
    const collection = this.getAttribute('collection') ?? undefined;
    const filter = this.getAttribute('filter') ?? undefined;
    const minScore = Number.parseFloat(this.getAttribute('min-score') ?? '');
    return {
      k: Number(this.getAttribute('k') ?? DEFAULT_COUNT),
      groups: true,
      ...(collection && { collection }),
      ...(filter && { filter }),
      ...(Number.isFinite(minScore) && { minScore }),
    };
  }

  #take(event: Event, data: DataTransfer | null): void {
    this.#zone.classList.remove('over');
    const file = [...(data?.files ?? [])].find(
      ({ type, name }) => type.startsWith('image/') || /\.hei[cf]$/i.test(name),
    );
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
    const isAllowed = this.dispatchEvent(
      new CustomEvent('likeness-select', { detail: result, bubbles: true, composed: true, cancelable: true }),
    );
    if (!isAllowed) event.preventDefault();
  }
}

function failureText(error: unknown, messages: ElementMessages): string {
  if (!(error instanceof LikenessError)) return messages.failed;
  if (UNREADABLE.has(error.code)) return messages.unreadable;
  return error.httpStatus === 0 || error.httpStatus === 429 || error.httpStatus >= 500
    ? messages.unavailable
    : messages.failed;
}

declare global {
  interface HTMLElementTagNameMap {
    'likeness-search': LikenessSearch;
  }
}

if (customElements.get('likeness-search') === undefined) customElements.define('likeness-search', LikenessSearch);
