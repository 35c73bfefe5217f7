import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { FrameReader, writeFrame } from '../../../src/images/decoding/decoder-channel.js';
import { seededRandom } from '../../../src/seeded-random.js';

test('messages come out whole and in order, however the bytes are cut', () => {
  const messages = [[], [1, 2, 3], new Array(70_000).fill(9), [4]].map((bytes, id) => ({
    id,
    text: 'é',
    args: [{ bytes: Uint8Array.from(bytes.slice(0, 2)) }, Uint8Array.from(bytes.slice(2)), null],
  }));
  const sent = Buffer.concat(messages.map(framed));
  for (const seed of [1, 2, 3]) {
    const random = seededRandom(seed);
    const received: unknown[] = [];
    const reader = new FrameReader(70_000, (message) => void received.push(message));
    for (let at = 0; at < sent.length; ) {
      const length = 1 + Math.floor(random() * (seed === 1 ? 3 : 50_000));
      reader.push(sent.subarray(at, at + length));
      at += length;
    }
    assert.deepEqual(received, messages, `seed ${seed}`);
  }
});

test('a frame over the limit is refused before memory is taken for it', () => {
  const refuse = () => new FrameReader(100, () => assert.fail('accepted'));
  assert.throws(() => refuse().push(framed({ bytes: new Uint8Array(101) })), /over the limits/);
  assert.throws(() => refuse().push(new Uint8Array(8).fill(255)), /over the limits/);
});

test('a frame whose byte arrays do not add up is refused', () => {
  const forged = framed({ bytes: new Uint8Array(5) });
  forged.write('4', forged.indexOf('5}'));
  assert.throws(() => new FrameReader(100, () => assert.fail('accepted')).push(forged), /do not add up/);
});

/** What writeFrame sends, as one buffer. */
function framed(message: unknown): Buffer {
  const chunks: Buffer[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
  writeFrame(sink, message);
  return Buffer.concat(chunks);
}
