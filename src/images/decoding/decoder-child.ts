import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { constants, getPriority, setPriority } from 'node:os';
import { type Duplex, PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { CallPort, serveCalls } from '../../call-port.js';
import { fromErrorData, SearchError } from '../../errors.js';
import type { DecodedImage, DecodeOptions } from '../image-decoder.js';
import { DIHEDRAL_VARIANTS } from '../perceptual-hash.js';
import { SKETCH_SIDE } from '../sketch.js';
import { type DecodeSettings, THUMBNAIL_SIZE_MAX } from './decode-image.js';
import { type AdmissionCalls, type DecoderCalls, framedChannel, type Usage } from './decoder-channel.js';

export type DecoderChildOptions = {
  readonly settings: DecodeSettings;
  readonly decodeTimeoutMs: number;
  readonly startTimeoutMs: number;
  /** Added to the process's scheduling priority: 0..19, larger is nicer to others. */
  readonly niceness: number | undefined;
  /** Environment variables of the decoders. Nothing is inherited, so no secret can leak through a decoder. */
  readonly environment: Readonly<Record<string, string>>;
};

/** One image for {@link DecoderChild.decode}. */
export type ChildJob = {
  readonly bytes: Uint8Array;
  readonly options: DecodeOptions;
  /** Estimated memory that needs no admission. */
  readonly allowanceBytes: number;
  /** Awaited where an image needs more; the deadline is suspended meanwhile. Rejects to fail the image. */
  readonly admit: (estimatedBytes: number) => Promise<void>;
};

/**
 * One decoder process, which decodes one image at a time. A process and not a thread, because native code can be given
 * a deadline only by SIGKILL. Once dead it stays dead; the pool starts another.
 */
export class DecoderChild {
  /** Resolves when the process has decoded a probe image; rejects where it died before. */
  readonly ready: Promise<unknown>;
  /** Resolves when the process has ended. */
  readonly exited: Promise<unknown>;
  /** Memory of the process after its last image. */
  rssBytes = 0;
  imagesDecoded = 0;
  isAlive = true;
  readonly #options: DecoderChildOptions;
  readonly #process: ChildProcess;
  readonly #port: CallPort<DecoderCalls>;
  #killReason: SearchError | undefined;
  #admit: ChildJob['admit'] | undefined;
  #deadline: NodeJS.Timeout | undefined;
  /**
   * Processor time at the last reply. Kept, since reading it from the system for each image costs the main thread a
   * tenth of its work.
   */
  #cpuMs = 0;

  constructor(options: DecoderChildOptions) {
    this.#options = options;
    this.#process = spawn(process.execPath, [`--max-old-space-size=${HEAP_MIB}`, ENTRY], {
      env: { ...options.environment, ...ALLOCATOR, UV_THREADPOOL_SIZE: '2' },
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    });
    // A pipe by the line above; absent where the system refused the process.
    const socket = (this.#process.stdio?.[3] as Duplex | undefined) ?? new PassThrough();
    socket.on('error', () => this.kill()); // a broken pipe: the exit says the rest
    const channel = framedChannel(socket, {
      bodyBytesMax: this.#replyBytesMax(),
      onInvalid: (cause) =>
        this.#killFor(
          new SearchError('DECODER_FAILED', 'A decoder process sent an invalid reply; it was replaced.', { cause }),
        ),
    });
    this.#port = new CallPort(channel);
    serveCalls<AdmissionCalls>(channel, { admit: (bytes, usage) => this.#askAdmission(bytes, usage) });
    this.exited = this.#watch(socket);
    this.#limitTime(
      options.startTimeoutMs,
      new SearchError('DECODER_FAILED', `A decoder process did not start within ${options.startTimeoutMs / 1000} s.`),
    );
    this.ready = this.#port.call('start', [options.settings]).then((usage) => this.#noteUsage(usage));
    this.ready.catch(() => undefined); // for whoever awaits it
    this.#applyNiceness();
  }

  /** Undefined where the process could not be started. */
  get pid(): number | undefined {
    return this.#process.pid;
  }

  /**
   * Decodes one image. Rejects with the image's own SearchError, DECODE_TIMEOUT or DECODER_FAILED; after the last two
   * the process is dead.
   */
  async decode({ bytes, options, allowanceBytes, admit }: ChildJob): Promise<DecodedImage> {
    if (this.#port.pending > 0) throw new Error('A decoder was given a second image. This is a bug.');
    this.#admit = admit;
    const reply = this.#port.call('decode', [bytes, options, allowanceBytes]);
    if (this.isAlive) this.#limitDecodeTime();
    const { usage, ...result } = await reply;
    this.#noteUsage(usage);
    this.rssBytes = usage.rssBytes;
    this.imagesDecoded++;
    if ('error' in result) throw fromErrorData(result.error);
    return result.image;
  }

  /** Ends the process at once, whatever it does. */
  kill(): void {
    this.#process.kill('SIGKILL');
  }

  #watch(socket: Duplex): Promise<unknown> {
    let stderrTail = '';
    this.#process.stderr?.on('data', (chunk: Buffer) => {
      stderrTail = (stderrTail + chunk.toString()).slice(-STDERR_TAIL_MAX);
    });
    const end = (reason: string): void => {
      if (!this.isAlive) return;
      this.isAlive = false;
      clearTimeout(this.#deadline);
      socket.destroy();
      const cause = new Error(`The process ${reason}. ${stderrTail}`.trim());
      const message = 'The decoder process died while it held this image; it was replaced.';
      this.#port.abandon(this.#killReason ?? new SearchError('DECODER_FAILED', message, { cause }));
    };
    this.#process.once('error', (error) => end(`could not be started: ${error.message}`));
    this.#process.once('exit', (code, signal) =>
      end(signal === null ? `exited with code ${code}` : `was ended by ${signal}`),
    );
    return this.#port.gone;
  }

  /** To be called with every reply: stops the deadline. */
  #noteUsage({ cpuMs }: Usage): void {
    clearTimeout(this.#deadline);
    this.#cpuMs = cpuMs;
  }

  async #askAdmission(bytes: number, usage: Usage): Promise<void> {
    this.#noteUsage(usage);
    try {
      await this.#admit?.(bytes);
    } finally {
      if (this.isAlive) this.#limitDecodeTime();
    }
  }

  /**
   * Kills the process when its image has used its limit of processor time (DECODE_TIMEOUT, the image's fault), when it
   * makes no progress and does not wait for a processor, or after {@link STARVED_TIMES} times the limit by the clock
   * (DECODER_FAILED, ours, unless it has used half of its limit). Processor time, so that the verdict on an image does
   * not depend on what else the machine does.
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
      const isStuck = usedMs - usedBefore <= CPU_TICK_MS && !isRunnable(this.pid);
      const isOver = isStuck || elapsedMs >= STARVED_TIMES * decodeTimeoutMs;
      // Where processor time cannot be read, it is NaN, and the clock alone decides.
      if (!(leftMs > CPU_TICK_MS) || (isOver && usedMs >= decodeTimeoutMs / 2)) {
        const message = `The image took longer than ${decodeTimeoutMs} ms to decode (--decode-timeout-ms).`;
        this.#killFor(new SearchError('DECODE_TIMEOUT', message));
      } else if (isOver) {
        const got = `${Math.round(usedMs)} ms of processor time in ${Math.round(elapsedMs)} ms`;
        const message = `A decoder got ${got}, too little to decode an image; it was replaced.`;
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
    this.#deadline = setTimeout(() => this.#killFor(error), timeoutMs);
  }

  #killFor(error: SearchError): void {
    this.#killReason ??= error;
    this.kill();
  }

  #applyNiceness(): void {
    const { niceness } = this.#options;
    if (niceness === undefined || this.pid === undefined) return;
    try {
      setPriority(this.pid, Math.min(constants.priority.PRIORITY_LOW, getPriority() + niceness));
    } catch {
      // The process may have exited, which is reported elsewhere; and decoding at the usual priority is no fault.
    }
  }

  #replyBytesMax(): number {
    const { width, height } = this.#options.settings.preprocessing;
    const views = 1 + DIHEDRAL_VARIANTS.length;
    return views * (width * height * 3 + HASH_BYTES) + OTHER_REPLY_BYTES_MAX;
  }
}

const ENTRY = fileURLToPath(new URL('./decoder-process.js', import.meta.url));
/**
 * Settings of glibc. Two arenas bound its fragmentation. Buffers up to 16 MiB, those of a photograph, come from memory
 * used before instead of from the system, which clears each page anew.
 */
const ALLOCATOR = {
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: String(16 * 1024 * 1024),
  MALLOC_TRIM_THRESHOLD_: String(16 * 1024 * 1024),
};
/** By the clock, a decode may take this many times its limit of processor time. */
const STARVED_TIMES = 3;
/** Of V8 alone; pictures lie outside it. */
const HEAP_MIB = 128;
const STDERR_TAIL_MAX = 2000;
const HASH_BYTES = 32;
/** Thumbnail (uncompressed at most), hashes and grey thumbnail. */
const OTHER_REPLY_BYTES_MAX =
  THUMBNAIL_SIZE_MAX * THUMBNAIL_SIZE_MAX * 4 +
  SKETCH_SIDE * SKETCH_SIDE +
  DIHEDRAL_VARIANTS.length * HASH_BYTES +
  4096;

/** Linux counts processor time in ticks of this length, in milliseconds. */
const CPU_TICK_MS = 10;

/**
 * Processor milliseconds that a process has used; NaN where the system does not say (no /proc, or the process
 * has exited).
 */
export function processorMs(pid: number | undefined): number {
  try {
    // utime and stime are fields 14 and 15; the name in field 2 may hold spaces and ends in ')'.
    const fields = statFields(`/proc/${pid}/stat`);
    return (Number(fields[11]) + Number(fields[12])) * CPU_TICK_MS;
  } catch {
    return Number.NaN;
  }
}

/**
 * True while a thread of the process runs or waits for a processor: it is starved and does not hang. False where the
 * system does not say.
 */
export function isRunnable(pid: number | undefined): boolean {
  const isThreadRunnable = (thread: string): boolean => {
    try {
      return statFields(`/proc/${pid}/task/${thread}/stat`)[0] === 'R';
    } catch {
      return false; // the thread has just ended
    }
  };
  try {
    return readdirSync(`/proc/${pid}/task`).some(isThreadRunnable);
  } catch {
    return false; // no /proc, or the process has exited
  }
}

function statFields(path: string): readonly string[] {
  return readFileSync(path, 'utf8').split(') ')[1]?.split(' ') ?? [];
}
