import { useEffect, useState } from 'preact/hooks';

/** As the system has it, or as the person chose. */
export type Theme = 'auto' | 'light' | 'dark';

const NAME = 'likeness.theme';
const ORDER: readonly Theme[] = ['auto', 'light', 'dark'];

/** The theme, and a function that goes on to the next. The choice is kept in this browser. */
export function useTheme(): readonly [Theme, () => void] {
  const [theme, setTheme] = useState<Theme>(read);
  useEffect(() => {
    if (theme === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem(NAME, theme);
    } catch {
      // Forbidden by the browser's settings: it lasts as long as the page.
    }
  }, [theme]);
  return [theme, () => setTheme((now) => ORDER[(ORDER.indexOf(now) + 1) % ORDER.length] ?? 'auto')];
}

function read(): Theme {
  try {
    return ORDER.find((theme) => theme === localStorage.getItem(NAME)) ?? 'auto';
  } catch {
    return 'auto';
  }
}
