/**
 * Names and metadata as a weapon (A26): each naughty string as file name, id, metadata, filter, collection and path.
 * Data or a refusal, and nothing written elsewhere.
 */
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { picture } from '../../server/application.js';
import { sharedData, startService } from '../../service-process.js';
import { inLanes } from '../lanes.js';
import { atLeast, atMost, record } from '../record.js';

/** Beside the big list of naughty strings, where that is at hand. */
const OWN: readonly string[] = [
  '../../../etc/passwd',
  '..\\..\\boot.ini',
  '/etc/passwd',
  '%2e%2e%2fetc%2fpasswd',
  '....//....//x',
  'a\u0000b',
  'a\r\nset-cookie: x=1',
  '\u001b[31mred',
  '\u202egpj.exe',
  '\ufeff',
  '\ud800',
  'CON',
  '.',
  '..',
  '-rf',
  '$(reboot)',
  '`id`',
  "'; DROP TABLE images; --",
  '" OR ""="',
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert(1)>',
  '{{7*7}}',
  ['$', '{jndi:ldap://127.0.0.1/a}'].join(''),
  '__proto__',
  'constructor',
  '%s%n%x',
  'é'.normalize('NFD'),
  '💩'.repeat(60),
  'x'.repeat(255),
  'x'.repeat(256),
  ' ',
  '\t',
  '{"$gt": ""}',
  '=cmd|calc',
];

test('naughty strings everywhere a string may stand', async () => {
  const list = sharedData('bad-images', 'big-list-of-naughty-strings', 'blns.json');
  const strings = [
    ...OWN,
    ...(list !== undefined && existsSync(list) ? (JSON.parse(readFileSync(list, 'utf8')) as string[]) : []),
  ];
  const folder = await mkdtemp(join(tmpdir(), 'likeness-names-'));
  await mkdir(join(folder, 'beside'));
  const data = join(folder, 'data');
  const service = await startService({ data, flags: ['--log-level', 'info'] });
  try {
    const { url } = service;
    const bytes = new Uint8Array(await picture(1));
    const faults: string[] = [];
    const notJson: string[] = [];
    const note = async (what: string, text: string, response: Response): Promise<void> => {
      const body = await response.text();
      if (response.status >= 500) faults.push(`${what} ${JSON.stringify(text).slice(0, 60)}: ${response.status}`);
      if (!/json/.test(response.headers.get('content-type') ?? '')) return;
      try {
        JSON.parse(body);
      } catch {
        notJson.push(`${what} ${JSON.stringify(text).slice(0, 60)}`);
      }
    };
    const attack = async (text: string): Promise<void> => {
      const query = encodeURIComponent(Buffer.from(text).toString());
      const form = (fields: Readonly<Record<string, string>>, name: string): FormData => {
        const made = new FormData();
        for (const [field, value] of Object.entries(fields)) made.set(field, value);
        made.set('image', new Blob([bytes]), name);
        return made;
      };
      const post = (path: string, body: FormData) => fetch(`${url}${path}`, { method: 'POST', body });
      await note('file name', text, await post('/search', form({}, text)));
      await note(
        'id',
        text,
        await post('/index', form({ id: text, metadata: JSON.stringify({ text, [text]: text }) }, text)),
      );
      await note('filter', text, await post('/search', form({ filter: JSON.stringify({ text }) }, 'x')));
      await note('raw filter', text, await fetch(`${url}/images?filter=${query}`));
      await note('collection', text, await fetch(`${url}/images?collection=${query}`));
      await note('id in a path', text, await fetch(`${url}/images/${query}`));
      await note('thumbnail in a path', text, await fetch(`${url}/images/${query}/thumbnail`));
      await note('path', text, await fetch(`${url}/${query}`));
      await note('deleted id', text, await fetch(`${url}/images/${query}`, { method: 'DELETE' }));
    };
    // The first ones meet every route and most codes; what comes after them must leave no series of its own.
    await inLanes(OWN, 4, attack);
    const seriesBefore = await series(url);
    await inLanes(strings, 4, attack);
    const seriesGrown = (await series(url)) - seriesBefore;
    // Standard output and standard error of the service: JSON, one line an event.
    const brokenLines = service
      .log()
      .split('\n')
      .filter((line) => line !== '' && !isJson(line));
    const beside = (await readdir(folder)).filter((name) => name !== 'data' && name !== 'beside');
    const inside = (await readdir(join(folder, 'beside'))).length;
    for (const line of [...faults, ...notJson, ...brokenLines.slice(0, 3)]) console.log(line);
    record({
      criterion: 'A26',
      given: `${strings.length} strings, each as file name, id, metadata, two filters, collection and four paths`,
      measures: [
        atLeast('strings', strings.length, OWN.length),
        atMost('answers 5xx', faults.length, 0),
        atMost('answers of broken JSON', notJson.length, 0),
        atMost('files beside the data folder', beside.length + inside, 0),
        atMost('log lines that are not one JSON object', brokenLines.length, 0),
        // A code or a status may be met for the first time; a string is never a label.
        atMost('metric series that came with the last 500 strings', seriesGrown, 10),
      ],
    });
  } finally {
    await service.stop();
    await rm(folder, { recursive: true, force: true });
  }
});

async function series(url: string): Promise<number> {
  return (await (await fetch(`${url}/metrics`)).text())
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#')).length;
}

function isJson(line: string): boolean {
  try {
    return typeof JSON.parse(line) === 'object';
  } catch {
    return false;
  }
}
