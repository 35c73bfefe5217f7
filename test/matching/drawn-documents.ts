/**
 * Different documents of one layout, drawn by rule: what alignment must not call copies of each other. Every kind
 * draws any number of documents that share rules, headings and frames and differ in what a reader reads. The same
 * kind, seed and font give the same picture.
 */
import sharp from 'sharp';
import { type Colour, drawText } from '../../src/images/bitmap-text.js';
import { seededRandom } from '../../src/seeded-random.js';
import { syntheticPicture, toSharp } from '../images/pictures.js';

/** A line of text. x: left end; y: baseline; size: height of a line, all in pixels. */
type Text = {
  readonly x: number;
  readonly y: number;
  readonly size: number;
  readonly text: string;
  readonly fill?: Colour;
  readonly bold?: boolean;
};
type Drawing = {
  readonly width: number;
  readonly height: number;
  readonly paper: string;
  /** SVG elements. */
  readonly shapes: readonly string[];
  readonly texts: readonly Text[];
  /** A picture under all, PNG or JPEG, as large as the drawing. */
  readonly ground?: Uint8Array;
};
type Random = () => number;

/**
 * How text is drawn: `bitmap` by the font in src/images, the same on every machine; `system` by the machine's
 * sans-serif, which looks more like real documents.
 */
export type DocumentFont = 'bitmap' | 'system';

/** A document as PNG. at: 0, 1, ...: which document of the kind. */
export async function drawnDocument(
  kind: DocumentKind,
  at: number,
  options: { readonly font?: DocumentFont; readonly template?: Uint8Array } = {},
): Promise<Buffer> {
  const { font = 'bitmap', template } = options;
  const drawing: Drawing = await KINDS[kind](seededRandom(at, kind), template);
  const { width, height, paper, shapes, texts, ground } = drawing;
  const lines = font === 'system' ? texts.map(svgText) : [];
  const sheet = ground === undefined ? `<rect width="${width}" height="${height}" fill="${paper}"/>` : '';
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${sheet}${shapes.join('')}${lines.join('')}</svg>`;
  const under = ground === undefined ? sharp(Buffer.from(svg)) : sharp(ground).composite([{ input: Buffer.from(svg) }]);
  const { data } = await sharp(await under.png({ compressionLevel: 1 }).toBuffer())
    .flatten({ background: 'white' })
    .toColourspace('srgb')
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  const rgb = new Uint8Array(data);
  if (font === 'bitmap') for (const text of texts) drawBitmapText({ width, height, rgb }, text);
  return await sharp(rgb, { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 1 })
    .toBuffer();
}

function svgText({ x, y, size, text, fill = [20, 20, 20], bold = false }: Text): string {
  const weight = bold ? ' font-weight="bold"' : '';
  const family = 'DejaVu Sans, sans-serif';
  const words = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${x}" y="${y}" font-size="${size}" font-family="${family}"${weight} fill="rgb(${fill.join()})">${words}</text>`;
}

function drawBitmapText(canvas: Parameters<typeof drawText>[0], { x, y, size, text, fill = [20, 20, 20] }: Text): void {
  const scale = Math.max(1, Math.round(size / 9));
  drawText(canvas, { text, left: Math.round(x), top: Math.round(y - 7 * scale), scale, colour: fill });
}

const WORDS =
  'amber river stone market copper window garden letter winter summer harbour bridge paper silver forest engine number travel ' +
  'budget report signal filter candle mirror planet doctor artist ticket camera basket ladder pocket rocket saddle tunnel valley ' +
  'walnut yellow zipper anchor button coffee dinner eleven folder glider hammer island jacket kettle lemon motor needle orange';
const DICTIONARY = WORDS.split(' ');

const whole = (random: Random, least: number, most: number): number =>
  least + Math.floor(random() * (most - least + 1));
const word = (random: Random): string => DICTIONARY[whole(random, 0, DICTIONARY.length - 1)]!;
const words = (random: Random, least: number, most: number): string =>
  Array.from({ length: whole(random, least, most) }, () => word(random)).join(' ');
const capital = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1);
const name = (random: Random): string => `${capital(word(random))} ${capital(word(random))}`;
const money = (random: Random): string => `${whole(random, 3, 4999)}.${String(whole(random, 0, 99)).padStart(2, '0')}`;
const date = (random: Random): string =>
  `${String(whole(random, 1, 28)).padStart(2, '0')}.${String(whole(random, 1, 12)).padStart(2, '0')}.20${whole(random, 10, 26)}`;
const digits = (random: Random, count: number): string =>
  Array.from({ length: count }, () => whole(random, 0, 9)).join('');
const rect = (x: number, y: number, width: number, height: number, fill: string, stroke = 'none'): string =>
  `<rect x="${x}" y="${y}" width="${width}" height="${height}" fill="${fill}" stroke="${stroke}" stroke-width="2"/>`;
const line = (x1: number, y1: number, x2: number, y2: number, stroke = '#333', width = 2): string =>
  `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="${stroke}" stroke-width="${width}"/>`;
const A4 = { width: 827, height: 1169, paper: '#fff' } as const;

const KINDS = {
  invoice: (random) => {
    const texts: Text[] = [
      { x: 60, y: 100, size: 34, text: 'Northwind Supplies', bold: true, fill: [20, 50, 120] },
      { x: 60, y: 132, size: 15, text: '12 Harbour Street, Port Ellen' },
      { x: 560, y: 100, size: 40, text: 'INVOICE', bold: true },
      { x: 560, y: 140, size: 16, text: `No. ${digits(random, 6)}` },
      { x: 560, y: 164, size: 16, text: `Date ${date(random)}` },
      { x: 60, y: 230, size: 15, text: 'Bill to', bold: true },
      { x: 60, y: 256, size: 17, text: name(random) },
      { x: 60, y: 280, size: 17, text: `${whole(random, 1, 300)} ${capital(word(random))} Road` },
      { x: 60, y: 304, size: 17, text: `${digits(random, 5)} ${capital(word(random))}` },
      ...['Item', 'Quantity', 'Price', 'Amount'].map((text, at) => ({
        x: [70, 420, 540, 670][at]!,
        y: 384,
        size: 16,
        text,
        bold: true,
      })),
    ];
    const shapes = [rect(60, 360, 707, 36, '#dde6f5'), line(60, 150, 767, 150)];
    const rows = whole(random, 5, 12);
    for (let row = 0; row < 12; row++) {
      const y = 424 + row * 40;
      shapes.push(line(60, y + 14, 767, y + 14, '#bbb', 1));
      if (row >= rows) continue;
      texts.push(
        { x: 70, y, size: 16, text: words(random, 2, 3) },
        { x: 430, y, size: 16, text: String(whole(random, 1, 40)) },
      );
      texts.push({ x: 540, y, size: 16, text: money(random) }, { x: 670, y, size: 16, text: money(random) });
    }
    texts.push(
      { x: 540, y: 960, size: 18, text: 'Total', bold: true },
      { x: 670, y: 960, size: 18, text: money(random), bold: true },
    );
    texts.push({
      x: 60,
      y: 1090,
      size: 13,
      text: 'Payable within 30 days to account 2291 8834 0071. Thank you for your business.',
    });
    return { ...A4, shapes, texts };
  },
  slide: (random) => {
    const texts: Text[] = [
      { x: 80, y: 110, size: 48, text: capital(words(random, 2, 4)), bold: true, fill: [255, 255, 255] },
    ];
    for (let row = 0; row < whole(random, 3, 6); row++)
      texts.push({ x: 120, y: 240 + row * 70, size: 30, text: capital(words(random, 3, 6)) });
    const bullets = texts.slice(1).map(({ y }) => `<circle cx="95" cy="${y - 10}" r="8" fill="#c33"/>`);
    texts.push({ x: 80, y: 700, size: 18, text: 'Quarterly review  Northwind Supplies', fill: [120, 120, 120] });
    texts.push({ x: 1190, y: 700, size: 18, text: String(whole(random, 2, 60)), fill: [120, 120, 120] });
    return {
      width: 1280,
      height: 720,
      paper: '#fff',
      shapes: [rect(0, 0, 1280, 150, '#1c3f77'), rect(0, 664, 1280, 4, '#c33'), ...bullets],
      texts,
    };
  },
  chess: (random) => {
    const pieces: (string | undefined)[] = [
      ...'RNBQKBNRPPPPPPPP',
      ...Array.from({ length: 32 }, () => undefined),
      ...'pppppppprnbqkbnr',
    ];
    for (let move = 0; move < whole(random, 10, 45); move++) {
      const from = whole(random, 0, 63);
      const to = whole(random, 0, 63);
      if (pieces[from] === undefined) continue;
      pieces[to] = pieces[from];
      pieces[from] = undefined;
    }
    const shapes: string[] = [];
    for (let at = 0; at < 64; at++) {
      const [x, y] = [(at % 8) * 90 + 40, Math.floor(at / 8) * 90 + 40];
      shapes.push(rect(x, y, 90, 90, (at + Math.floor(at / 8)) % 2 === 0 ? '#f0d9b5' : '#b58863'));
      const piece = pieces[at];
      if (piece !== undefined) shapes.push(chessPiece(piece, x + 45, y + 45));
    }
    return { width: 800, height: 800, paper: '#403020', shapes, texts: [] };
  },
  lines: (random) => {
    const texts: Text[] = [{ x: 60, y: 44, size: 24, text: capital(words(random, 2, 3)), bold: true }];
    const shapes: string[] = [line(80, 60, 80, 540), line(80, 540, 860, 540)];
    for (let row = 0; row < 8; row++) {
      shapes.push(line(80, 80 + row * 57, 860, 80 + row * 57, '#ddd', 1));
      texts.push({ x: 36, y: 546 - row * 57, size: 14, text: String(row * 20) });
    }
    for (let month = 0; month < 12; month++)
      texts.push({ x: 90 + month * 65, y: 564, size: 14, text: 'JFMAMJJASOND'[month]! });
    for (const colour of ['#d62728', '#1f77b4', '#2ca02c']) {
      let level = whole(random, 120, 480);
      const points = Array.from({ length: 40 }, (_, at) => {
        level = Math.min(530, Math.max(80, level + whole(random, -45, 45)));
        return `${80 + at * 20},${level}`;
      });
      shapes.push(`<polyline points="${points.join(' ')}" fill="none" stroke="${colour}" stroke-width="3"/>`);
    }
    return { width: 900, height: 600, paper: '#fff', shapes, texts };
  },
  chat: (random) => {
    const shapes = [
      rect(0, 0, 720, 110, '#075e54'),
      '<circle cx="70" cy="60" r="36" fill="#ccc"/>',
      rect(0, 1190, 720, 90, '#f0f0f0'),
    ];
    const texts: Text[] = [
      { x: 130, y: 72, size: 30, text: capital(word(random)), bold: true, fill: [255, 255, 255] },
      { x: 40, y: 1245, size: 24, text: 'Message', fill: [140, 140, 140] },
    ];
    for (let y = 140; y < 1060; ) {
      const rows = whole(random, 1, 4);
      const isMine = random() < 0.5;
      const width = whole(random, 300, 500);
      const left = isMine ? 720 - width - 24 : 24;
      shapes.push(
        `<rect x="${left}" y="${y}" width="${width}" height="${rows * 34 + 30}" rx="16" fill="${isMine ? '#dcf8c6' : '#fff'}"/>`,
      );
      for (let row = 0; row < rows; row++) {
        const most = Math.floor((width - 40) / 110);
        texts.push({ x: left + 20, y: y + 40 + row * 34, size: 24, text: words(random, 1, Math.max(1, most)) });
      }
      y += rows * 34 + 30 + whole(random, 14, 30);
    }
    return { width: 720, height: 1280, paper: '#ece5dd', shapes, texts };
  },
  page: (random) => {
    const texts: Text[] = [{ x: 330, y: 90, size: 22, text: `Chapter ${whole(random, 1, 30)}`, bold: true }];
    for (let row = 0; row < 40; row++) {
      const isEnd = random() < 0.15;
      texts.push({ x: 90, y: 150 + row * 23, size: 16, text: words(random, isEnd ? 2 : 9, isEnd ? 6 : 10) });
    }
    texts.push({ x: 400, y: 1120, size: 14, text: String(whole(random, 1, 400)) });
    return { ...A4, shapes: [], texts };
  },
  meme: (random, template) => captioned(random, { seed: 11, template }),
  form: (random) => {
    const labels = [
      'Surname',
      'First name',
      'Date of birth',
      'Street',
      'Postcode and town',
      'Telephone',
      'Occupation',
      'Employer',
    ];
    const texts: Text[] = [
      { x: 60, y: 90, size: 28, text: 'Application for membership', bold: true },
      { x: 60, y: 124, size: 14, text: 'Please fill in all fields in block letters and sign on the last page.' },
    ];
    const shapes: string[] = [];
    const answers = [
      word,
      word,
      date,
      name,
      (of: Random) => `${digits(of, 5)} ${word(of)}`,
      (of: Random) => digits(of, 10),
      word,
      name,
    ];
    for (const [row, label] of labels.entries()) {
      const y = 170 + row * 90;
      shapes.push(rect(60, y + 20, 700, 46, '#fafafa', '#666'));
      texts.push({ x: 60, y: y + 12, size: 15, text: label, bold: true });
      texts.push({ x: 76, y: y + 54, size: 24, text: answers[row]!(random), fill: [20, 30, 140] });
    }
    for (let box = 0; box < 6; box++) {
      shapes.push(rect(60, 920 + box * 34, 20, 20, '#fff', '#444'));
      texts.push({
        x: 100,
        y: 936 + box * 34,
        size: 15,
        text: `Option ${box + 1}: I agree to the terms of section ${box + 3}`,
      });
      if (random() < 0.5)
        shapes.push(line(62, 922 + box * 34, 78, 938 + box * 34), line(78, 922 + box * 34, 62, 938 + box * 34));
    }
    return { ...A4, shapes, texts };
  },
  sudoku: (random) => {
    const shapes = Array.from({ length: 10 }, (_, at) => at).flatMap((at) => [
      line(40 + at * 80, 40, 40 + at * 80, 760, '#111', at % 3 === 0 ? 5 : 2),
      line(40, 40 + at * 80, 760, 40 + at * 80, '#111', at % 3 === 0 ? 5 : 2),
    ]);
    const texts: Text[] = [];
    for (let cell = 0; cell < 81; cell++) {
      if (random() > 0.35) continue;
      texts.push({
        x: 62 + (cell % 9) * 80,
        y: 100 + Math.floor(cell / 9) * 80,
        size: 54,
        text: String(whole(random, 1, 9)),
      });
    }
    return { width: 800, height: 800, paper: '#fff', shapes, texts };
  },
  code: (random) => {
    const size = 29;
    const shapes: string[] = [];
    const isFinder = (x: number, y: number): boolean =>
      (x < 8 && y < 8) || (x >= size - 8 && y < 8) || (x < 8 && y >= size - 8);
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        const isDark = x === 6 || y === 6 ? (x + y) % 2 === 0 : random() < 0.5;
        if (isDark && !isFinder(x, y)) shapes.push(rect(64 + x * 16, 64 + y * 16, 16, 16, '#000'));
      }
    }
    for (const [x, y] of [
      [0, 0],
      [size - 7, 0],
      [0, size - 7],
    ] as const) {
      shapes.push(rect(64 + x * 16, 64 + y * 16, 112, 112, '#000'), rect(80 + x * 16, 80 + y * 16, 80, 80, '#fff'));
      shapes.push(rect(96 + x * 16, 96 + y * 16, 48, 48, '#000'));
    }
    return { width: 592, height: 592, paper: '#fff', shapes, texts: [] };
  },
  bars: (random) => {
    const texts: Text[] = [{ x: 60, y: 50, size: 26, text: 'Sales by region', bold: true }];
    const shapes = [line(80, 70, 80, 520), line(80, 520, 860, 520)];
    for (let row = 0; row < 6; row++) texts.push({ x: 36, y: 526 - row * 80, size: 14, text: String(row * 25) });
    for (let bar = 0; bar < 10; bar++) {
      const height = whole(random, 30, 430);
      shapes.push(rect(110 + bar * 75, 520 - height, 50, height, '#3b78c2'));
      texts.push({
        x: 112 + bar * 75,
        y: 544,
        size: 14,
        text: 'North South East West Mid Up Low Far Near Isle'.split(' ')[bar]!,
      });
      texts.push({ x: 116 + bar * 75, y: 512 - height, size: 14, text: String(Math.round(height / 3.2)) });
    }
    return { width: 900, height: 600, paper: '#fff', shapes, texts };
  },
  receipt: (random) => {
    const texts: Text[] = [
      { x: 110, y: 70, size: 28, text: 'CORNER SHOP', bold: true },
      { x: 100, y: 104, size: 15, text: 'Mill Lane 4, open 8 to 20' },
      { x: 40, y: 150, size: 15, text: `${date(random)}  Till ${whole(random, 1, 9)}` },
    ];
    const rows = whole(random, 8, 16);
    for (let row = 0; row < rows; row++) {
      texts.push(
        { x: 40, y: 200 + row * 32, size: 18, text: words(random, 1, 2) },
        { x: 310, y: 200 + row * 32, size: 18, text: money(random) },
      );
    }
    texts.push(
      { x: 40, y: 760, size: 26, text: 'TOTAL', bold: true },
      { x: 280, y: 760, size: 26, text: money(random), bold: true },
    );
    texts.push({ x: 80, y: 850, size: 16, text: 'Thank you and come again' });
    return {
      width: 420,
      height: 900,
      paper: '#fdfdf8',
      shapes: [line(40, 170, 380, 170), line(40, 725, 380, 725)],
      texts,
    };
  },
  table: (random) => {
    const texts: Text[] = [];
    const shapes = [rect(0, 0, 1200, 50, '#217346'), rect(0, 50, 1200, 36, '#e8e8e8')];
    texts.push({
      x: 20,
      y: 34,
      size: 20,
      text: 'Book1  File  Home  Insert  Formulas  Data  View',
      fill: [255, 255, 255],
    });
    for (let column = 0; column < 9; column++) {
      shapes.push(line(40 + column * 130, 50, 40 + column * 130, 800, '#ccc', 1));
      texts.push({ x: 95 + column * 130, y: 74, size: 15, text: 'ABCDEFGHI'[column]! });
    }
    const [columns, rows] = [whole(random, 4, 8), whole(random, 12, 26)];
    for (let row = 0; row < 27; row++) {
      shapes.push(line(0, 86 + row * 27, 1200, 86 + row * 27, '#ccc', 1));
      texts.push({ x: 8, y: 106 + row * 27, size: 14, text: String(row + 1) });
      for (let column = 0; column < columns && row < rows; column++) {
        const text = column === 0 ? word(random) : money(random);
        texts.push({ x: 46 + column * 130, y: 106 + row * 27, size: 15, text });
      }
    }
    return { width: 1200, height: 800, paper: '#fff', shapes, texts };
  },
  card: (random) => {
    const texts: Text[] = [
      { x: 60, y: 90, size: 34, text: name(random), bold: true, fill: [20, 60, 60] },
      { x: 60, y: 128, size: 20, text: capital(words(random, 2, 3)) },
      { x: 60, y: 330, size: 20, text: `Tel ${digits(random, 3)} ${digits(random, 7)}` },
      { x: 60, y: 362, size: 20, text: `${word(random)}@northwind.example` },
      { x: 60, y: 394, size: 20, text: `${capital(word(random))} Street ${whole(random, 1, 200)}` },
      { x: 540, y: 420, size: 22, text: 'NORTHWIND', bold: true },
    ];
    const logo =
      '<circle cx="640" cy="300" r="70" fill="#0a7a7a"/><path d="M600 300 L640 240 L680 300 L640 340 Z" fill="#fff"/>';
    return { width: 800, height: 460, paper: '#f6f4ee', shapes: [logo, rect(0, 0, 20, 460, '#0a7a7a')], texts };
  },
  poster: (random, template) => captioned(random, { seed: 23, template }),
} as const satisfies Readonly<
  Record<string, (random: Random, template: Uint8Array | undefined) => Drawing | Promise<Drawing>>
>;

/** Name of one layout. */
export type DocumentKind = keyof typeof KINDS;
/** Kinds on which thresholds were chosen, and kinds on which they were only measured. */
export const TUNED_KINDS: readonly DocumentKind[] = ['invoice', 'slide', 'chess', 'lines', 'chat', 'page', 'meme'];
export const HELD_OUT_KINDS: readonly DocumentKind[] = [
  'form',
  'sudoku',
  'code',
  'bars',
  'receipt',
  'table',
  'card',
  'poster',
];

/** One picture with another caption each time. */
async function captioned(
  random: Random,
  { seed, template }: { readonly seed: number; readonly template: Uint8Array | undefined },
): Promise<Drawing> {
  const [width, height] = [600, 600];
  const picture = template === undefined ? toSharp(syntheticPicture({ width, height, seed })) : sharp(template);
  const ground = await picture.resize(width, height, { fit: 'cover' }).png({ compressionLevel: 1 }).toBuffer();
  const texts: Text[] = [];
  for (const y of [80, 560]) {
    const text = words(random, 2, 3).toUpperCase();
    const size = Math.min(64, Math.floor(780 / text.length));
    const x = Math.max(8, (width - text.length * size * 0.66) / 2);
    for (const [dx, dy] of [
      [-3, 0],
      [3, 0],
      [0, -3],
      [0, 3],
    ] as const)
      texts.push({ x: x + dx, y: y + dy, size, text, fill: [0, 0, 0], bold: true });
    texts.push({ x, y, size, text, fill: [255, 255, 255], bold: true });
  }
  return { width, height, paper: '#fff', shapes: [], texts, ground };
}

/** A silhouette for each piece; small letters are white pieces. */
function chessPiece(piece: string, x: number, y: number): string {
  const fill = piece === piece.toLowerCase() ? '#fff' : '#222';
  const bodies: Readonly<Record<string, string>> = {
    p: 'M-10 28 L10 28 L6 2 A11 11 0 1 0 -6 2 Z',
    r: 'M-24 30 L24 30 L18 10 L18 -12 L24 -30 L12 -30 L12 -22 L6 -22 L6 -30 L-6 -30 L-6 -22 L-12 -22 L-12 -30 L-24 -30 L-18 -12 L-18 10 Z',
    n: 'M-20 30 L20 30 L16 -10 L2 -32 L-22 -8 L-14 2 L0 -6 Z',
    b: 'M-20 30 L20 30 L8 16 L14 -8 L0 -34 L-14 -8 L-8 16 Z',
    q: 'M-24 30 L24 30 L32 -20 L14 4 L0 -32 L-14 4 L-32 -20 Z',
    k: 'M-24 30 L24 30 L28 -6 L5 -12 L5 -20 L13 -20 L13 -27 L5 -27 L5 -36 L-5 -36 L-5 -27 L-13 -27 L-13 -20 L-5 -20 L-5 -12 L-28 -6 Z',
  };
  return `<path transform="translate(${x} ${y})" d="${bodies[piece.toLowerCase()]!}" fill="${fill}" stroke="#000" stroke-width="3"/>`;
}
