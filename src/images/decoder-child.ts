import { type ChildProcess, spawn } from 'node:child_process';
import { constants, getPriority, setPriority } from 'node:os';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { fromErrorData, SearchError } from '../errors.js';
import type { DecodeSettings } from './decode-image.js';
import { THUMBNAIL_SIZE_MAX } from './decode-image.js';
import { type DecodedHead, type DecoderReply, type DecodeWishes, FrameReader, writeFrame } from './decoder-messages.js';
import type { CopyTraits, DecodedImage, DecodedView } from './image-decoder.js';
import { DIHEDRAL_VARIANTS, type DihedralHashes } from './perceptual-hash.js';
import { CPU_TICK_MS, isRunnable, processorMs } from './process-activity.js';
import { SKETCH_SIDE } from './sketch.js';

export type DecoderChildOptions = {
  readonly settings: DecodeSettings;
  readonly decodeTimeoutMs: number;
  readonly startTimeoutMs: number;
  /** Added to the process's scheduling priority: 0..19, larger is nicer to others. */
  readonly niceness: number | undefined;
  /** Variables the decoders are given besides our own; nothing else is inherited, so no secret can leak through a decoder. */
  readonly environment: Readonly<Record<string, string>>;
};

/** One image for {@link DecoderChild.decode}. */
export type ChildJob = {
  readonly bytes: Uint8Array;
  readonly wishes: DecodeWishes;
  /** Estimated memory that needs no asking. */
  readonly allowanceBytes: number;
  /** Asked where an image needs more; the deadline stands still meanwhile. False gives the image up. Rejects to fail it. */
  readonly admit: (estimatedBytes: number) => Promise<boolean>;
};

type JobUnderWay = {
  readonly resolve: (image: DecodedImage) => void;
  readonly reject: (error: unknown) => void;
  readonly admit: ChildJob['admit'];
  readonly wishes: DecodeWishes;
  /** Why `admit` rejected. */
  refusal?: unknown;
};

/**
 * One decoder process, which decodes one image at a time. A process and not a thread, because native code can be given a deadline only by
 * SIGKILL. Once dead it stays dead; the pool starts another.
 */
export class DecoderChild {
  /** Resolves when the process has decoded a probe image; rejects where it died before. */
  readonly ready: Promise<void>;
  /** Resolves when the process is gone, with why. */
  readonly exited: Promise<string>;
  /** What the process held after its last image. */
  rssBytes = 0;
  imagesDecoded = 0;
  readonly #options: DecoderChildOptions;
  readonly #process: ChildProcess;
  readonly #socket: Duplex;
  #isAlive = true;
  #lastWords = '';
  #killReason: SearchError | undefined;
  #job: JobUnderWay | undefined;
  #deadline: NodeJS.Timeout | undefined;
  #onReady: (() => void) | undefined;
  /** Processor time of the process by its last reply, which it has waited since: to ask the system for each image takes a tenth of the main thread's work. */
  #cpuMs = 0;

  constructor(options: DecoderChildOptions) {
    this.#options = options;
    this.#process = spawn(process.execPath, [`--max-old-space-size=${HEAP_MIB}`, ENTRY], {
      env: { ...options.environment, ...ALLOCATOR, UV_THREADPOOL_SIZE: '2' },
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    });
    this.#socket = this.#process.stdio[3] as Duplex; // a pipe by the line above
    this.exited = this.#watch();
    this.ready = new Promise((resolve, reject) => {
      this.#onReady = resolve;
      void this.exited.then((reason) => reject(new Error(`A decoder process did not start: ${reason}`)));
    });
    this.ready.catch(() => undefined); // whoever awaits it is told; nobody has to
    this.#limitTime(options.startTimeoutMs, new SearchError('DECODER_FAILED', 'A decoder process took too long to start.'));
    writeFrame(this.#socket, { type: 'settings', settings: options.settings });
    this.#applyNiceness();
  }

  /** Undefined where the process could not be started. */
  get pid(): number | undefined {
    return this.#process.pid;
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** Decodes one image. Rejects with the image's own SearchError, DECODE_TIMEOUT or DECODER_FAILED; after the last two the process is dead. */
  decode(job: ChildJob): Promise<DecodedImage> {
    if (this.#job !== undefined) throw new Error('A decoder was given a second image. This is a bug.');
    return new Promise((resolve, reject) => {
      if (!this.#isAlive) return reject(this.#death('it was gone already'));
      this.#job = { resolve, reject, admit: job.admit, wishes: job.wishes };
      this.#limitDecodeTime();
      writeFrame(this.#socket, { type: 'decode', ...job.wishes, allowanceBytes: job.allowanceBytes }, [job.bytes]);
    });
  }

  /** Ends the process at once, whatever it does. */
  kill(): void {
    this.#process.kill('SIGKILL');
  }

  #watch(): Promise<string> {
    const reader = new FrameReader({
      bodyBytesMax: this.#replyBytesMax(),
      onFrame: (message, body) => this.#receive(message as DecoderReply, body),
    });
    this.#socket.on('data', (chunk: Uint8Array) => {
      try {
        reader.push(chunk);
      } catch (cause) {
        this.#killFor(new SearchError('DECODER_FAILED', 'A decoder process answered nonsense and was replaced.', { cause }));
      }
    });
    this.#socket.on('error', () => this.kill()); // a broken pipe: the exit below says the rest
    this.#process.stderr?.on('data', (chunk: Buffer) => {
      this.#lastWords = (this.#lastWords + chunk.toString()).slice(-LAST_WORDS_MAX);
    });
    return new Promise((resolve) => {
      const onGone = (reason: string) => {
        if (!this.#isAlive) return;
        this.#isAlive = false;
        clearTimeout(this.#deadline);
        this.#socket.destroy();
        const job = this.#job;
        this.#job = undefined;
        job?.reject(this.#killReason ?? this.#death(reason));
        resolve(reason);
      };
      this.#process.once('error', (error) => onGone(error.message));
      this.#process.once('exit', (code, signal) => onGone(signal === null ? `it exited with code ${code}` : `it was ended by ${signal}`));
    });
  }

  #receive(reply: DecoderReply, body: Uint8Array): void {
    this.#cpuMs = reply.cpuMs;
    if (reply.type === 'ready') {
      clearTimeout(this.#deadline);
      this.#onReady?.();
      return;
    }
    const job = this.#job;
    if (job === undefined) throw new Error(`A decoder sent "${reply.type}" without an image.`);
    clearTimeout(this.#deadline);
    if (reply.type === 'needs') {
      this.#askAdmission(job, reply.bytes);
      return;
    }
    const image = reply.type === 'decoded' ? readImage(reply.image, body, job.wishes, this.#options.settings) : undefined;
    this.#job = undefined;
    this.rssBytes = reply.rssBytes;
    this.imagesDecoded++;
    if (reply.type === 'failed') job.reject(job.refusal ?? fromErrorData(reply.error));
    else if (image !== undefined) job.resolve(image);
  }

  #askAdmission(job: JobUnderWay, bytes: number): void {
    const answer = (admitted: boolean) => {
      if (!this.#isAlive) return;
      this.#limitDecodeTime();
      writeFrame(this.#socket, { type: 'admission', admitted });
    };
    job.admit(bytes).then(answer, (error: unknown) => {
      job.refusal = error; // told to the caller when the decoder has let go of the image, and not before
      answer(false);
    });
  }

  /**
   * The limit is on the processor time that the image costs, or its verdict would depend on what else the machine does. A decoder that has done nothing since it was
   * last looked at, and does not wait for a processor, hangs; one that is given too little of the machine has a few times the limit by the clock.
   */
  #limitDecodeTime(): void {
    const { decodeTimeoutMs } = this.#options;
    const startedAt = performance.now();
    const cpuAtStart = this.#cpuMs;
    let usedBefore = 0;
    const look = (): void => {
      const elapsedMs = performance.now() - startedAt;
      const usedMs = processorMs(this.pid) - cpuAtStart;
      const leftMs = decodeTimeoutMs - usedMs;
      // Where processor time cannot be read, it is NaN, and the clock alone decides.
      if (!(leftMs > CPU_TICK_MS) || (usedMs - usedBefore <= CPU_TICK_MS && !isRunnable(this.pid))) {
        const message = `The image took longer than ${decodeTimeoutMs} ms to decode (LIKENESS_DECODE_TIMEOUT_MS).`;
        this.#killFor(new SearchError('DECODE_TIMEOUT', message));
      } else if (elapsedMs >= STARVED_TIMES * decodeTimeoutMs) {
        const message = `A decoder got ${usedMs} ms of processor time in ${Math.round(elapsedMs)} ms, too little to decode an image; it was replaced.`;
        this.#killFor(new SearchError('DECODER_FAILED', message, { retryAfterSeconds: 1 }));
      } else {
        usedBefore = usedMs;
        this.#deadline = setTimeout(look, Math.max(leftMs, decodeTimeoutMs / 4));
      }
    };
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(look, decodeTimeoutMs);
  }

  #limitTime(timeoutMs: number, error: SearchError): void {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.#killFor(error), timeoutMs);
  }

  #killFor(error: SearchError): void {
    this.#killReason ??= error;
    this.kill();
  }

  #death(reason: string): SearchError {
    const cause = new Error(`${reason}${this.#lastWords === '' ? '' : `: ${this.#lastWords}`}`);
    return new SearchError('DECODER_FAILED', 'The decoder process died while it held this image; it was replaced.', { cause });
  }

  #applyNiceness(): void {
    const { niceness } = this.#options;
    if (niceness === undefined || this.pid === undefined) return;
    try {
      setPriority(this.pid, Math.min(LEAST_PRIORITY, getPriority() + niceness));
    } catch {
      // The process may be gone already, which its exit reports; and decoding at the usual priority is no fault.
    }
  }

  #replyBytesMax(): number {
    const { width, height } = this.#options.settings.preprocessing;
    return (1 + DIHEDRAL_VARIANTS.length) * (width * height * 3 + HASH_BYTES) + SHA256_BYTES + THUMBNAIL_BYTES_MAX + TRAITS_BYTES_MAX;
  }
}

const ENTRY = fileURLToPath(new URL('./decoder-process.js', import.meta.url));
/**
 * Of glibc. Two arenas keep its fragmentation in bounds: 286 against 615 MB after the same soak. Buffers up to 16 MiB, those of a photograph, come from memory that was
 * used before instead of from the system, which hands out each page anew: a decode takes 7 % less processor time.
 */
const ALLOCATOR = {
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: String(16 * 1024 * 1024),
  MALLOC_TRIM_THRESHOLD_: String(16 * 1024 * 1024),
};
/** By the clock a decode may take so many times its limit of processor time. */
const STARVED_TIMES = 3;
const LEAST_PRIORITY = constants.priority.PRIORITY_LOW;
/** Of V8 alone; pictures lie outside it. */
const HEAP_MIB = 128;
const LAST_WORDS_MAX = 2000;
const SHA256_BYTES = 32;
const HASH_BYTES = 32;
const TRAITS_BYTES_MAX = DIHEDRAL_VARIANTS.length * HASH_BYTES + SKETCH_SIDE * SKETCH_SIDE;
const THUMBNAIL_BYTES_MAX = THUMBNAIL_SIZE_MAX * THUMBNAIL_SIZE_MAX * 4 + 4096;

/** Takes the parts out of a reply, each in memory of its own so that it can be transferred. Throws where they do not add up. */
function readImage(head: DecodedHead, body: Uint8Array, wishes: DecodeWishes, settings: DecodeSettings): DecodedImage {
  const { width, height } = settings.preprocessing;
  let at = 0;
  const take = (bytes: number): Uint8Array => {
    at += bytes;
    return body.slice(at - bytes, at);
  };
  const takePixels = () => ({ width, height, rgb: take(width * height * 3) });
  const { format, orientation, perceptualHashQuality } = head;
  const sha256 = take(SHA256_BYTES);
  const perceptualHash = take(HASH_BYTES);
  const pixels = takePixels();
  const views = (wishes.views ?? []).map((view): DecodedView => ({ view, perceptualHash: take(HASH_BYTES), pixels: takePixels() }));
  const traits = head.sketch === null ? undefined : takeTraits(head.sketch, take);
  const thumbnail = head.thumbnailBytes === null ? undefined : take(head.thumbnailBytes);
  if (at !== body.length) throw new Error(`A decoder sent ${body.length} bytes that do not add up.`);
  const hashes = { sha256, perceptualHash, perceptualHashQuality };
  const image = { format, width: head.width, height: head.height, orientation, ...hashes, pixels, thumbnail };
  return { ...image, ...(views.length > 0 && { views }), ...(traits !== undefined && { traits }) };
}

function takeTraits(size: { readonly width: number; readonly height: number }, take: (bytes: number) => Uint8Array): CopyTraits {
  const hashes = Object.fromEntries(DIHEDRAL_VARIANTS.map((variant) => [variant, take(HASH_BYTES)])) as DihedralHashes; // one of each
  return { hashes, sketch: { ...size, grey: take(size.width * size.height) } };
}
