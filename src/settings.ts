/**
 * Every setting of the service, in one table: type, default, limits and one sentence. Each is a flag (`--max-upload-bytes`) and a variable
 * (`LIKENESS_MAX_UPLOAD_BYTES`). docs/settings.md is generated from the table and compared with it in a test.
 */
import { availableParallelism } from 'node:os';

type Common<Value> = { readonly default: Value; readonly description: string; readonly unit?: string; readonly secret?: boolean };
type TextSetting = Common<string> & { readonly kind: 'text'; readonly choices?: readonly string[] };
type IntegerSetting = Common<number> & { readonly kind: 'integer'; readonly min: number; readonly max: number };
type SwitchSetting = Common<boolean> & { readonly kind: 'switch' };

/** One row of the table. */
export type Setting = TextSetting | IntegerSetting | SwitchSetting;

const text = (options: Omit<TextSetting, 'kind'>): TextSetting => ({ kind: 'text', ...options });
const integer = (options: Omit<IntegerSetting, 'kind'>): IntegerSetting => ({ kind: 'integer', ...options });
const toggle = (description: string): SwitchSetting => ({ kind: 'switch', default: false, description });

const MEBIBYTE = 1024 * 1024;

/** The table of settings, in the order in which people read them. */
export const SETTINGS = {
  host: text({ default: '127.0.0.1', description: 'Address to listen on. Any address but loopback requires API keys.' }),
  port: integer({ default: 8080, min: 0, max: 65535, description: 'Port to listen on; 0 takes a free one.' }),
  metricsPort: integer({
    default: 0,
    min: 0,
    max: 65535,
    description:
      'Port of its own for GET /metrics, on the same address; 0 serves it on the main port, with a read key for all collections where keys are set.',
  }),
  data: text({ default: 'data', description: 'Folder of the catalogue: the database, its indexes and its snapshots.' }),
  model: text({ default: 'models/photos', description: 'Folder of the saved encoder.' }),
  device: text({
    default: 'auto',
    choices: ['auto', 'cpu', 'cuda', 'webgpu', 'tensorflow-gpu', 'tensorflow'],
    description: 'Where the encoder runs. auto takes the best that really runs a probe image.',
  }),
  apiKeys: text({
    default: '',
    secret: true,
    description:
      'Keys as role:key, separated by commas; roles are read, write and admin, the first two also limited to collections: read@photos+shop. Prefer a keys file.',
  }),
  apiKeysFile: text({
    default: '',
    description:
      'File of keys, one a line: role, or role@collection+collection, then the SHA-256 of the key in hex. `likeness key` makes such a line.',
  }),
  trustProxy: text({
    default: '',
    description: 'Address or network of the reverse proxy whose X-Forwarded-For is believed; empty believes none.',
  }),
  corsOrigins: text({
    default: '',
    description: 'Origins whose web pages may use the service (https://shop.example), separated by commas; * is all. Empty is none.',
  }),
  rateLimit: integer({
    default: 0,
    min: 0,
    max: 1e9,
    unit: 'images a minute',
    description: 'Images one key or address may send, ten seconds of it at once; 0 sets no limit.',
  }),
  maxUploadBytes: integer({ default: 10 * MEBIBYTE, min: 1024, max: 1024 * MEBIBYTE, unit: 'bytes', description: 'Largest image file.' }),
  maxFilesPerRequest: integer({ default: 32, min: 1, max: 1000, description: 'Most files in one POST /index.' }),
  uploadMemoryBytes: integer({
    default: 512 * MEBIBYTE,
    min: MEBIBYTE,
    max: 1024 * 1024 * MEBIBYTE,
    unit: 'bytes',
    description: 'Memory that all uploads together may hold while they arrive and wait; more are refused.',
  }),
  maxImagesInFlight: integer({
    default: 256,
    min: 1,
    max: 100_000,
    description: 'Images that may be decoded, encoded or searched at once, queues included; more are refused.',
  }),
  queueWaitMs: integer({
    default: 500,
    min: 10,
    max: 600_000,
    unit: 'ms',
    description:
      'Wait for its turn that an image may expect, by the pace of the last ones; where it would wait longer it is refused at once.',
  }),
  maxPixels: integer({ default: 50_000_000, min: 1, max: 268_402_689, unit: 'pixels', description: 'Largest JPEG, PNG, WebP or TIFF.' }),
  maxPixelsGif: integer({ default: 25_000_000, min: 1, max: 268_402_689, unit: 'pixels', description: 'Largest GIF frame.' }),
  maxPixelsAvif: integer({
    default: 16_000_000,
    min: 1,
    max: 268_402_689,
    unit: 'pixels',
    description: 'Largest AVIF. It decodes at about 17 bytes a pixel, so its limit is lower.',
  }),
  maxMetadataBytes: integer({
    default: 8192,
    min: 2,
    max: MEBIBYTE,
    unit: 'bytes',
    description: 'Largest metadata of one image, as JSON.',
  }),
  allowUrlFetch: toggle('Fetch pictures by URL for those who may search or store. Off: no request makes the service connect anywhere.'),
  urlFetchPorts: text({ default: '80,443', description: 'Ports that URLs may name, separated by commas.' }),
  urlFetchNetworks: text({
    default: '',
    description:
      'Networks that may be fetched from although they are not public (CIDR, separated by commas), such as that of an image store.',
  }),
  urlFetchTimeoutMs: integer({ default: 10_000, min: 100, max: 600_000, unit: 'ms', description: 'Longest time for one URL in all.' }),
  urlFetchConcurrency: integer({ default: 8, min: 1, max: 256, description: 'URLs fetched at once; more are refused.' }),
  importJobs: integer({ default: 16, min: 1, max: 1000, description: 'Import jobs that may run at once; more are refused.' }),
  importConcurrency: integer({ default: 4, min: 1, max: 256, description: 'Pictures of all import jobs that are on their way at once.' }),
  importMaxArchiveBytes: integer({
    default: 2048 * MEBIBYTE,
    min: 1024,
    max: 1024 * 1024 * MEBIBYTE,
    unit: 'bytes',
    description: 'Largest archive of an import; it is kept in the data folder until the import has ended.',
  }),
  importMaxEntries: integer({ default: 100_000, min: 1, max: 10_000_000, description: 'Most entries of an archive.' }),
  importMaxExpandedBytes: integer({
    default: 16_384 * MEBIBYTE,
    min: 1024,
    max: 1024 * 1024 * MEBIBYTE,
    unit: 'bytes',
    description: 'What an archive may unpack to, and no more than 200 times its own size.',
  }),
  importTimeoutMs: integer({ default: 3_600_000, min: 1000, max: 86_400_000, unit: 'ms', description: 'Longest upload of an archive.' }),
  refitScores: text({
    default: 'on',
    choices: ['on', 'off'],
    description: 'Fit what scores mean to each collection of 500 images or more, while the service is idle; off keeps to the encoder.',
  }),
  thumbnailSize: integer({
    default: 256,
    min: 32,
    max: 512,
    unit: 'pixels',
    description: 'Longest side of the stored thumbnail; large enough to encode again with another encoder.',
  }),
  keepOriginals: toggle('Keep uploaded JPEG, PNG, WebP and GIF files, without their metadata, beside thumbnail and embedding.'),
  decoders: integer({ default: availableParallelism(), min: 1, max: 256, description: 'Decoder processes.' }),
  decodeQueue: integer({ default: 256, min: 1, max: 100_000, description: 'Images that may wait for a decoder; more are refused.' }),
  decodeTimeoutMs: integer({
    default: 5000,
    min: 100,
    max: 120_000,
    unit: 'ms',
    description:
      'Most processor time of one decode, and a third of its longest time by the clock; then its process is killed and replaced.',
  }),
  decodeMemoryBytes: integer({
    default: 1024 * MEBIBYTE,
    min: 64 * MEBIBYTE,
    max: 1024 * 1024 * MEBIBYTE,
    unit: 'bytes',
    description: 'Memory that all decodes together may be expected to take.',
  }),
  encoderThreads: integer({ default: Math.ceil(availableParallelism() / 2), min: 1, max: 256, description: 'CPU threads of the encoder.' }),
  encodeQueue: integer({ default: 256, min: 1, max: 100_000, description: 'Images that may wait for the encoder; more are refused.' }),
  batchSizeMax: integer({ default: 32, min: 1, max: 1024, description: 'Most images encoded together.' }),
  batchWaitMs: integer({
    default: 2,
    min: 0,
    max: 1000,
    unit: 'ms',
    description: 'Longest wait for a batch to fill while the encoder is busy.',
  }),
  catalogueQueue: integer({
    default: 1024,
    min: 1,
    max: 100_000,
    description: 'Requests that may wait for the catalogue; more are refused.',
  }),
  hnswM: integer({ default: 32, min: 4, max: 64, description: 'Edges a node of a new HNSW index; a rebuild is needed to change it.' }),
  hnswEfConstruction: integer({ default: 200, min: 16, max: 2000, description: 'Breadth of the search when a vector is inserted.' }),
  hnswEf: integer({
    default: 64,
    min: 8,
    max: 4000,
    description: 'Least breadth of a search: larger finds more of the true neighbours, slower.',
  }),
  hnswRecall: integer({
    default: 98,
    min: 0,
    max: 100,
    unit: 'percent',
    description:
      'Share of the ten true neighbours that searches shall find; the breadth it takes is measured on the collection. 0 keeps the least.',
  }),
  requestTimeoutMs: integer({
    default: 30_000,
    min: 1000,
    max: 600_000,
    unit: 'ms',
    description: 'Longest time for a whole request to arrive, and to be answered.',
  }),
  headersTimeoutMs: integer({
    default: 10_000,
    min: 500,
    max: 600_000,
    unit: 'ms',
    description: "Longest time for a request's headers to arrive.",
  }),
  drainTimeoutMs: integer({
    default: 8000,
    min: 0,
    max: 600_000,
    unit: 'ms',
    description: 'Longest time that a stop waits for requests in flight.',
  }),
  maxConnections: integer({ default: 2000, min: 1, max: 1_000_000, description: 'Connections held open at once.' }),
  logLevel: text({
    default: 'info',
    choices: ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
    description: 'Least severe log line that is written.',
  }),
} as const satisfies Record<string, Setting>;

/** Name of a setting in the code. */
export type SettingName = keyof typeof SETTINGS;

type ValueOf<S> = S extends TextSetting ? string : S extends IntegerSetting ? number : boolean;

/** Every setting with its value, parsed and frozen. */
export type Settings = { readonly [Name in SettingName]: ValueOf<(typeof SETTINGS)[Name]> };

/** The environment variable of a setting: LIKENESS_MAX_UPLOAD_BYTES for maxUploadBytes. */
export function variableOf(name: SettingName): string {
  return `LIKENESS_${separated(name, '_').toUpperCase()}`;
}

/** The command line flag of a setting: --max-upload-bytes for maxUploadBytes. */
export function flagOf(name: SettingName): string {
  return `--${separated(name, '-')}`;
}

function separated(name: string, separator: string): string {
  return name.replace(/[A-Z]/g, (capital) => `${separator}${capital.toLowerCase()}`);
}
