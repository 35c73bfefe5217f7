/** The frame of all pages: header, the page of the address, dialogs, toasts, and drag-and-drop. */
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { IconButton } from './parts/button.js';
import { HelpDialog } from './parts/help-dialog.js';
import { Icon } from './parts/icons.js';
import { KeyDialog } from './parts/key-dialog.js';
import { Link } from './parts/link.js';
import type { LocalPictures } from './state/query/local-pictures.js';
import { formatAddress, PAGES, type PageName, START } from './state/query/page-address.js';
import { searchWithFiles } from './state/query/search-with-files.js';
import { useAddress } from './state/query/use-address.js';
import { type Incoming, useIncoming } from './state/query/use-incoming.js';
import { keepKey, pageClient, readKey, type Service, ServiceContext } from './state/service.js';
import { useResponse } from './state/use-response.js';
import { ImportPage } from './views/import-page.js';
import { MapPage } from './views/map-page.js';
import { SearchPage } from './views/search-page.js';
import { StatusPage } from './views/status-page.js';

const TITLES: { readonly [page in PageName]: string } = {
  search: 'Search',
  import: 'Import',
  map: 'Map',
  status: 'Status',
};
const VIEWS = { search: SearchPage, import: ImportPage, map: MapPage, status: StatusPage } as const;
const THEME_ICONS = { auto: 'half', light: 'sun', dark: 'moon' } as const;
const TOAST_MS = 4000;

/** Root component. */
export function App({ locals }: { readonly locals: LocalPictures }) {
  const [address, navigate] = useAddress();
  const [apiKey, setApiKey] = useState(readKey);
  const [keyReason, setKeyReason] = useState<string>();
  const [isHelping, setIsHelping] = useState(false);
  const [liveAnnouncement, setLiveAnnouncement] = useState('');
  const [toast, showToast] = useToast();
  const [theme, nextTheme] = useTheme();
  const client = useMemo(() => pageClient(apiKey), [apiKey]);
  const { response: statistics } = useResponse(
    useCallback((signal: AbortSignal) => client.statistics({ signal }), [client]),
  );
  // Services before 0.2.0 do not tell; their URL box stays.
  const canFetchUrls = statistics === undefined ? undefined : (statistics.urlFetch ?? true);
  const receiver = useRef<(incoming: Incoming) => void>(undefined);
  // Memoised: every picture of the page uses this context.
  const service = useMemo<Service>(
    () => ({
      client,
      apiKey,
      locals,
      address,
      navigate,
      canFetchUrls,
      announce: setLiveAnnouncement,
      askForKey: setKeyReason,
      toast: showToast,
      receiver,
    }),
    [client, apiKey, locals, address, navigate, canFetchUrls, showToast],
  );

  const receive = useCallback(
    (incoming: Incoming) => {
      if (receiver.current !== undefined) receiver.current(incoming);
      else if (incoming.kind === 'files') void searchWithFiles(incoming.files, { locals, navigate, toast: showToast });
      else if (incoming.kind === 'url' && canFetchUrls === false)
        showToast('This service does not fetch image URLs. Save the picture and drop it here.');
      else navigate(({ collection }) => ({ ...START, collection, like: [incoming] }));
    },
    [locals, navigate, canFetchUrls, showToast],
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
        Skip to content
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
          <IconButton icon="key" label="API key" onClick={() => setKeyReason('This tab uses an API key.')} />
        )}
        <button
          type="button"
          class="icon-button"
          aria-label={`Theme: ${theme}`}
          title={`Theme: ${theme}`}
          onClick={nextTheme}
        >
          <Icon name={THEME_ICONS[theme]} />
        </button>
        <IconButton icon="help" label="Help" title="Help (?)" onClick={() => setIsHelping(true)} />
      </header>
      <main class="body" id="content" tabIndex={-1}>
        <View />
      </main>
      <p class="visually-hidden" aria-live="polite">
        {liveAnnouncement}
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

/** A link to a page, which keeps the collection. */
function PageLink({ page, className, service, children }: PageLinkProps) {
  const { address, navigate } = service;
  const target = { ...START, page, collection: address.collection };
  return (
    <Link
      class={className}
      href={formatAddress(target)}
      aria-current={className === undefined && address.page === page ? 'page' : undefined}
      follow={() => navigate(target)}
    >
      {children}
    </Link>
  );
}

/** The logo. */
function Mark() {
  return (
    <svg width="26" height="26" viewBox="0 0 32 32" aria-label="Likeness" role="img">
      <rect x="3" y="8" width="17" height="17" rx="4" fill="#2f6f62" />
      <rect x="12" y="4" width="17" height="17" rx="4" fill="#e3b565" fill-opacity=".88" />
    </svg>
  );
}

function useToast(): readonly [string | undefined, (message: string) => void] {
  const [toast, setToast] = useState<string>();
  const timer = useRef<number>(undefined);
  const show = useCallback((message: string) => {
    clearTimeout(timer.current);
    setToast(message);
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

/** The system's setting, or the user's choice. */
type Theme = 'auto' | 'light' | 'dark';

const THEME_KEY = 'likeness.theme';
const THEMES: readonly Theme[] = ['auto', 'light', 'dark'];

/** The theme, and a function that switches to the next. Kept in localStorage. */
function useTheme(): readonly [Theme, () => void] {
  const [theme, setTheme] = useState<Theme>(storedTheme);
  useEffect(() => {
    if (theme === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem(THEME_KEY, theme);
    } catch {
      // Forbidden by the browser's settings: it lasts until reload.
    }
  }, [theme]);
  return [theme, () => setTheme((now) => THEMES[(THEMES.indexOf(now) + 1) % THEMES.length] ?? 'auto')];
}

function storedTheme(): Theme {
  try {
    return THEMES.find((theme) => theme === localStorage.getItem(THEME_KEY)) ?? 'auto';
  } catch {
    return 'auto';
  }
}
