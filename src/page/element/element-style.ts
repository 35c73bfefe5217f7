/**
 * Styles of the element's shadow root. It inherits the font and colour of the host page. docs/embedding.md lists the
 * custom properties and parts that host pages can style.
 */
export const ELEMENT_STYLE = `
:host {
  --accent: var(--likeness-accent, light-dark(#1d6b59, #86cfb9));
  --surface: var(--likeness-surface, light-dark(#fff, #1d1c1a));
  --line: var(--likeness-line, light-dark(#8b857b, #7b756c));
  --soft: var(--likeness-soft, light-dark(#5d5952, #aba59b));
  --round: var(--likeness-round, 10px);
  display: block;
  color-scheme: inherit;
  container-type: inline-size;
  line-height: 1.45;
}
:host([hidden]) { display: none; }
* { box-sizing: border-box; }
.zone {
  display: flex; flex-wrap: wrap; align-items: center; gap: 0.75rem;
  padding: 1rem; border: 1.5px dashed var(--line); border-radius: var(--round); background: var(--surface);
}
.zone.over { border-style: solid; border-color: var(--accent); }
.query { width: 4rem; height: 4rem; object-fit: cover; border-radius: calc(var(--round) * 0.6); }
.prompt { flex: 1 1 12rem; min-width: 0; color: var(--soft); }
button {
  min-height: 2.5rem; padding: 0 1rem; border: 1px solid var(--accent); border-radius: 999px;
  background: none; color: var(--accent); font: inherit; font-weight: 600; cursor: pointer;
}
button:disabled { opacity: 0.6; cursor: default; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.message { margin: 0.75rem 0 0; color: var(--soft); }
.message:empty { display: none; }
h3 { margin: 1.25rem 0 0.5rem; font-size: 1em; }
ul {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(min(var(--likeness-size, 9rem), 45cqw), 1fr)); gap: 0.75rem;
  margin: 0; padding: 0; list-style: none;
}
.result {
  display: block; width: 100%; min-height: 0; padding: 0; border: 0; border-radius: var(--round);
  overflow: hidden; background: var(--surface); color: inherit; font-weight: inherit; text-align: start; text-decoration: none; cursor: pointer;
}
.result img { display: block; width: 100%; aspect-ratio: 1; object-fit: cover; background: color-mix(in srgb, var(--line), transparent 80%); }
.caption { display: block; padding: 0.4rem 0.6rem; overflow: hidden; font-size: 0.85em; text-overflow: ellipsis; white-space: nowrap; color: var(--soft); }
`;
