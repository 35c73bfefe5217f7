import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClient, type LikenessError } from '../../src/client/client.js';
import { type PickedFile, type UploadCounts, type UploadRun, uploadFiles } from '../../src/page/state/upload-run.js';
import { API_KEYS, KEYS, picture, startApplication } from '../server/application.js';

async function picked(path: string, seed: number): Promise<PickedFile> {
  return { path, file: new File([new Uint8Array(await picture(seed))], path.split('/').at(-1)!) };
}

function assertBalanced({ found, added, existing, waiting, failed }: UploadCounts): void {
  assert.equal(added + existing + waiting + failed, found);
}

async function upload(
  options: Pick<Parameters<typeof uploadFiles>[0], 'client' | 'files'> & { signal?: AbortSignal },
): Promise<UploadRun> {
  const seen: UploadRun[] = [];
  const last = await uploadFiles({
    collection: 'default',
    replace: false,
    signal: new AbortController().signal,
    ...options,
    onChange: (run) => seen.push(run),
  });
  for (const { counts } of seen) assertBalanced(counts);
  assert.deepEqual(seen.at(-1), last);
  return last;
}

test('every file is counted once: added, already stored or failed with its reason; one bad file stops nothing', async (context) => {
  const { listen } = await startApplication(context);
  const { url } = await listen();
  const client = createClient({ url });
  const bad = { path: 'cats/broken.jpg', file: new File(['not a picture'], 'broken.jpg') };
  const files = [await picked('cats/one.png', 1), bad, await picked('cats/two.png', 2), await picked('three.png', 3)];
  const first = await upload({ client, files });
  assert.deepEqual(first.counts, { found: 4, added: 3, existing: 0, waiting: 0, failed: 1 });
  assert.equal(first.failures[0]!.picked.path, 'cats/broken.jpg');
  assert.equal((first.failures[0]!.error as LikenessError).code, 'UNSUPPORTED_FORMAT');
  assert.deepEqual((await client.image('cats/one.png')).metadata, { name: 'one.png', folder: 'cats' });
  assert.deepEqual((await client.image('three.png')).metadata, { name: 'three.png' });

  const second = await upload({ client, files: [...files, { ...(await picked('cats/one.png', 9)) }] });
  assert.deepEqual(second.counts, { found: 5, added: 0, existing: 3, waiting: 0, failed: 2 });
  assert.ok(
    second.failures.some(({ error }) => (error as LikenessError).code === 'ID_EXISTS'),
    'another picture of the same name',
  );
});

test('an error that the next file would meet stops the run, and the rest waits', async (context) => {
  const { listen } = await startApplication(context, { apiKeys: API_KEYS });
  const { url } = await listen();
  const files = await Promise.all(Array.from({ length: 20 }, (_, index) => picked(`${index}.png`, index)));
  const run = await upload({ client: createClient({ url, apiKey: KEYS.read }), files });
  assert.equal((run.stoppedBy as LikenessError).code, 'FORBIDDEN');
  assert.deepEqual(run.counts, { found: 20, added: 0, existing: 0, waiting: 20, failed: 0 });
});

test('an aborted run ends, and files not sent stay waiting', async (context) => {
  const { listen } = await startApplication(context);
  const { url } = await listen();
  const client = createClient({ url });
  const giveUp = new AbortController();
  const files = await Promise.all(Array.from({ length: 12 }, (_, index) => picked(`${index}.png`, index)));
  let sent = 0;
  const counting = {
    index: (...call: Parameters<typeof client.index>) => {
      if (++sent === 6) giveUp.abort();
      return client.index(...call);
    },
  };
  const run = await upload({ client: counting, files, signal: giveUp.signal });
  assert.ok(run.isDone && run.counts.waiting > 0 && run.counts.failed === 0, JSON.stringify(run.counts));
});
