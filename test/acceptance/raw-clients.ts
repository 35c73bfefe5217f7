/** Clients that misbehave below HTTP: they trickle, never read, or never end. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** What became of one connection. `closedAfterMs` counts from its opening; undefined while it is open. */
export type RawClient = {
  readonly socket: Socket;
  received(): string;
  readonly closedAfterMs: number | undefined;
  /** Resolves when it has closed, however. */
  readonly closed: Promise<void>;
};

/** Opens a connection; a reset is an expected way for it to end. With `isDeaf` nothing that comes is ever read. */
export async function openClient(url: string, options: { readonly isDeaf?: boolean } = {}): Promise<RawClient> {
  const { port, hostname } = new URL(url);
  const socket = connect({ port: Number(port), host: hostname });
  await once(socket, 'connect');
  const openedAt = performance.now();
  let text = '';
  let closedAfterMs: number | undefined;
  socket.on('error', () => {});
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => {
      closedAfterMs = performance.now() - openedAt;
      resolve();
    });
  });
  if (options.isDeaf !== true) socket.on('data', (chunk) => (text += chunk.toString('latin1')));
  return {
    socket,
    closed,
    received: () => text,
    get closedAfterMs() {
      return closedAfterMs;
    },
  };
}

/** One byte a second of the text, over and over, until the connection closes or `stop` is called. */
export function trickle({ socket }: RawClient, text: string): { stop(): void } {
  let at = 0;
  const timer = setInterval(() => {
    if (socket.writable) socket.write(text[at++ % text.length]!);
  }, 1000);
  socket.once('close', () => clearInterval(timer));
  return { stop: () => clearInterval(timer) };
}
