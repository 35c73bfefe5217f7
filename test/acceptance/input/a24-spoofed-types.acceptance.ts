/**
 * Disguises (A24): what is no picture under the name and type of one, with addresses of a canary and of files inside.
 * Refused by content; nothing is fetched or read.
 */
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import sharp from 'sharp';
import { startService } from '../../service-process.js';
import { atMost, record } from '../record.js';

const SECRET = 'the-content-of-a-file-beside';

/** Each would call the canary or read the file where a parser for it were reached. */
function disguises(canary: string, file: string): Readonly<Record<string, string | Buffer>> {
  const svg = (inner: string, head = ''): string =>
    `<?xml version="1.0"?>${head}<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="9" height="9">${inner}</svg>`;
  return {
    SVG: svg(`<image xlink:href="${canary}/svg" width="9" height="9"/>`),
    'SVG of a file': svg(`<image xlink:href="file://${file}" width="9" height="9"/>`),
    'SVG with an external entity': svg('<text>&x;</text>', `<!DOCTYPE svg [<!ENTITY x SYSTEM "file://${file}">]>`),
    'SVG with a remote DTD': svg('<text>x</text>', `<!DOCTYPE svg SYSTEM "${canary}/dtd">`),
    'SVG behind spaces and a mark': Buffer.concat([
      Buffer.from('efbbbf', 'hex'),
      Buffer.from(`\n\n   ${svg(`<use href="${canary}/use#a"/>`)}`),
    ]),
    HTML: `<!doctype html><img src="${canary}/html"><script src="${canary}/js"></script>`,
    'XML with entities in entities': `<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><l>&b;</l>`,
    PDF: `%PDF-1.4\n1 0 obj<</Type/Catalog/OpenAction<</S/URI/URI(${canary}/pdf)>>>>endobj\n%%EOF`,
    PostScript: `%!PS\n(${file}) (r) file 100 string readstring pop print showpage`,
    ZIP: Buffer.concat([Buffer.from('504b0304', 'hex'), Buffer.alloc(200)]),
    MVG: `push graphic-context\nimage over 0,0 0,0 'url(${canary}/mvg)'\npop graphic-context`,
    'a list of libvips': `vips ${file}`,
    'an ELF program': Buffer.concat([Buffer.from('7f454c46', 'hex'), Buffer.alloc(200)]),
    'a path': file,
    'an address': `${canary}/text`,
  };
}

test('what is no picture is refused whatever it is called, and reaches nothing', async () => {
  let hits = 0;
  const canaryServer = createServer((_request, response) => {
    hits += 1;
    response.end();
  }).listen(0, '127.0.0.1');
  await once(canaryServer, 'listening');
  // A TCP server's address is an object.
  const canary = `http://127.0.0.1:${(canaryServer.address() as AddressInfo).port}`;
  const folder = await mkdtemp(join(tmpdir(), 'likeness-disguise-'));
  const file = join(folder, 'beside.png');
  await writeFile(file, SECRET);
  const service = await startService({ data: join(folder, 'data') });
  try {
    const statuses: string[] = [];
    let told = 0;
    const send = async (path: string, body: string | Buffer, name: string, type: string): Promise<number> => {
      const form = new FormData();
      form.set('image', new Blob([typeof body === 'string' ? body : new Uint8Array(body)], { type }), name);
      const response = await fetch(`${service.url}${path}`, { method: 'POST', body: form });
      if ((await response.text()).includes(SECRET)) told += 1;
      return response.status;
    };
    for (const [kind, body] of Object.entries(disguises(canary, file))) {
      for (const path of ['/search', '/index']) {
        for (const [name, type] of [
          ['photo.jpg', 'image/jpeg'],
          ['photo.svg', 'image/svg+xml'],
        ] as const) {
          const status = await send(path, body, name, type);
          if (status !== 415 && status !== 422) statuses.push(`${kind} as ${name} to ${path}: ${status}`);
        }
      }
    }
    const png = await sharp({ create: { width: 40, height: 40, channels: 3, background: '#7a3' } })
      .png()
      .toBuffer();
    const honest = [
      await send('/search', png, 'photo.jpg', 'image/jpeg'),
      await send('/index', png, 'photo.gif', 'text/html'),
    ];
    for (const line of statuses) console.log(line);
    record({
      criterion: 'A24',
      given: `${Object.keys(disguises(canary, file)).length} kinds of file that are no picture, as .jpg and .svg, to POST /search and POST /index; a PNG called .jpg and .gif`,
      measures: [
        atMost('disguises not refused with 415 or 422', statuses.length, 0),
        atMost('pictures of another name refused', honest.filter((status) => status >= 300).length, 0),
        atMost('calls to the canary', hits, 0),
        atMost('answers that hold the content of a file', told, 0),
      ],
    });
  } finally {
    await service.stop();
    canaryServer.close();
    await rm(folder, { recursive: true, force: true });
  }
});
