/**
 * Fetching by URL against real servers; the canary stands for whatever lives inside the network and must never hear
 * of us.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import {
  createUrlFetcher,
  type Resolve,
  type UrlFetcher,
  type UrlFetcherOptions,
} from '../../src/fetching/url-fetcher.js';

/** The public web of these tests: allowed, while the canary's 127.0.0.1 and ::1 are not. */
const OUTSIDE = '127.0.0.2';
const BODY = Buffer.from('the bytes of a picture');

test('no way of writing a special address reaches the canary', async (context) => {
  const { canary, fetcher } = await start(context, () => {});
  const hosts = [
    ...[
      '127.0.0.1',
      '127.1',
      '127.0.1',
      '2130706433',
      '017700000001',
      '0177.0.0.1',
      '0x7f.0.0.1',
      '0x7f000001',
      '127.0.0.1.',
      '127.000.000.001',
    ],
    ...[
      '①②⑦.⓪.⓪.①',
      '127。0。0。1',
      '%31%32%37.0.0.1',
      '0.0.0.0',
      '0',
      '0x0',
      'localhost',
      'LOCALHOST',
      'localhost.',
      'a.localhost',
    ],
    ...[
      '[::1]',
      '[0:0:0:0:0:0:0:1]',
      '[::]',
      '[::ffff:127.0.0.1]',
      '[::ffff:7f00:1]',
      '[::ffff:0:127.0.0.1]',
      '[::127.0.0.1]',
      '[64:ff9b::127.0.0.1]',
    ],
    ...[
      '[64:ff9b:1::127.0.0.1]',
      '[2002:7f00:1::]',
      '[fe80::1]',
      '[fd00::1]',
      '169.254.169.254',
      '10.0.0.1',
      '192.168.0.1',
      '100.64.0.1',
      '[ff02::1]',
    ],
    ...['rebound.example', 'mixed.example', 'mapped.example', 'nowhere.example'],
  ];
  for (const host of hosts) {
    await assert.rejects(get(fetcher, `http://${host}:${canary.port}/`), { code: 'URL_REFUSED' }, host);
    await assert.rejects(get(fetcher, `https://${host}:${canary.port}/`), { code: 'URL_REFUSED' }, host);
  }
  assert.equal(canary.connections(), 0);
  const open = createUrlFetcher({ ...OPTIONS, ports: [canary.port], networks: ['127.0.0.0/8'] });
  await get(open, `http://127.0.0.1:${canary.port}/`).catch(() => {});
  assert.equal(canary.connections(), 1, 'the canary lives: it is heard where the rules allow it');
});

test('a name is resolved once, and the address that was checked is the one connected to', async (context) => {
  let asked = 0;
  // First a server that may be fetched from, then the canary: what a rebinding name server answers.
  const resolve: Resolve = async () => [{ address: asked++ === 0 ? OUTSIDE : '127.0.0.1', family: 4 }];
  const { canary, outside, fetcher } = await start(context, answerPicture, { resolve });
  assert.equal(canary.port, outside.port, 'both listen on one port, so that only the address tells them apart');
  const { bytes } = await get(fetcher, `http://rebinding.example:${outside.port}/cat.jpg`);
  assert.deepEqual(bytes, BODY);
  assert.equal(asked, 1);
  await assert.rejects(get(fetcher, `http://rebinding.example:${outside.port}/cat.jpg`), { code: 'URL_REFUSED' });
  assert.equal(canary.connections(), 0);
});

test('every redirect is looked at like the first URL, and there is an end to them', async (context) => {
  let asked = 0;
  const { canary, outside, fetcher } = await start(context, (request, response) => {
    asked += 1;
    const to = new URL(request.url!, 'http://any').searchParams.get('to');
    const left = Number(new URL(request.url!, 'http://any').searchParams.get('left') ?? 0);
    if (to !== null) response.writeHead(302, { location: to }).end('a body that nobody reads'.repeat(1000));
    else if (left > 0) response.writeHead(307, { location: `/?left=${left - 1}` }).end();
    else answerPicture(request, response);
  });
  const via = (location: string): Promise<unknown> =>
    get(fetcher, `http://outside.example:${outside.port}/?to=${encodeURIComponent(location)}`);
  for (const location of [
    ...[
      `http://127.0.0.1:${canary.port}/`,
      `//127.0.0.1:${canary.port}/`,
      `http://localhost:${canary.port}/`,
      `http://[::ffff:127.0.0.1]:${canary.port}/`,
    ],
    ...[
      `http://rebound.example:${canary.port}/`,
      'file:///etc/passwd',
      'gopher://127.0.0.1/',
      'data:image/png;base64,AAAA',
      'javascript:1',
      'ftp://outside.example/',
    ],
    ...[
      `http://user:secret@outside.example:${outside.port}/`,
      'http://outside.example:22/',
      'http://',
      'http://[/',
      `https://127.0.0.1:${canary.port}/`,
    ],
  ]) {
    await assert.rejects(via(location), { code: 'URL_REFUSED' }, location);
  }
  assert.equal(canary.connections(), 0);
  asked = 0;
  assert.deepEqual((await get(fetcher, `http://outside.example:${outside.port}/?left=5`)).bytes, BODY);
  assert.equal(asked, 6);
  await assert.rejects(get(fetcher, `http://outside.example:${outside.port}/?left=6`), {
    code: 'URL_FETCH_FAILED',
    message: /more than 5 times/,
  });
});

test('only http and https, on allowed ports, without credentials', async (context) => {
  const { outside, canary, fetcher } = await start(context, answerPicture);
  const refused = [
    'file:///etc/passwd',
    'ftp://outside.example/',
    'data:image/png;base64,AA==',
    'blob:x',
    'unix:/run/x.sock',
    'gopher://outside.example',
  ];
  for (const url of [
    ...refused,
    `http://a:b@outside.example:${outside.port}/`,
    `http://a@outside.example:${outside.port}/`,
    'http://outside.example/',
    'https://outside.example:6379/',
  ]) {
    await assert.rejects(get(fetcher, url), { code: 'URL_REFUSED' }, url);
  }
  for (const url of [
    '',
    'cat.jpg',
    '//outside.example/cat.jpg',
    'http://',
    'http://[::1',
    `http://outside.example/${'x'.repeat(3000)}`,
  ]) {
    await assert.rejects(get(fetcher, url), { code: 'INVALID_REQUEST' }, url);
  }
  assert.equal(outside.connections() + canary.connections(), 0);
});

test('the request says little: no cookie, no referrer, no compression, no proxy, a connection of its own', async (context) => {
  const heads: { readonly [name: string]: unknown }[] = [];
  const { outside, fetcher } = await start(context, (request, response) => {
    heads.push(request.headers);
    answerPicture(request, response);
  });
  const proxies = ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'NODE_USE_ENV_PROXY'];
  const former = proxies.map((name) => [name, process.env[name]] as const);
  for (const name of proxies) process.env[name] = 'http://127.0.0.1:9';
  try {
    for (let turn = 0; turn < 2; turn++)
      await get(fetcher, `http://outside.example:${outside.port}/a%20cat.jpg?size=l#part`);
  } finally {
    for (const [name, value] of former) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
  assert.equal(outside.connections(), 2, 'nothing is kept alive');
  assert.deepEqual(Object.keys(heads[0]!).sort(), ['accept', 'accept-encoding', 'connection', 'host', 'user-agent']);
  assert.equal(heads[0]!['accept-encoding'], 'identity');
  assert.equal(heads[0]!.connection, 'close');
  assert.equal(heads[0]!.host, `outside.example:${outside.port}`);
});

test('the file name is what the URL ends in', async (context) => {
  const { outside, fetcher } = await start(context, answerPicture);
  const nameOf = async (path: string): Promise<string | undefined> =>
    (await get(fetcher, `http://outside.example:${outside.port}${path}`)).name;
  assert.equal(await nameOf('/a/b%20c.jpg?x=1'), 'b c.jpg');
  assert.equal(await nameOf('/'), undefined);
  assert.equal(await nameOf('/50%'), '50%');
});

test('a body over the limit is cut off, declared or not, and what is not 200 or is compressed is no picture', async (context) => {
  let written = 0;
  const { outside, fetcher } = await start(context, (request, response) => {
    const path = request.url!;
    if (path === '/declared') response.writeHead(200, { 'content-length': 1e9 }).write('x');
    else if (path === '/endless') {
      const more = (): void => {
        for (let room = true; room && !response.destroyed; written += 65_536)
          room = response.write(Buffer.alloc(65_536));
      };
      response.on('drain', more);
      more();
    } else if (path === '/zipped')
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(1e6)));
    else if (path === '/head') response.writeHead(200, { 'x-long': 'x'.repeat(20_000) }).end();
    else if (path === '/short') {
      response.writeHead(200, { 'content-length': 100 }).write('x', () => response.destroy());
    } else response.writeHead(Number(path.slice(1))).end(BODY);
  });
  const at = (path: string): Promise<unknown> => get(fetcher, `http://outside.example:${outside.port}${path}`);
  await assert.rejects(at('/declared'), { code: 'UPLOAD_TOO_LARGE' });
  await assert.rejects(at('/endless'), { code: 'UPLOAD_TOO_LARGE' });
  assert.ok(written < 50e6, `${written} bytes were taken`);
  for (const path of ['/zipped', '/head', '/short', '/204', '/206', '/301', '/404', '/500'])
    await assert.rejects(at(path), { code: 'URL_FETCH_FAILED' }, path);
});

test('a server that is slow, silent or no web server ends the fetch in time, and its place is given back', async (context) => {
  const silent = await listenTcp(context, () => {});
  const drip = await listenTcp(context, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n');
    const timer = setInterval(() => socket.write('x'), 20);
    socket.on('close', () => clearInterval(timer));
  });
  const rude = await listenTcp(context, (socket) => void socket.end('SSH-2.0-OpenSSH\r\n'));
  const resolve: Resolve = async (host) =>
    host === 'hanging.example' ? new Promise(() => {}) : [{ address: OUTSIDE, family: 4 }];
  const ports = [silent, drip, rude, 80];
  const fetcher = createUrlFetcher({ ...OPTIONS, ports, resolve, timeoutMs: 300 });
  for (const port of [silent, drip, rude])
    await assert.rejects(get(fetcher, `http://outside.example:${port}/`), { code: 'URL_FETCH_FAILED' });
  assert.equal(fetcher.active, 0);
  await assert.rejects(get(fetcher, 'http://hanging.example/'), {
    code: 'URL_FETCH_FAILED',
    message: /longer than 300 ms/,
  });
  assert.equal(fetcher.active, 1, 'a look-up that hangs keeps its place');
});

test('the caller can leave, and no more are fetched at once than are allowed', async (context) => {
  const silent = await listenTcp(context, () => {});
  const fetcher = createUrlFetcher({
    ...OPTIONS,
    ports: [silent],
    resolve: async () => [{ address: OUTSIDE, family: 4 }],
    concurrency: 2,
  });
  const leave = new AbortController();
  const options = { maxBytes: 1000, signal: leave.signal };
  const waiting = [1, 2].map(() => fetcher.fetch(`http://outside.example:${silent}/`, options));
  await assert.rejects(fetcher.fetch(`http://outside.example:${silent}/`, options), {
    code: 'OVERLOADED',
    retryAfterSeconds: 1,
  });
  const reason = new Error('gone');
  leave.abort(reason);
  for (const each of waiting) await assert.rejects(each, reason);
  await assert.rejects(fetcher.fetch(`http://outside.example:${silent}/`, options), reason);
});

test('a caller that fetches many slow URLs leaves a permit to another', async (context) => {
  const silent = await listenTcp(context, () => {});
  const resolve: Resolve = async () => [{ address: OUTSIDE, family: 4 }];
  const fetcher = createUrlFetcher({ ...OPTIONS, ports: [silent], resolve, concurrency: 8 });
  const leave = new AbortController();
  const fetchFor = (caller: string) =>
    fetcher
      .fetch(`http://outside.example:${silent}/`, { maxBytes: 1000, signal: leave.signal, caller })
      .catch((error: unknown) => error);
  const greedy = Array.from({ length: 12 }, () => fetchFor('greedy'));
  assert.equal(fetcher.active, 7);
  const other = fetchFor('other');
  assert.equal(fetcher.active, 8);
  leave.abort(new Error('gone'));
  const codes = (await Promise.all(greedy)).map((error) => (error as { code?: string }).code);
  assert.equal(codes.filter((code) => code === 'OVERLOADED').length, 5);
  assert.equal(String(await other), 'Error: gone');
});

test('what an answer says of a refused host is the same whether its name exists inside or not at all', async (context) => {
  const { canary, fetcher } = await start(context, answerPicture);
  const messages = await Promise.all(
    ['rebound.example', 'mixed.example', 'nowhere.example', '10.0.0.1'].map((host) =>
      get(fetcher, `http://${host}:${canary.port}/`).then(
        () => 'fetched',
        (error: Error) => error.message,
      ),
    ),
  );
  assert.equal(new Set(messages).size, 1, messages.join('\n'));
});

const OPTIONS: UrlFetcherOptions = {
  ports: [80],
  networks: [`${OUTSIDE}/32`],
  timeoutMs: 5000,
  concurrency: 8,
  userAgent: 'likeness/test',
};

const NAMES: { readonly [host: string]: Awaited<ReturnType<Resolve>> } = {
  'outside.example': [{ address: OUTSIDE, family: 4 }],
  'rebound.example': [{ address: '127.0.0.1', family: 4 }],
  'mapped.example': [{ address: '::ffff:127.0.0.1', family: 6 }],
  'mixed.example': [
    { address: OUTSIDE, family: 4 },
    { address: '::1', family: 6 },
  ],
  localhost: [{ address: '127.0.0.1', family: 4 }],
};

type Listening = { readonly port: number; readonly connections: () => number };

/** A web server outside and the canary inside, both on the same port. */
async function start(
  context: TestContext,
  listener: RequestListener,
  options: Partial<UrlFetcherOptions> = {},
): Promise<{ readonly outside: Listening; readonly canary: Listening; readonly fetcher: UrlFetcher }> {
  const outside = await listen(context, createServer(listener), { host: OUTSIDE, port: 0 });
  const canary = await listen(context, createServer(answerPicture), { host: '127.0.0.1', port: outside.port });
  const resolve: Resolve = async (host) => NAMES[host.replace(/\.$/, '')] ?? Promise.reject(new Error('ENOTFOUND'));
  return { outside, canary, fetcher: createUrlFetcher({ ...OPTIONS, ports: [outside.port], resolve, ...options }) };
}

const answerPicture: RequestListener = (_request, response) => void response.end(BODY);

async function listen(
  context: TestContext,
  server: Server,
  at: { readonly host: string; readonly port: number },
): Promise<Listening> {
  let connections = 0;
  server.on('connection', () => (connections += 1));
  server.listen(at.port, at.host);
  await once(server, 'listening');
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, connections: () => connections };
}

async function listenTcp(context: TestContext, onConnection: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    onConnection(socket);
  }).listen(0, OUTSIDE);
  await once(server, 'listening');
  context.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

function get(fetcher: UrlFetcher, url: string): ReturnType<UrlFetcher['fetch']> {
  return fetcher.fetch(url, { maxBytes: 1_000_000, signal: new AbortController().signal });
}
