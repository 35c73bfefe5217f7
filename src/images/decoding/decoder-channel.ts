/**
 * The channel between the service and a decoder process: frames over one socket, [head bytes, body bytes: uint32 little
 * endian] [head: JSON] [body]. Byte arrays travel in the body; the JSON has their lengths in their place. Framed by
 * hand because child_process's own channel costs the main thread four times as much per large image.
 */
import type { Duplex, Writable } from 'node:stream';
import type { CallChannel, CallMessage } from '../../call-port.js';
import type { SearchErrorData } from '../../errors.js';
import type { DecodedImage, DecodeOptions } from '../image-decoder.js';
import type { DecodeSettings } from './decode-image.js';

/** What a decoder process serves. */
export type DecoderCalls = {
  /** First and once. Returns when a probe image is decoded. */
  start(settings: DecodeSettings): Usage;
  /** Decodes one image; asks for admission where it may take more memory than `allowanceBytes`. */
  decode(bytes: Uint8Array, options: DecodeOptions, allowanceBytes: number): DecodeReply;
};

/** What the service serves to a decoder process. */
export type AdmissionCalls = {
  /** Returns when the image may take the memory, and throws where it may not. */
  admit(estimatedBytes: number, usage: Usage): void;
};

/** Resources of a decoder process: memory now, and processor time since its start. */
export type Usage = { readonly rssBytes: number; readonly cpuMs: number };

type DecodeReply = { readonly usage: Usage } & ({ readonly image: DecodedImage } | { readonly error: SearchErrorData });

/**
 * Frames over a socket as a channel for calls. `onInvalid` is called when the peer sends what is no frame within the
 * limit; the peer is then not to be trusted. The owner of the process reports its end ({@link CallPort.abandon}), as it
 * knows the reason.
 */
export function framedChannel(
  socket: Duplex,
  options: { readonly bodyBytesMax: number; readonly onInvalid: (error: unknown) => void },
): CallChannel {
  const listeners: ((message: CallMessage) => void)[] = [];
  const reader = new FrameReader(options.bodyBytesMax, (message) => {
    for (const listener of listeners) listener(message as CallMessage); // only framed channels write to the socket
  });
  socket.on('data', (chunk: Uint8Array) => {
    try {
      reader.push(chunk);
    } catch (error) {
      options.onInvalid(error);
    }
  });
  return {
    send: (message) => writeFrame(socket, message),
    onMessage: (listener) => void listeners.push(listener),
    onGone: () => undefined,
  };
}

const LENGTHS_BYTES = 8;
const HEAD_BYTES_MAX = 64 * 1024;
/** The key under which a head has the length of a byte array. */
const BYTES = '$bytes';

/**
 * Writes a message as one frame. Its byte arrays go to the stream without a copy: leave them unchanged until they
 * are sent.
 */
export function writeFrame(stream: Writable, message: unknown): void {
  const parts: Uint8Array[] = [];
  const text = JSON.stringify(detachBytes(message, parts));
  const textBytes = Buffer.byteLength(text);
  const head = Buffer.alloc(LENGTHS_BYTES + textBytes);
  head.writeUInt32LE(textBytes, 0);
  head.writeUInt32LE(
    parts.reduce((sum, part) => sum + part.length, 0),
    4,
  );
  head.write(text, LENGTHS_BYTES);
  stream.cork();
  stream.write(head);
  for (const part of parts) if (part.length > 0) stream.write(part);
  stream.uncork();
}

/** Reassembles frames from chunks of any size. Throws on a frame over the limits or whose parts do not add up. */
export class FrameReader {
  readonly #bodyBytesMax: number;
  readonly #onMessage: (message: unknown) => void;
  readonly #lengths = new Uint8Array(LENGTHS_BYTES);
  #frame: Uint8Array | undefined;
  #filled = 0;
  #headBytes = 0;

  constructor(bodyBytesMax: number, onMessage: (message: unknown) => void) {
    this.#bodyBytesMax = bodyBytesMax;
    this.#onMessage = onMessage;
  }

  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      const target = this.#frame ?? this.#lengths;
      const taken = Math.min(chunk.length - at, target.length - this.#filled);
      target.set(chunk.subarray(at, at + taken), this.#filled);
      this.#filled += taken;
      at += taken;
      if (this.#filled < target.length) return;
      this.#filled = 0;
      if (this.#frame === undefined) this.#begin();
      else {
        this.#frame = undefined;
        this.#onMessage(this.#read(target));
      }
    }
  }

  #begin(): void {
    const view = new DataView(this.#lengths.buffer);
    const [headBytes, bodyBytes] = [view.getUint32(0, true), view.getUint32(4, true)];
    if (headBytes === 0 || headBytes > HEAD_BYTES_MAX || bodyBytes > this.#bodyBytesMax) {
      throw new Error(
        `A frame of ${headBytes} + ${bodyBytes} bytes is over the limits (${HEAD_BYTES_MAX} + ${this.#bodyBytesMax}).`,
      );
    }
    this.#headBytes = headBytes;
    this.#frame = new Uint8Array(headBytes + bodyBytes);
  }

  #read(frame: Uint8Array): unknown {
    let at = this.#headBytes;
    const message = attachBytes(JSON.parse(Buffer.from(frame.buffer, 0, at).toString()), (length) => {
      at += length;
      return frame.slice(at - length, at); // in memory of its own, so that it can be transferred
    });
    if (at !== frame.length) throw new Error(`The byte arrays of a frame do not add up to ${frame.length} bytes.`);
    return message;
  }
}

function detachBytes(value: unknown, parts: Uint8Array[]): unknown {
  if (value instanceof Uint8Array) {
    parts.push(value);
    return { [BYTES]: value.length };
  }
  if (Array.isArray(value)) return value.map((item) => detachBytes(item, parts));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, detachBytes(item, parts)]));
}

function attachBytes(value: unknown, take: (length: number) => Uint8Array): unknown {
  if (Array.isArray(value)) return value.map((item) => attachBytes(item, take));
  if (typeof value !== 'object' || value === null) return value;
  if (BYTES in value) return take(Number(value[BYTES]));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, attachBytes(item, take)]));
}
