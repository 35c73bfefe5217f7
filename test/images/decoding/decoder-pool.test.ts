import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { hasCorpus, sweepCorpus } from '../../../bench/corpus-sweep.js';
import { SearchError } from '../../../src/errors.js';
import { decodeImage, restrictSharp } from '../../../src/images/decoding/decode-image.js';
import {
  createDecoderPool,
  type DecoderPool,
  type DecoderPoolOptions,
} from '../../../src/images/decoding/decoder-pool.js';
import { DEFAULT_IMAGE_LIMITS } from '../../../src/images/decoding/image-limits.js';
import { PREPROCESSING, syntheticPicture, toSharp } from '../pictures.js';

const jpeg = await toSharp(syntheticPicture({ width: 200, height: 150 }))
  .jpeg()
  .toBuffer();
/** Costs 8 million pixels of AVIF: about 150 MB by estimate, and a few hundred milliseconds. */
const slowAvif = await sharp({ create: { width: 2800, height: 2800, channels: 3, background: '#334455' } })
  .avif({ effort: 0 })
  .toBuffer();

/** Runs `use` with a pool that is ready, and closes it whatever happens. */
async function withPool(
  options: Partial<DecoderPoolOptions>,
  use: (pool: DecoderPool) => Promise<void>,
): Promise<void> {
  const pool = createDecoderPool({ preprocessing: PREPROCESSING, processes: 1, ...options });
  try {
    await pool.ready();
    await use(pool);
  } finally {
    await pool.close();
  }
}

/** The code that a decode fails with, or `decoded`. */
async function outcome(decode: Promise<unknown>): Promise<string> {
  return decode.then(
    () => 'decoded',
    (error: unknown) => {
      assert.ok(error instanceof SearchError, String(error));
      return error.code;
    },
  );
}

const skipWithoutProc = existsSync('/proc/self/statm') ? false : 'needs /proc';
const bare = { thumbnail: false };
const signal = (pid: number | undefined, name: NodeJS.Signals) => process.kill(pid ?? assert.fail('no decoder'), name);

describe('a decoder pool', () => {
  test('gives what decodeImage gives, across the process boundary', async () => {
    restrictSharp();
    await withPool({ thumbnailSize: 100 }, async (pool) => {
      for (const thumbnail of [true, false]) {
        const settings = { preprocessing: PREPROCESSING, limits: DEFAULT_IMAGE_LIMITS, thumbnailSize: 100, thumbnail };
        const expected = await decodeImage(jpeg, settings);
        const { image, times } = await pool.decode(jpeg, { thumbnail });
        const plain = (bytes: Uint8Array | undefined) => bytes && [...bytes];
        assert.deepEqual(plain(image.pixels.rgb), plain(expected.pixels.rgb));
        assert.deepEqual(plain(image.thumbnail), plain(expected.thumbnail));
        assert.deepEqual(
          [plain(image.sha256), plain(image.perceptualHash)],
          [plain(expected.sha256), plain(expected.perceptualHash)],
        );
        assert.deepEqual([image.width, image.height, image.format], [200, 150, 'jpeg']);
        assert.equal(image.perceptualHashQuality, expected.perceptualHashQuality);
        assert.ok(times.queueMs >= 0 && times.decodeMs > 0);
      }
    });
  });

  test('answers many at once, each with its own picture', async () => {
    const sizes = Array.from({ length: 40 }, (_, i) => ({ width: 20 + i, height: 70 - i }));
    const files = await Promise.all(sizes.map((size) => toSharp(syntheticPicture(size)).png().toBuffer()));
    await withPool({ processes: 2 }, async (pool) => {
      const decoded = await Promise.all(files.map((file) => pool.decode(file, bare)));
      assert.deepEqual(
        decoded.map(({ image }) => ({ width: image.width, height: image.height })),
        sizes,
      );
      assert.deepEqual(pool.statistics, { queued: 0, active: 0, restarts: 0 });
    });
  });

  test('passes on the error of an image, and the decoder lives', async () => {
    await withPool({}, async (pool) => {
      const [pid] = pool.processIds;
      assert.equal(await outcome(pool.decode(jpeg.subarray(0, 900), bare)), 'UNREADABLE_IMAGE');
      assert.equal(await outcome(pool.decode(Buffer.from('<svg/>'), bare)), 'UNSUPPORTED_FORMAT');
      assert.equal(await outcome(pool.decode(jpeg, bare)), 'decoded');
      assert.deepEqual(pool.processIds, [pid]);
    });
  });
});

describe('a decoder that dies', () => {
  test('fails its own image only and is replaced, six times over', async () => {
    await withPool({}, async (pool) => {
      for (let round = 1; round <= 6; round++) {
        const [pid] = pool.processIds;
        const held = outcome(pool.decode(slowAvif, bare));
        const queued = [pool.decode(jpeg, bare), pool.decode(jpeg, bare)];
        signal(pid, 'SIGKILL');
        assert.equal(await held, 'DECODER_FAILED');
        await Promise.all(queued);
        assert.equal(pool.statistics.restarts, round);
      }
    });
  });

  test('while it has nothing to do is replaced without anybody noticing', async () => {
    await withPool({ processes: 2 }, async (pool) => {
      const [pid] = pool.processIds;
      signal(pid, 'SIGKILL');
      const outcomes = await Promise.all(Array.from({ length: 10 }, () => outcome(pool.decode(jpeg, bare))));
      const failed = outcomes.filter((code) => code !== 'decoded');
      // at most the one it was just given
      assert.ok(failed.length <= 1 && failed.every((code) => code === 'DECODER_FAILED'), String(outcomes));
    });
  });

  test('is ended where it gets no processor time, which is not the fault of its image, and the next one is decoded', async () => {
    await withPool({ decodeTimeoutMs: 1000 }, async (pool) => {
      signal(pool.processIds[0], 'SIGSTOP');
      const [hung, next] = await Promise.all([outcome(pool.decode(jpeg, bare)), outcome(pool.decode(jpeg, bare))]);
      assert.deepEqual([hung, next], ['DECODER_FAILED', 'decoded']);
      assert.equal(pool.statistics.restarts, 1);
    });
  });

  test('is ended where its image takes all its processor time, which is the fault of the image', {
    skip: skipWithoutProc,
  }, async () => {
    await withPool({ decodeTimeoutMs: 100 }, async (pool) => {
      assert.equal(await outcome(pool.decode(slowAvif, bare)), 'DECODE_TIMEOUT');
      assert.equal(await outcome(pool.decode(jpeg, bare)), 'decoded');
    });
  });

  test('at its start tells the end of its stderr, and the remedy for a limit of processes', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'likeness-decoder-'));
    for (const [text, remedy] of [
      ['node: pthread_create: Resource temporarily unavailable', /lower --decoders/],
      ['Error: libvips-cpp.so: cannot open shared object file', /npm rebuild sharp/],
    ] as const) {
      const script = join(folder, 'fail.cjs');
      await writeFile(script, `process.stderr.write(${JSON.stringify(text)}); process.exit(1);`);
      const environment = { NODE_OPTIONS: `--require ${script}` };
      const pool = createDecoderPool({ preprocessing: PREPROCESSING, processes: 1, environment });
      await assert.rejects(pool.ready(), (error) => {
        assert.ok(error instanceof SearchError && error.code === 'DECODER_FAILED');
        assert.ok(error.message.includes(text), error.message);
        assert.match(error.message, remedy);
        return true;
      });
      await pool.close();
    }
    await rm(folder, { recursive: true });
  });

  test('that does not start in time is told apart from a broken installation', async () => {
    const pool = createDecoderPool({ preprocessing: PREPROCESSING, processes: 1, startTimeoutMs: 1 });
    await assert.rejects(pool.ready(), ({ message }: Error) =>
      /overloaded: start again when it is less busy.* within 0\.001 s/.test(message),
    );
    await pool.close();
  });

  test('ignores the signals of a terminal, so that a drain can finish', async () => {
    await withPool({}, async (pool) => {
      for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) signal(pool.processIds[0], name);
      assert.equal(await outcome(pool.decode(jpeg, bare)), 'decoded');
      assert.equal(pool.statistics.restarts, 0);
    });
  });

  test('does so when the service dies, even by SIGKILL', async () => {
    const script = `
      const { createDecoderPool } = await import(${JSON.stringify(new URL('../../../src/images/decoding/decoder-pool.js', import.meta.url).href)});
      const pool = createDecoderPool({ preprocessing: ${JSON.stringify(PREPROCESSING)}, processes: 2 });
      await pool.ready();
      console.log(JSON.stringify(pool.processIds));`;
    const service = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const pids: number[] = await new Promise((resolve) =>
      service.stdout.once('data', (data) => resolve(JSON.parse(String(data)))),
    );
    assert.equal(pids.length, 2);
    service.kill('SIGKILL');
    // the runner's timeout bounds it
    while (pids.some(isRunning)) await new Promise((resolve) => setImmediate(resolve));
  });
});

describe('waiting', () => {
  test('an image beyond the queue limit is a bug of the admission before it, and nothing is lost', async () => {
    await withPool({ queueLimit: 2 }, async (pool) => {
      const accepted = [pool.decode(jpeg, bare), pool.decode(jpeg, bare), pool.decode(jpeg, bare)];
      await assert.rejects(pool.decode(jpeg, bare), /This is a bug/);
      assert.deepEqual(pool.statistics, { queued: 2, active: 1, restarts: 0 });
      await Promise.all(accepted);
      await pool.decode(jpeg, bare);
    });
  });

  test('an image past its deadline is DEADLINE_EXCEEDED and leaves the queue, or never enters it', async () => {
    await withPool({}, async (pool) => {
      signal(pool.processIds[0], 'SIGSTOP');
      const held = pool.decode(jpeg, bare);
      const queued = outcome(pool.decode(jpeg, { ...bare, deadline: performance.now() + 20 }));
      assert.equal(pool.statistics.queued, 1);
      assert.equal(await queued, 'DEADLINE_EXCEEDED');
      assert.equal(pool.statistics.queued, 0);
      assert.equal(await outcome(pool.decode(jpeg, { ...bare, deadline: performance.now() - 1 })), 'DEADLINE_EXCEEDED');
      signal(pool.processIds[0], 'SIGCONT');
      await held;
    });
  });

  test('an aborted caller is answered at once with its reason, queued or under way, and nobody else suffers', async () => {
    await withPool({}, async (pool) => {
      signal(pool.processIds[0], 'SIGSTOP');
      const [underWay, queued] = [new AbortController(), new AbortController()];
      const results = [
        pool.decode(jpeg, { ...bare, signal: underWay.signal }),
        pool.decode(jpeg, { ...bare, signal: queued.signal }),
      ];
      const other = pool.decode(jpeg, bare);
      assert.equal(pool.statistics.queued, 2);
      queued.abort(new Error('gone'));
      underWay.abort(new Error('gone'));
      for (const result of results) await assert.rejects(result, { message: 'gone' });
      assert.equal(pool.statistics.queued, 1);
      signal(pool.processIds[0], 'SIGCONT');
      await other;
      await assert.rejects(pool.decode(jpeg, { ...bare, signal: queued.signal }), { message: 'gone' });
    });
  });

  test('close() fails what is queued, lets what is under way finish and ends the decoders', async () => {
    const pool = createDecoderPool({ preprocessing: PREPROCESSING, processes: 1 });
    await pool.ready();
    const pids = pool.processIds;
    const [underWay, queued] = [outcome(pool.decode(jpeg, bare)), outcome(pool.decode(jpeg, bare))];
    await pool.close();
    assert.deepEqual([await underWay, await queued], ['decoded', 'SHUTTING_DOWN']);
    assert.equal(await outcome(pool.decode(jpeg, bare)), 'SHUTTING_DOWN');
    assert.ok(!pids.some(isRunning));
  });
});

describe('limits', () => {
  const MIB = 1024 * 1024;

  test('an image that finds the memory taken waits until it is given back, here by a decoder that hangs', {
    skip: skipWithoutProc,
  }, async () => {
    await withPool({ processes: 2, memoryBudgetBytes: 250 * MIB, decodeTimeoutMs: 4000 }, async (pool) => {
      const order: string[] = [];
      const first = outcome(pool.decode(slowAvif, bare)).then((code) => order.push(`first ${code}`));
      let holder: number | undefined;
      while (holder === undefined) {
        holder = pool.processIds.find((pid) => residentBytes(pid) > 110 * MIB); // it decodes, so it was admitted
        await new Promise((resolve) => setImmediate(resolve));
      }
      signal(holder, 'SIGSTOP');
      const second = outcome(pool.decode(slowAvif, bare)).then((code) => order.push(`second ${code}`));
      await Promise.all([first, second]);
      assert.match(order[0] ?? '', /^first DECODE/);
      assert.equal(order[1], 'second decoded');
    });
  });

  test('small images pass while a large one waits for memory', async () => {
    await withPool({ processes: 3, memoryBudgetBytes: 250 * MIB }, async (pool) => {
      const large = [pool.decode(slowAvif, bare), pool.decode(slowAvif, bare)];
      const small = pool.decode(jpeg, bare);
      const first = await Promise.race([
        small.then(() => 'small'),
        ...large.map((result) => result.then(() => 'large')),
      ]);
      assert.equal(first, 'small');
      await Promise.all(large);
    });
  });

  test('an image beyond the whole budget is IMAGE_TOO_LARGE, and the decoder goes on', async () => {
    await withPool({ memoryBudgetBytes: 64 * MIB }, async (pool) => {
      const [refused, next] = [pool.decode(slowAvif, bare), pool.decode(jpeg, bare)];
      await assert.rejects(refused, { code: 'IMAGE_TOO_LARGE', message: /MiB.*--decode-memory-bytes/ });
      await next;
      assert.equal(pool.statistics.restarts, 0);
    });
  });

  test('a caller that leaves while its image waits for memory frees the decoder', async () => {
    await withPool({ processes: 3, memoryBudgetBytes: 250 * MIB }, async (pool) => {
      const holder = pool.decode(slowAvif, bare);
      const caller = new AbortController();
      const waiting = pool.decode(slowAvif, { ...bare, signal: caller.signal });
      await pool.decode(jpeg, bare);
      caller.abort(new Error('gone'));
      await assert.rejects(waiting, { message: 'gone' });
      await holder;
      const again = await Promise.all([
        pool.decode(slowAvif, bare),
        pool.decode(slowAvif, bare),
        pool.decode(jpeg, bare),
      ]);
      assert.equal(again.length, 3); // no decoder and nothing of the budget was lost
    });
  });

  test('a decoder is recycled when it holds too much memory', async () => {
    await withPool({ recycleAboveBytes: 1 }, async (pool) => {
      const [pid] = pool.processIds;
      for (let i = 0; i < 2; i++) await pool.decode(jpeg, bare);
      assert.notDeepEqual(pool.processIds, [pid]);
      assert.equal(pool.statistics.restarts, 0);
    });
  });

  test('an old decoder is recycled once nobody has asked for an image for a while', async () => {
    await withPool({ recycleAfterImages: 3, recycleWhenQuietMs: 200 }, async (pool) => {
      const [pid] = pool.processIds;
      for (let i = 0; i < 4; i++) {
        await pool.decode(jpeg, bare);
        assert.deepEqual(pool.processIds, [pid], 'while images come');
      }
      for (let i = 0; i < 100 && pool.processIds.includes(pid!); i++) await sleep(50);
      assert.ok(!pool.processIds.includes(pid!), 'when none has come for a while');
      await pool.decode(jpeg, bare);
      assert.equal(pool.statistics.restarts, 0);
    });
  });

  test('a decoder that is never left alone is recycled at ten times its age', async () => {
    await withPool({ recycleAfterImages: 3, recycleWhenQuietMs: 600_000 }, async (pool) => {
      const [pid] = pool.processIds;
      for (let i = 0; i < 29; i++) await pool.decode(jpeg, bare);
      assert.deepEqual(pool.processIds, [pid]);
      for (let i = 0; i < 2; i++) await pool.decode(jpeg, bare);
      assert.ok(!pool.processIds.includes(pid!));
      assert.equal(pool.statistics.restarts, 0);
    });
  });

  test('decoders run nicer, and know nothing of our environment', { skip: skipWithoutProc }, async () => {
    await withPool({ niceness: 5, environment: { GIVEN: 'yes' } }, async (pool) => {
      const [pid] = pool.processIds;
      assert.equal(getPriority(pid), Math.min(19, getPriority() + 5), 'added to our own');
      const names = readFileSync(`/proc/${pid}/environ`, 'utf8')
        .split('\0')
        .filter(Boolean)
        .map((pair) => pair.split('=')[0]);
      assert.deepEqual(names.sort(), [
        'GIVEN',
        'MALLOC_ARENA_MAX',
        'MALLOC_MMAP_THRESHOLD_',
        'MALLOC_TRIM_THRESHOLD_',
        'UV_THREADPOOL_SIZE',
      ]);
    });
  });
});

describe('the corpus of bad images', { skip: hasCorpus() ? false : 'needs ../shared/data/bad-images' }, () => {
  test('every fourth file ends as its manifest expects, the same each time, and no decoder dies', async () => {
    const outcomes = await sweepCorpus({ everyNth: 4, rounds: 2 });
    assert.ok(outcomes.length > 250);
    const disagreeing = outcomes.filter(({ agrees }) => !agrees);
    const report = disagreeing
      .map(({ file, expected, outcome }) => `${file}: ${outcome}, expected ${expected}`)
      .join('\n');
    assert.ok(disagreeing.length <= outcomes.length / 100, report);
    assert.ok(!outcomes.some(({ outcome }) => /DECODER_FAILED|DECODE_TIMEOUT/.test(outcome)), report);
  });
});

function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
