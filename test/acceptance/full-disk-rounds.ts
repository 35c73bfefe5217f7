/**
 * Run in a mount namespace of its own by full-disk.acceptance.ts: fills the small disk that its folder lies on, through
 * a real service, again and again.
 */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { seededRandom } from '../../src/seeded-random.js';
import { runCli, type ServiceProcess, startService } from '../service-process.js';
import { inLanes } from './lanes.js';

const SIDE = 160;
const LANES = 4;

/** Coloured blocks, so that pictures differ in large, under noise, so that their files are some 70 kB. */
async function picture(number: number): Promise<Buffer> {
  const random = seededRandom(number + 1);
  const blocks = Array.from({ length: 8 * 8 * 3 }, () => random() * 200);
  const rgb = Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, at) => {
    const [x, y, channel] = [Math.floor(at / 3) % SIDE, Math.floor(at / 3 / SIDE), at % 3];
    return blocks[(Math.floor((y * 8) / SIDE) * 8 + Math.floor((x * 8) / SIDE)) * 3 + channel]! + random() * 50;
  });
  return sharp(rgb, { raw: { width: SIDE, height: SIDE, channels: 3 } })
    .png()
    .toBuffer();
}

class Rounds {
  readonly #service: ServiceProcess;
  readonly #stored = new Set<number>();
  #made = 0;

  constructor(service: ServiceProcess) {
    this.#service = service;
  }

  get stored(): number {
    return this.#stored.size;
  }

  /** Adds until the disk is full; every answer is 201 or 507. Returns how many were added. */
  async fill(): Promise<number> {
    let isFull = false;
    let added = 0;
    await inLanes(Array.from({ length: LANES }), LANES, async () => {
      while (!isFull) {
        const number = this.#made++;
        const response = await this.#send(`/index?id=${number}`, await picture(number));
        const answer = await response.text();
        if (response.status === 507) isFull = true;
        else {
          assert.equal(response.status, 201, answer);
          this.#stored.add(number);
          added++;
        }
      }
    });
    return added;
  }

  async remove(count: number): Promise<void> {
    for (const number of [...this.#stored].slice(0, count)) {
      const response = await fetch(`${this.#service.url}/images/${number}`, { method: 'DELETE' });
      assert.equal(response.status, 204, await response.text());
      this.#stored.delete(number);
    }
  }

  /** Alive, all there, and some of them found as the nearest to themselves. */
  async verify(): Promise<void> {
    const { url } = this.#service;
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
    const { collections } = (await (await fetch(`${url}/collections`)).json()) as { collections: { images: number }[] };
    assert.equal(collections[0]?.images, this.#stored.size);
    for (const number of [...this.#stored].filter((_, place) => place % 17 === 0)) {
      const { results } = (await (await this.#send('/search?k=1', await picture(number))).json()) as {
        results: { id: string }[];
      };
      assert.equal(results[0]?.id, String(number));
    }
  }

  #send(path: string, body: Buffer): Promise<Response> {
    return fetch(`${this.#service.url}${path}`, { method: 'POST', body, headers: { 'content-type': 'image/png' } });
  }
}

async function main(folder: string, count: number): Promise<void> {
  const data = join(folder, 'data');
  const ballast = join(folder, 'ballast');
  const service = await startService({ data, flags: ['--keep-originals'] });
  try {
    const rounds = new Rounds(service);
    for (let round = 0; round < count; round++) {
      writeFileSync(ballast, Buffer.alloc(4 * 1024 * 1024, 1));
      await rounds.fill();
      await rounds.verify();
      await rounds.remove(3);
      await rounds.verify();
      rmSync(ballast);
      const healed = await rounds.fill();
      assert.ok(healed > 5, `round ${round}: after space was freed only ${healed} were added`);
      await rounds.remove(Math.ceil(rounds.stored * 0.6));
      console.log(`round ${round}: ${healed} added when space was freed, ${rounds.stored} left`);
    }
    assert.equal(await service.stop(), 0);
  } finally {
    service.process.kill('SIGKILL');
  }
  const { exitCode, output } = await runCli('check', '--deep', '--data', data);
  assert.equal(exitCode, 0, output);
}

const [, , folder, count] = process.argv;
if (folder !== undefined && count !== undefined) await main(folder, Number(count));
