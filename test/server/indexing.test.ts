import assert from 'node:assert/strict';
import { test } from 'node:test';
import sharp from 'sharp';
import { SearchError } from '../../src/errors.js';
import { betrayals, withSecrets } from '../images/metadata/secret-pictures.js';
import { assertError, type FormPart, form, picture, raw, startApplication } from './application.js';

type Entry = {
  readonly id?: string;
  readonly status?: string;
  readonly name: string | null;
  readonly error?: { code: string; message: string };
};
type Answer = {
  readonly images: readonly Entry[];
  readonly added: number;
  readonly existing: number;
  readonly failed: number;
};

const file = (fileName: string, content: Buffer | string, name = 'file'): FormPart => ({ name, fileName, content });

test('several files are stored in one request, each with its outcome, in the order sent', async (context) => {
  const server = await startApplication(context);
  const [first, second] = [await picture(1), await picture(2)];
  const body = form(
    file('a.png', first, 'x'),
    file('broken.jpg', 'no picture at all'),
    file('b.png', second, 'y'),
    file('a again.png', first),
  );
  const response = await server.ask({ method: 'POST', url: '/index', ...body });
  assert.equal(response.statusCode, 201, response.body);
  const answer = response.json() as Answer;
  assert.deepEqual(
    answer.images.map(({ name, status, error }) => [name, status ?? error?.code]),
    [
      ['a.png', answer.images[0]?.status],
      ['broken.jpg', 'UNSUPPORTED_FORMAT'],
      ['b.png', 'added'],
      ['a again.png', answer.images[3]?.status],
    ],
  );
  assert.deepEqual([answer.images[0]?.status, answer.images[3]?.status].sort(), ['added', 'exists']);
  assert.equal(answer.images[0]?.id, answer.images[3]?.id);
  assert.deepEqual([answer.added, answer.existing, answer.failed], [2, 1, 1]);
});

test('the same bytes are not decoded twice; an explicit id is a record of its own', async (context) => {
  const server = await startApplication(context);
  const bytes = await picture(1);
  const first = await server.ask({ method: 'POST', url: '/index?id=mine', ...raw(bytes) });
  assert.equal(first.statusCode, 201);
  const calls = server.encoder.calls;
  for (const [url, expected] of [
    ['/index', ['mine', 'exists', 0, 1]],
    ['/index?id=other', ['other', 'added', 1, 0]],
  ] as const) {
    const again = await server.ask({ method: 'POST', url, ...raw(bytes) });
    assert.equal(again.statusCode, 201);
    const { images, added, existing } = again.json() as Answer;
    assert.deepEqual([images[0]?.id, images[0]?.status, added, existing], expected);
  }
  assert.equal(server.encoder.calls, calls);
  const elsewhere = await server.ask({ method: 'POST', url: '/index?collection=other', ...raw(bytes) });
  assert.equal((elsewhere.json() as Answer).images[0]?.status, 'added', 'each collection stands for itself');
});

test('an id with other bytes is replaced only where the request says so', async (context) => {
  const server = await startApplication(context);
  await server.ask({ method: 'POST', url: '/index?id=one', ...raw(await picture(1)) });
  const refused = await server.ask({ method: 'POST', url: '/index?id=one', ...raw(await picture(2)) });
  assertError(refused, { status: 409, code: 'ID_EXISTS' });
  const replaced = await server.ask({ method: 'POST', url: '/index?id=one&replace=true', ...raw(await picture(2)) });
  assert.equal((replaced.json() as Answer).images[0]?.status, 'replaced');
  assert.equal((replaced.json() as Answer).added, 1);
  const search = await server.ask({ method: 'POST', url: '/search', ...raw(await picture(2)) });
  const { results } = search.json() as { results: { id: string; score: number }[] };
  assert.equal(results.length, 1);
  assert.ok(results[0]!.score > 0.999);
});

test('a single file that fails answers with its own refusal', async (context) => {
  const server = await startApplication(context, { maxPixels: 2303 });
  const refusals: readonly (readonly [Buffer | string, number, string])[] = [
    ['plain text', 415, 'UNSUPPORTED_FORMAT'],
    [await picture(1), 413, 'IMAGE_TOO_LARGE'],
    [
      Buffer.concat([Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'latin1'), Buffer.alloc(64)]),
      415,
      'HEIC_NOT_SUPPORTED',
    ],
  ];
  for (const [content, status, code] of refusals) {
    const response = await server.ask({ method: 'POST', url: '/index', ...form(file('x.jpg', content)) });
    assertError(response, { status, code });
  }
  const roomy = await startApplication(context);
  const whole = await picture(3);
  const damaged = await roomy.ask({ method: 'POST', url: '/index', ...raw(whole.subarray(0, whole.length / 2)) });
  assertError(damaged, { status: 422, code: 'UNREADABLE_IMAGE' });
});

test('where every file of several failed the gravest error answers and each is listed', async (context) => {
  const server = await startApplication(context);
  const response = await server.ask({
    method: 'POST',
    url: '/index',
    ...form(file('a.txt', 'text'), file('b.txt', 'more text')),
  });
  assertError(response, { status: 415, code: 'UNSUPPORTED_FORMAT' });
  const { images } = response.json() as Answer;
  assert.deepEqual(
    images.map(({ name, error }) => [name, error?.code]),
    [
      ['a.txt', 'UNSUPPORTED_FORMAT'],
      ['b.txt', 'UNSUPPORTED_FORMAT'],
    ],
  );
});

test('our own faults inside a list show no message', async (context) => {
  const server = await startApplication(context);
  server.encoder.fail = new SearchError('ENCODER_FAILED', 'secret: /opt/models/x.onnx at node 7');
  const response = await server.ask({
    method: 'POST',
    url: '/index',
    ...form(file('a.png', await picture(1)), file('b.png', await picture(2))),
  });
  assertError(response, { status: 503, code: 'ENCODER_FAILED' });
  assert.doesNotMatch(response.body, /secret|onnx/);
  assert.ok(
    server.log.some((line) => line.includes('secret: /opt/models')),
    'the log holds the cause',
  );
});

test('id and metadata come in the form, before or after the file', async (context) => {
  const server = await startApplication(context);
  const fields = [
    { name: 'id', content: 'shop/42 é' },
    { name: 'metadata', content: '{"brand":"x","deep":{"a":[1,2]}}' },
  ];
  for (const [seed, parts] of [
    [1, (image: FormPart) => [...fields, image]],
    [2, (image: FormPart) => [image, ...fields]],
  ] as const) {
    const image = file('p.png', await picture(seed));
    const response = await server.ask({ method: 'POST', url: '/index?replace=true', ...form(...parts(image)) });
    assert.equal(response.statusCode, 201, response.body);
    const record = await server.ask({ url: `/images/${encodeURIComponent('shop/42 é')}` });
    assert.deepEqual((record.json() as { metadata: object }).metadata, { brand: 'x', deep: { a: [1, 2] } });
  }
});

test('ids and metadata that cannot be are refused, and nothing is stored', async (context) => {
  const server = await startApplication(context, { maxMetadataBytes: 200 });
  const image = file('p.png', await picture(1));
  const deep = `${'{"a":'.repeat(40)}1${'}'.repeat(40)}`;
  const metadata = [
    '{',
    '[]',
    '"x"',
    'null',
    '{"__proto__":{"admin":true}}',
    '{"a":{"__proto__":1}}',
    deep,
    `{"a":"${'x'.repeat(200)}"}`,
  ];
  for (const content of metadata) {
    const response = await server.ask({ method: 'POST', url: '/index', ...form({ name: 'metadata', content }, image) });
    assertError(response, { status: 400, code: 'INVALID_REQUEST' });
  }
  for (const content of ['', '..', '.', 'a\u0000b', 'a\u202eb', 'x'.repeat(256), 'é'.repeat(128), 'line\nline']) {
    const response = await server.ask({ method: 'POST', url: '/index', ...form({ name: 'id', content }, image) });
    assertError(response, { status: 400, code: 'INVALID_REQUEST' });
  }
  const second = file('q.png', await picture(2));
  const oneId = await server.ask({ method: 'POST', url: '/index?id=x', ...form(image, second) });
  assertError(oneId, { status: 400, code: 'INVALID_REQUEST' });
  const twice = await server.ask({ method: 'POST', url: '/index?id=x', ...form({ name: 'id', content: 'y' }, image) });
  assertError(twice, { status: 400, code: 'INVALID_REQUEST' });
  assert.deepEqual((await server.ask({ url: '/collections' })).json(), { collections: [] });
});

test('an id is replaced by the bytes of another image, and by new metadata of its own', async (context) => {
  const server = await startApplication(context);
  const [hat, shoe] = [await picture(1), await picture(2)];
  const put = async (query: string, content: Buffer, metadata?: string): Promise<Entry | undefined> => {
    const parts = [
      file('p.png', content),
      ...(metadata === undefined ? [] : [{ name: 'metadata', content: metadata }]),
    ];
    const response = await server.ask({ method: 'POST', url: `/index?${query}`, ...form(...parts) });
    assert.equal(response.statusCode, 201, response.body);
    return (response.json() as Answer).images[0];
  };
  await put('id=hat-1', hat);
  await put('id=shoe-1', shoe);
  const replaced = await put('id=hat-1&replace=true', shoe);
  assert.deepEqual([replaced?.id, replaced?.status], ['hat-1', 'replaced']);
  const found = await server.ask({ method: 'POST', url: '/search?k=5', ...raw(shoe) });
  const { results } = found.json() as { results: readonly { readonly id: string; readonly copy: string }[] };
  assert.deepEqual(results.map(({ id, copy }) => `${id} ${copy}`).sort(), ['hat-1 exact', 'shoe-1 exact']);
  const updated = await put('id=shoe-1&replace=true', shoe, '{"colour":"red"}');
  assert.deepEqual([updated?.id, updated?.status], ['shoe-1', 'updated']);
  const record = await server.ask({ url: '/images/shoe-1' });
  assert.deepEqual((record.json() as { metadata: object }).metadata, { colour: 'red' });
  assert.equal((await put('id=shoe-1&replace=true', shoe, '{"colour":"red"}'))?.status, 'exists');
});

test('numbers that would change are refused in metadata, in a patch and in a filter', async (context) => {
  const server = await startApplication(context);
  const image = file('p.png', await picture(1));
  assert.equal((await server.ask({ method: 'POST', url: '/index?id=a', ...form(image) })).statusCode, 201);
  for (const number of ['9007199254740993', '1e999', '12345678901234567890']) {
    const content = `{"order":${number}}`;
    const added = await server.ask({ method: 'POST', url: '/index', ...form({ name: 'metadata', content }, image) });
    assertError(added, { status: 400, code: 'INVALID_REQUEST' });
    const headers = { 'content-type': 'application/merge-patch+json' };
    const patched = await server.ask({ method: 'PATCH', url: '/images/a', payload: content, headers });
    assertError(patched, { status: 400, code: 'INVALID_REQUEST' });
    const filter = encodeURIComponent(`{"field":"order","equals":${number}}`);
    assertError(await server.ask({ url: `/images?filter=${filter}` }), { status: 400, code: 'INVALID_FILTER' });
  }
  const record = await server.ask({ url: '/images/a' });
  assert.deepEqual((record.json() as { metadata: object }).metadata, {});
});

test('more files than allowed are refused and none is stored', async (context) => {
  const server = await startApplication(context, { maxFilesPerRequest: 2 });
  const files = await Promise.all([1, 2, 3].map(async (seed) => file(`${seed}.png`, await picture(seed))));
  const response = await server.ask({ method: 'POST', url: '/index', ...form(...files) });
  assertError(response, { status: 413, code: 'TOO_MANY_FILES' });
  assert.deepEqual((await server.ask({ url: '/images' })).json(), { images: [] });
});

test('a file over the limit fails alone among others', async (context) => {
  const server = await startApplication(context, { maxUploadBytes: 4096 });
  const large = file('large.png', Buffer.alloc(4097));
  const response = await server.ask({
    method: 'POST',
    url: '/index',
    ...form(large, file('small.png', await picture(1))),
  });
  assert.equal(response.statusCode, 201, response.body);
  const { images } = response.json() as Answer;
  assert.deepEqual(
    images.map(({ status, error }) => status ?? error?.code),
    ['UPLOAD_TOO_LARGE', 'added'],
  );
  const exact = await server.ask({ method: 'POST', url: '/index', ...form(file('exact', Buffer.alloc(4096))) });
  assertError(exact, { status: 415, code: 'UNSUPPORTED_FORMAT' });
  const alone = await server.ask({ method: 'POST', url: '/index', ...form(large) });
  assertError(alone, { status: 413, code: 'UPLOAD_TOO_LARGE' });
  for (const [size, expected] of [
    [4096, 415],
    [4097, 413],
  ] as const) {
    assert.equal(
      (await server.ask({ method: 'POST', url: '/index', ...raw(Buffer.alloc(size)) })).statusCode,
      expected,
    );
  }
});

test('images are counted against the quota of their sender, not requests', async (context) => {
  const server = await startApplication(context, { rateLimit: 3 });
  const files = await Promise.all([1, 2, 3, 4].map(async (seed) => file(`${seed}.png`, await picture(seed))));
  const response = await server.ask({ method: 'POST', url: '/index', ...form(...files) });
  assert.equal(response.statusCode, 201, response.body);
  const { images } = response.json() as Answer;
  assert.deepEqual(
    images.map(({ status, error }) => status ?? error?.code),
    ['added', 'added', 'added', 'RATE_LIMITED'],
  );
  const refused = await server.ask({ method: 'POST', url: '/search', ...raw(await picture(1)) });
  assertError(refused, { status: 429, code: 'RATE_LIMITED' });
  assert.ok(Number(refused.headers['retry-after']) >= 1 && Number(refused.headers['retry-after']) <= 20);
});

test('originals are kept and served only where the operator asked for it', async (context) => {
  const bytes = await picture(1);
  for (const keepOriginals of [false, true]) {
    const server = await startApplication(context, { keepOriginals });
    await server.ask({ method: 'POST', url: '/index?id=one', ...raw(bytes) });
    const response = await server.ask({ url: '/images/one/original' });
    if (keepOriginals) {
      assert.deepEqual(response.rawPayload, bytes);
      assert.equal(response.headers['content-type'], 'image/png');
      assert.match(String(response.headers['content-disposition']), /^attachment/);
      assert.equal(response.headers['content-security-policy'], "default-src 'none'; sandbox");
      assert.equal(response.headers['x-content-type-options'], 'nosniff');
      const photograph = await withSecrets(await sharp(bytes).jpeg().toBuffer(), {
        format: 'jpeg',
        encode: (made) => made.jpeg(),
        orientation: 6,
      });
      const { images } = (
        await server.ask({ method: 'POST', url: '/index?id=two', ...raw(photograph) })
      ).json() as Answer;
      const kept = (await server.ask({ url: '/images/two/original' })).rawPayload;
      assert.deepEqual(betrayals(kept, 6), []);
      assert.equal((await sharp(kept).metadata()).orientation, 6);
      const upright = (file: Uint8Array) => sharp(file).autoOrient().raw().toBuffer();
      assert.deepEqual(await upright(kept), await upright(photograph));
      assert.equal(images[0]?.status, 'added');
      const again = (await server.ask({ method: 'POST', url: '/index?id=two', ...raw(photograph) })).json() as Answer;
      assert.equal(again.images[0]?.status, 'exists', 'what was sent is known again by its own bytes');
      await server.ask({ method: 'POST', url: '/index?id=three', ...raw(await sharp(bytes).tiff().toBuffer()) });
      assertError(await server.ask({ url: '/images/three/original' }), { status: 404, code: 'NOT_FOUND' });
    } else assertError(response, { status: 404, code: 'NOT_FOUND' });
  }
});
