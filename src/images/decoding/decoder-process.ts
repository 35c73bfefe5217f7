/**
 * Entry point of a decoder process: takes its settings, proves that it can decode, then decodes one image after another
 * until the socket to the service closes. It holds no state, no secret and no open file, so it can be killed at
 * any moment.
 */
import { Socket } from 'node:net';
import sharp from 'sharp';
import { CallPort, serveCalls } from '../../call-port.js';
import { toErrorData } from '../../errors.js';
import { type DecodeSettings, decodeImage, restrictSharp } from './decode-image.js';
import { type AdmissionCalls, type DecoderCalls, framedChannel, type Usage } from './decoder-channel.js';

/** The descriptor on which decoder-child.ts passes the socket. */
const SOCKET_DESCRIPTOR = 3;
const IMAGE_BYTES_MAX = 0xffff_ffff;

function run(): void {
  restrictSharp();
  const socket = new Socket({ fd: SOCKET_DESCRIPTOR, readable: true, writable: true });
  // The service is gone. SIGKILL and not exit(), which would wait for the native decode under way.
  const die = () => process.kill(process.pid, 'SIGKILL');
  socket.on('end', die).on('close', die).on('error', die);
  // Signals to the whole process group (Ctrl-C, systemd) must not end the decoders while the service still drains.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

  const channel = framedChannel(socket, { bodyBytesMax: IMAGE_BYTES_MAX, onInvalid: die });
  const service = new CallPort<AdmissionCalls>(channel);
  let settings: DecodeSettings | undefined;
  serveCalls<DecoderCalls>(channel, {
    async start(given) {
      settings = given;
      await probe(given).catch((error: unknown) => {
        console.error(error);
        process.exit(1);
      });
      return usage();
    },
    async decode(bytes, options, allowanceBytes) {
      if (settings === undefined) throw new Error('An image came before the settings. This is a bug.');
      const admit = async (estimatedBytes: number): Promise<void> => {
        if (estimatedBytes > allowanceBytes) await service.call('admit', [estimatedBytes, usage()]);
      };
      try {
        const image = await decodeImage(bytes, { ...settings, ...options, admit });
        return { image, usage: usage() };
      } catch (error) {
        return { error: toErrorData(error, 'DECODER_FAILED'), usage: usage() };
      }
    },
  });
}

function usage(): Usage {
  const { user, system } = process.cpuUsage();
  return { rssBytes: process.memoryUsage.rss(), cpuMs: (user + system) / 1000 };
}

/**
 * Decodes one small picture: loads what libvips loads late, and fails here and now where sharp does not work on
 * this machine.
 */
async function probe(settings: DecodeSettings): Promise<void> {
  const bytes = await sharp({ create: { width: 16, height: 16, channels: 3, background: '#808080' } })
    .jpeg()
    .toBuffer();
  await decodeImage(bytes, { ...settings, thumbnail: true });
}

run();
