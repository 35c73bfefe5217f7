/**
 * Entry point of a decoder process: takes its settings, proves that it can decode, then decodes one image after another until the
 * socket to the service closes. It holds no state, no secret and no open file, so it can be killed at any moment.
 */
import { Socket } from 'node:net';
import sharp from 'sharp';
import { SearchError, toErrorData } from '../errors.js';
import { type DecodeSettings, decodeImage, restrictSharp } from './decode-image.js';
import { type DecoderNews, type DecoderRequest, FrameReader, writeFrame } from './decoder-messages.js';
import { DIHEDRAL_VARIANTS } from './perceptual-hash.js';

/** The descriptor on which decoder-child.ts passes the socket. */
const SOCKET_DESCRIPTOR = 3;
const IMAGE_BYTES_MAX = 0xffff_ffff;

async function run(): Promise<void> {
  restrictSharp();
  const socket = new Socket({ fd: SOCKET_DESCRIPTOR, readable: true, writable: true });
  // Whoever started this process is gone. SIGKILL and not exit(), which would wait for the native decode under way.
  const die = () => process.kill(process.pid, 'SIGKILL');
  socket.on('end', die).on('close', die).on('error', die);

  // Signals to the whole process group (Ctrl-C, systemd) must not end the decoders while the service still drains.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

  let settings: DecodeSettings | undefined;
  let onAdmission: ((admitted: boolean) => void) | undefined;
  const reply = (news: DecoderNews, body?: readonly Uint8Array[]) => {
    const { user, system } = process.cpuUsage();
    writeFrame(socket, { ...news, cpuMs: (user + system) / 1000 }, body);
  };

  const decode = async (bytes: Uint8Array, request: Extract<DecoderRequest, { type: 'decode' }>): Promise<void> => {
    if (settings === undefined) throw new Error('An image came before the settings. This is a bug.');
    const admit = async (estimatedBytes: number): Promise<void> => {
      if (estimatedBytes <= request.allowanceBytes) return;
      const admission = new Promise<boolean>((resolve) => {
        onAdmission = resolve;
      });
      reply({ type: 'needs', bytes: estimatedBytes });
      if (!(await admission)) throw new SearchError('DEADLINE_EXCEEDED', 'The image was given up while it waited for memory.');
    };
    try {
      const {
        thumbnail,
        sha256,
        perceptualHash,
        pixels,
        views = [],
        traits,
        ...head
      } = await decodeImage(bytes, {
        ...settings,
        thumbnail: request.thumbnail,
        crop: request.crop,
        views: request.views,
        traits: request.traits,
        admit,
      });
      const { format, width, height, orientation, perceptualHashQuality } = head;
      const sketch = traits === undefined ? null : { width: traits.sketch.width, height: traits.sketch.height };
      const image = { format, width, height, orientation, perceptualHashQuality, thumbnailBytes: thumbnail?.length ?? null, sketch };
      const rssBytes = process.memoryUsage.rss();
      const turned = views.flatMap((view) => [view.perceptualHash, view.pixels.rgb]);
      const marks = traits === undefined ? [] : [...DIHEDRAL_VARIANTS.map((variant) => traits.hashes[variant]), traits.sketch.grey];
      reply({ type: 'decoded', image, rssBytes }, [sha256, perceptualHash, pixels.rgb, ...turned, ...marks, thumbnail ?? new Uint8Array()]);
    } catch (error) {
      reply({ type: 'failed', error: toErrorData(error, 'DECODER_FAILED'), rssBytes: process.memoryUsage.rss() });
    }
  };

  const reader = new FrameReader({
    bodyBytesMax: IMAGE_BYTES_MAX,
    onFrame: (message, body) => {
      const request = message as DecoderRequest; // written by decoder-child.ts, the only one at the other end
      if (request.type === 'decode') void decode(body, request);
      else if (request.type === 'admission') onAdmission?.(request.admitted);
      else {
        settings = request.settings;
        void probe(settings).then(
          () => reply({ type: 'ready' }),
          (error) => {
            console.error(error);
            process.exit(1);
          },
        );
      }
    },
  });
  socket.on('data', (chunk) => reader.push(chunk));
}

/** Decodes one small picture: loads what libvips loads late, and fails here and now where sharp does not work on this machine. */
async function probe(settings: DecodeSettings): Promise<void> {
  const size = { width: 16, height: 16 };
  const bytes = await sharp({ create: { ...size, channels: 3, background: '#808080' } })
    .jpeg()
    .toBuffer();
  await decodeImage(bytes, { ...settings, thumbnail: true });
}

await run();
