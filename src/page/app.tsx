/** The frame: head, the page that the address names, and what lies over all of them (help, key, drop, word of what happened). */
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { HelpDialog } from './parts/help-dialog.js';
import { Icon } from './parts/icons.js';
import { KeyDialog } from './parts/key-dialog.js';
import type { LocalPictures } from './state/local-pictures.js';
import { formatAddress, PAGES, type PageName, START } from './state/page-address.js';
import { searchWithFiles } from './state/search-with-files.js';
import { keepKey, pageClient, readKey, type Service, ServiceContext } from './state/service.js';
import { useAddress } from './state/use-address.js';
import { type Incoming, useIncoming } from './state/use-incoming.js';
import { useTheme } from './state/use-theme.js';
import { ImportPage } from './views/import-page.js';
import { MapPage } from './views/map-page.js';
import { SearchPage } from './views/search-page.js';
import { StatusPage } from './views/status-page.js';

const TITLES: { readonly [page in PageName]: string } = { search: 'Search', import: 'Import', map: 'Map', status: 'Status' };
const VIEWS = { search: SearchPage, import: ImportPage, map: MapPage, status: StatusPage } as const;
const THEME_ICONS = { auto: 'half', light: 'sun', dark: 'moon' } as const;
const TOAST_MS = 4000;

/** The page. */
export function App({ locals }: { readonly locals: LocalPictures }) {
  const [address, navigate] = useAddress();
  const [apiKey, setApiKey] = useState(readKey);
  const [keyReason, setKeyReason] = useState<string>();
  const [isHelping, setIsHelping] = useState(false);
  const [heard, setHeard] = useState('');
  const [toast, showToast] = useToast();
  const [theme, nextTheme] = useTheme();
  const client = useMemo(() => pageClient(apiKey), [apiKey]);
  const receiver = useRef<(incoming: Incoming) => void>(undefined);
  // One object until something in it changes: every picture of the page listens to it.
  const service = useMemo<Service>(
    () => ({ client, apiKey, locals, address, navigate, announce: setHeard, askForKey: setKeyReason, toast: showToast, receiver }),
    [client, apiKey, locals, address, navigate, showToast],
  );

  const receive = useCallback(
    (incoming: Incoming) => {
      if (receiver.current !== undefined) receiver.current(incoming);
      else if (incoming.kind === 'files') void searchWithFiles(incoming.files, { locals, navigate, toast: showToast });
      else navigate(({ collection }) => ({ ...START, collection, like: [incoming] }));
    },
    [locals, navigate, showToast],
  );
  const isDraggedOver = useIncoming(receive);
  useHelpKey(() => setIsHelping(true));
  useEffect(() => {
    document.title = address.page === 'search' ? 'Likeness' : `${TITLES[address.page]} · Likeness`;
  }, [address.page]);

  const View = VIEWS[address.page];
  return (
    <ServiceContext.Provider value={service}>
      <a class="button skip" href="#content">
        Skip to the content
      </a>
      <header class="head">
        <PageLink page="search" className="brand" service={service}>
          <Mark />
          <span>Likeness</span>
        </PageLink>
        <nav class="tabs" aria-label="Pages">
          {PAGES.map((page) => (
            <PageLink key={page} page={page} service={service}>
              {TITLES[page]}
            </PageLink>
          ))}
        </nav>
        {apiKey !== undefined && (
          <button type="button" class="icon-button" aria-label="API key" onClick={() => setKeyReason('This tab uses a key.')}>
            <Icon name="key" />
          </button>
        )}
        <button type="button" class="icon-button" aria-label={`Colours: ${theme}`} title={`Colours: ${theme}`} onClick={nextTheme}>
          <Icon name={THEME_ICONS[theme]} />
        </button>
        <button type="button" class="icon-button" aria-label="Help" title="Help (?)" onClick={() => setIsHelping(true)}>
          <Icon name="help" />
        </button>
      </header>
      <main class="body" id="content" tabIndex={-1}>
        <View />
      </main>
      <p class="heard" aria-live="polite">
        {heard}
      </p>
      {toast !== undefined && (
        <p class="toast" role="status">
          {toast}
        </p>
      )}
      {isDraggedOver && <div class="drop-veil">{address.page === 'import' ? 'Drop to import' : 'Drop to search'}</div>}
      {isHelping && <HelpDialog onClose={() => setIsHelping(false)} />}
      {keyReason !== undefined && (
        <KeyDialog
          reason={keyReason}
          hasKey={apiKey !== undefined}
          onClose={() => setKeyReason(undefined)}
          onKey={(key) => {
            keepKey(key);
            setApiKey(key);
            setKeyReason(undefined);
          }}
        />
      )}
    </ServiceContext.Provider>
  );
}

type PageLinkProps = {
  readonly page: PageName;
  readonly className?: string;
  readonly service: Service;
  readonly children: preact.ComponentChildren;
};

/** A link to one of the pages, which keeps the collection; with a modifier key the browser opens it as any other link. */
function PageLink({ page, className, service, children }: PageLinkProps) {
  const { address, navigate } = service;
  const target = { ...START, page, collection: address.collection };
  return (
    <a
      class={className}
      href={formatAddress(target)}
      aria-current={className === undefined && address.page === page ? 'page' : undefined}
      onClick={(event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey) return;
        event.preventDefault();
        navigate(target);
      }}
    >
      {children}
    </a>
  );
}

/** Two pictures, one over the other. */
function Mark() {
  return (
    <svg width="26" height="26" viewBox="0 0 32 32" aria-label="Likeness" role="img">
      <rect x="3" y="8" width="17" height="17" rx="4" fill="#2f6f62" />
      <rect x="12" y="4" width="17" height="17" rx="4" fill="#e3b565" fill-opacity=".88" />
    </svg>
  );
}

function useToast(): readonly [string | undefined, (words: string) => void] {
  const [toast, setToast] = useState<string>();
  const timer = useRef<number>(undefined);
  const show = useCallback((words: string) => {
    clearTimeout(timer.current);
    setToast(words);
    timer.current = window.setTimeout(() => setToast(undefined), TOAST_MS);
  }, []);
  return [toast, show];
}

function useHelpKey(help: () => void): void {
  useEffect(() => {
    const press = (event: KeyboardEvent): void => {
      const isTyping = event.target instanceof HTMLElement && event.target.closest('input, textarea, select') !== null;
      if (event.key === '?' && !isTyping) help();
    };
    addEventListener('keydown', press);
    return () => removeEventListener('keydown', press);
  }, [help]);
}
