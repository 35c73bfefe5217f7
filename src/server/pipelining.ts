/**
 * Requests that a connection sends ahead of their answers (HTTP pipelining). Node begins all that lie in one chunk of the socket at once and holds every
 * answer in memory until it is read: 200 connections of 500 short requests each, none of which reads, took 4.4 GiB. Here they are
 * begun one after the other, the next when the answer before it is out, and a connection with too many of them is closed. This stands in front of Fastify:
 * what a request becomes there takes several times the memory of what Node has made of it, and one that waits needs none of it.
 */
import type { RequestListener, ServerResponse } from 'node:http';

/** Browsers send one request after the other, HTTP libraries a few ahead at the most. */
export const UNANSWERED_MAX = 32;

type Connection = { unanswered: number; last: ServerResponse | undefined };

/**
 * Passes each request to `begin` when it is its turn on its connection: mostly at once, never where the connection ends before. `onExcess` hears the address
 * of a connection that is closed.
 */
export function oneByOne(begin: RequestListener, onExcess: (ip: string | undefined) => void): RequestListener {
  const connections = new WeakMap<object, Connection>();
  return (request, answer) => {
    const { socket } = request;
    if (socket.destroyed) return; // It was read of the connection before that was closed.
    const connection = connections.get(socket) ?? { unanswered: 0, last: undefined };
    connections.set(socket, connection);
    if (connection.unanswered >= UNANSWERED_MAX) {
      onExcess(socket.remoteAddress);
      socket.destroy();
      return;
    }
    const { last } = connection;
    connection.unanswered += 1;
    connection.last = answer;
    answer.once('close', () => {
      connection.unanswered -= 1;
      if (connection.last === answer) connection.last = undefined;
    });
    const go = (): void => {
      if (!socket.destroyed) begin(request, answer);
    };
    if (last === undefined) go();
    else last.once('close', go);
  };
}
