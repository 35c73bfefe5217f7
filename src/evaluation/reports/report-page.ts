import { escapeHtml } from './html-text.js';

/**
 * A complete HTML page around a body: the style of reports and comparisons, light and dark. Its content policy forbids
 * every request and every script, so that a report can be opened anywhere, sent to anyone, and tells nobody.
 */
export function reportPage(options: { readonly title: string; readonly body: string }): string {
  const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(options.title)}</title>
<style>${STYLE.replaceAll('\n', '')}</style>
</head>
<body>
<main>
${options.body}
</main>
</body>
</html>
`;
  return page.replaceAll(INNER_LINE_BREAKS, '>');
}

/** Line breaks within the head and within a section, which mean nothing to a browser. */
const INNER_LINE_BREAKS = />\n+(?=<(?!head|body|section|footer))/g;

const SERIES_LIGHT = [
  '#2f6fb3',
  '#d9722b',
  '#2a9d70',
  '#c0413e',
  '#7d5bb0',
  '#8a6046',
  '#d069a5',
  '#6f7680',
  '#a59a24',
  '#1fa3b4',
];
const SERIES_DARK = [
  '#6aa9ea',
  '#f0965a',
  '#52c796',
  '#ef7a76',
  '#b296e4',
  '#bf9378',
  '#eb97c9',
  '#a3abb6',
  '#cfc453',
  '#5ccfdf',
];

const colours = (series: readonly string[]): string => series.map((colour, index) => `--s${index}:${colour}`).join(';');

const STYLE = `
:root{--ground:#fff;--panel:#f6f7f9;--ink:#1d2127;--soft:#5d6672;--line:#dde1e7;--accent:#1f4ea0;--right:#1a8c54;--wrong:#cd5c30;${colours(SERIES_LIGHT)}}
@media (prefers-color-scheme:dark){:root{--ground:#15181d;--panel:#1e2229;--ink:#e7eaee;--soft:#9ea7b3;--line:#343a44;--accent:#8ab4f8;--right:#52c796;--wrong:#f0965a;${colours(SERIES_DARK)}}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1120px;margin:0 auto;padding:36px 24px 64px}
h1{font-size:27px;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:19px;margin:48px 0 4px}
p{margin:4px 0 14px;max-width:76ch}
.soft,.note{color:var(--soft)}
.note{font-size:13.5px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(160px,1fr));gap:12px;margin:22px 0 0;padding:0;list-style:none}
.tiles li{background:var(--panel);border-radius:8px;padding:14px 16px}
.tiles b{display:block;font-size:25px;line-height:1.2;font-variant-numeric:tabular-nums}
.tiles span{color:var(--soft);font-size:13px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:8px 0 14px}
th,td{padding:6px 14px 6px 0;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap;vertical-align:baseline}
th{font-weight:600;color:var(--soft);font-size:13px}
th:first-child,td:first-child,.wide td:last-child,.wide th:last-child{text-align:left}
.wide td:last-child{white-space:normal;min-width:22em;color:var(--soft);font-size:13.5px}
td b{color:var(--accent)}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,380px),1fr));gap:20px 32px;margin:12px 0}
figure{margin:0}
figcaption{font-weight:600;font-size:14px;margin:0 0 6px}
svg{display:block;width:100%;max-width:560px;height:auto;font:11.5px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
.map svg{max-width:640px}
.sheet{margin:14px 0 30px}
.sheet img{display:block;max-width:100%;height:auto;border-radius:8px;background:#fff}
.tick,.title{fill:var(--soft)}.value{fill:var(--ink)}
.grid{stroke:var(--line)}.axis{stroke:var(--soft)}
.track{fill:var(--line);opacity:.55}.ground{fill:var(--panel)}
.line{fill:none;stroke-width:2;stroke-linejoin:round}
.area{fill-opacity:.3;stroke-width:1.5}
.area.right{fill:var(--right);stroke:var(--right)}.area.wrong{fill:var(--wrong);stroke:var(--wrong);stroke-dasharray:4 2}
.dots circle{fill-opacity:.75}.unlabelled{fill:var(--soft)}
${Array.from(SERIES_LIGHT, (_, index) => `.f${index}{fill:var(--s${index})}.line.s${index}{stroke:var(--s${index})}.key.s${index}{background:var(--s${index})}`).join('')}
.key.right{background:var(--right)}.key.wrong{background:var(--wrong)}
.legend{display:flex;flex-wrap:wrap;gap:2px 16px;list-style:none;margin:8px 0 24px;padding:0;font-size:13px;color:var(--soft)}
.key{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:6px}
footer{margin-top:56px;padding-top:14px;border-top:1px solid var(--line);color:var(--soft);font-size:13px;overflow-wrap:anywhere}
@media print{main{max-width:none;padding:0}h2{break-after:avoid}figure{break-inside:avoid}}
`;
