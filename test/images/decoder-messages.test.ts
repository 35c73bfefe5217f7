import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { type DecoderReply, type DecoderRequest, FrameReader, writeFrame } from '../../src/images/decoder-messages.js';
import { mulberry32 } from './pictures.js';

test('frames come out whole and in order, however the bytes are cut', () => {
  const bodies = [new Uint8Array(), Uint8Array.of(1, 2, 3), new Uint8Array(70_000).fill(9), Uint8Array.of(4)];
  const message: DecoderRequest = { type: 'admission', admitted: true };
  const sent: Buffer = Buffer.concat(bodies.map((body) => framed(message, [body.subarray(0, 2), body.subarray(2)])));
  const expected: unknown[] = bodies.map((body) => [message, [...body]]);
  for (const seed of [1, 2, 3]) {
    const random = mulberry32(seed);
    const received: unknown[] = [];
    const reader = new FrameReader({ bodyBytesMax: 70_000, onFrame: (head, body) => void received.push([head, [...body]]) });
    for (let at = 0; at < sent.length; ) {
      const length = 1 + Math.floor(random() * (seed === 1 ? 3 : 50_000));
      reader.push(sent.subarray(at, at + length));
      at += length;
    }
    assert.deepEqual(received, expected, `seed ${seed}`);
  }
});

test('a frame over the limit is refused before memory is taken for it', () => {
  const tooLarge = framed({ type: 'ready', cpuMs: 1 }, [new Uint8Array(101)]);
  const reader = new FrameReader({ bodyBytesMax: 100, onFrame: () => assert.fail('accepted') });
  assert.throws(() => reader.push(tooLarge), /over the limits/);
  const endless = new FrameReader({ bodyBytesMax: 100, onFrame: () => assert.fail('accepted') });
  assert.throws(() => endless.push(new Uint8Array(8).fill(255)), /over the limits/);
});

/** What writeFrame sends, as one buffer. */
function framed(message: DecoderRequest | DecoderReply, body: readonly Uint8Array[]): Buffer {
  const chunks: Buffer[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
  writeFrame(sink, message, body);
  return Buffer.concat(chunks);
}
