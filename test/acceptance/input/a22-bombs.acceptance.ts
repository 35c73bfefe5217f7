/** Bombs (A22): small files that are huge pictures, twenty at once, beside honest clients. */
import { test } from 'node:test';
import sharp from 'sharp';
import { SETTINGS } from '../../../src/settings.js';
import { demoPictures, searches, withFilledService } from '../filled-service.js';
import { closedLoop, type Hit, openLoop, quantile, summarise } from '../load.js';
import { watchPeak } from '../process-memory.js';
import { atMost, below, figure, record, seedOf } from '../record.js';

const AT_ONCE = 20;
const HONEST = 4;
const SECONDS = 10;
const BUDGET_MIB = SETTINGS.decodeMemoryBytes.default / 2 ** 20;

type Bomb = { readonly name: string; readonly body: Buffer };

/** One colour all over: whatever the format, next to nothing as a file. */
const flat = (width: number, height: number) =>
  sharp({ create: { width, height, channels: 3, background: '#456' }, limitInputPixels: false });

async function bombs(): Promise<readonly Bomb[]> {
  return [
    { name: 'AVIF of 49 MP', body: await flat(7000, 7000).avif({ effort: 0 }).toBuffer() },
    { name: 'AVIF of 16 MP, just allowed', body: await flat(4000, 4000).avif({ effort: 0 }).toBuffer() },
    { name: 'PNG of 225 MP', body: await flat(15_000, 15_000).png({ palette: true, colours: 2 }).toBuffer() },
    {
      name: 'WebP of 49 MP, just allowed',
      body: await flat(7000, 7000).webp({ lossless: true, effort: 0 }).toBuffer(),
    },
    { name: 'GIF of 49 MP', body: await flat(7000, 7000).gif({ effort: 1 }).toBuffer() },
    {
      name: 'progressive JPEG of 49 MP, just allowed',
      body: await flat(7000, 7000).jpeg({ progressive: true }).toBuffer(),
    },
    {
      name: 'interlaced PNG of 49 MP, just allowed',
      body: await flat(7000, 7000).png({ progressive: true }).toBuffer(),
    },
  ];
}

test(`${AT_ONCE} bombs at once beside ${HONEST} honest clients`, async () => {
  const seed = seedOf(122);
  const made = await bombs();
  for (const { name, body } of made) console.log(`${name}: ${body.length} bytes`);
  const flags = ['--api-keys', 'read:honest-key-0123456789,read:hostile-key-0123456789'];
  await withFilledService({ images: 1000, seed, flags }, async ({ url, process: service }) => {
    const shot = searches(demoPictures(), { 'x-api-key': 'honest-key-0123456789' });
    const honest = async () => summarise(await closedLoop({ url, clients: HONEST, seconds: SECONDS, shot }), SECONDS);
    await honest(); // warm
    const alone = await honest();
    const peak = watchPeak(service.pid!);
    const base = peak.stop();
    const hostile = (body: Buffer) =>
      openLoop({
        url,
        perSecond: 1e6,
        seconds: AT_ONCE / 1e6,
        random: () => 1 - Math.exp(-1),
        shot: () => ({
          method: 'POST',
          path: '/search',
          headers: { 'x-api-key': 'hostile-key-0123456789', 'content-type': 'application/octet-stream' },
          body,
        }),
      });

    // The bomb of the specification over and over, twenty at once, for as long as the honest clients are watched.
    const avif = made[0]!;
    const volleys: Hit[][] = [];
    let isOver = false;
    const watched = watchPeak(service.pid!);
    const bombing = (async () => {
      while (!isOver) volleys.push([...(await hostile(avif.body))]);
    })();
    const together = await honest();
    isOver = true;
    await bombing;
    const avifHits = volleys.flat();
    const statuses: string[] = [];
    let faults = 0;
    for (const { name, body } of made) {
      const hits = await hostile(body);
      faults +=
        hits.filter(({ status }) => status >= 500 && status !== 503).length +
        hits.filter(({ status }) => status === 0).length;
      statuses.push(`${name}: ${[...new Set(hits.map(({ status }) => status))].join(', ')}`);
    }
    const grownMiB = (watched.stop() - base) / 2 ** 20;
    console.log(statuses.join('\n'));
    const refusals = avifHits.filter(({ status }) => status === 413).map(({ sinceSentMs }) => sinceSentMs);
    record({
      criterion: 'A22',
      given: `an AVIF of 49 MP in ${avif.body.length} bytes, ${AT_ONCE} at once, again and again under one key (${avifHits.length} in all) while ${HONEST} honest clients search under another; then ${made.length} kinds of bomb, ${AT_ONCE} of each at once (${statuses.join('; ')})`,
      seed,
      measures: [
        below('honest p99 / without the bombs', together.p99 / alone.p99, 2),
        figure('honest p99 without the bombs', alone.p99, 'ms'),
        atMost('honest refused or failed', together.sent - together.accepted, 0),
        atMost(
          'AVIF bombs answered otherwise than 413 or 503',
          avifHits.filter(({ status }) => status !== 413 && status !== 503).length,
          0,
        ),
        below('median time to their 413', quantile(refusals, 0.5), 500, 'ms'),
        atMost('growth of service and decoders at the peak', grownMiB, BUDGET_MIB, 'MiB'),
        atMost('answers 5xx but 503, or failed connections, to any bomb', faults, 0),
        atMost('deaths of the service', Number(service.exitCode !== null), 0),
      ],
    });
  });
});
