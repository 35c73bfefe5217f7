/**
 * Every setting of the service: type, default, limits and a sentence. Each is a flag (`--max-upload-bytes`) and an
 * environment variable (`LIKENESS_MAX_UPLOAD_BYTES`). docs/settings.md is generated from these tables.
 */
import { availableParallelism } from 'node:os';

type Common<Value> = {
  readonly default: Value;
  readonly description: string;
  readonly unit?: string;
  readonly secret?: boolean;
};
type TextSetting = Common<string> & { readonly kind: 'text'; readonly choices?: readonly string[] };
type IntegerSetting = Common<number> & { readonly kind: 'integer'; readonly min: number; readonly max: number };
type SwitchSetting = Common<boolean> & { readonly kind: 'switch' };

/** One setting. */
export type Setting = TextSetting | IntegerSetting | SwitchSetting;

function text(standard: string, description: string, choices?: readonly string[]): TextSetting {
  return { kind: 'text', default: standard, description, ...(choices !== undefined && { choices }) };
}

function integer(
  standard: number,
  limits: Pick<IntegerSetting, 'min' | 'max' | 'unit'>,
  description: string,
): IntegerSetting {
  return { kind: 'integer', default: standard, ...limits, description };
}

function toggle(description: string): SwitchSetting {
  return { kind: 'switch', default: false, description };
}

/** More decoders than this are rarely kept busy, and their threads would pass the limits of a container. */
const DECODERS_DEFAULT_MAX = 8;
const MEBIBYTE = 1024 * 1024;
/** The maximum is the largest picture that libvips opens. */
const PIXELS = { min: 1, max: 268_402_689, unit: 'pixels' } as const;

const network = {
  host: text('127.0.0.1', 'Address to listen on. Any address but loopback requires API keys.'),
  port: integer(8080, { min: 0, max: 65535 }, 'Port to listen on; 0 selects a free one.'),
  metricsPort: integer(
    0,
    { min: 0, max: 65535 },
    'Separate port of GET /metrics, on --metrics-host; 0 serves it on the main port, with a read key for all collections where keys are set.',
  ),
  metricsHost: text('127.0.0.1', 'Address of the metrics port. It asks for no key: let only the monitoring reach it.'),
  apiKeys: {
    ...text(
      '',
      'Keys as role:key, separated by commas. Roles are read, write and admin; read and write can be limited to collections: read@photos+shop:key. A keys file is safer.',
    ),
    secret: true,
  },
  apiKeysFile: text(
    '',
    'File of keys, one per line: role, or role@collection+collection, then the SHA-256 of the key in hex. `likeness key` creates such a line.',
  ),
  trustProxy: text('', 'Address or network of the reverse proxy whose X-Forwarded-For is trusted; empty trusts none.'),
  corsOrigins: text(
    '',
    'Origins whose web pages may use the service (https://shop.example), separated by commas; * allows all, empty none.',
  ),
  rateLimit: integer(
    0,
    { min: 0, max: 1e9, unit: 'images a minute' },
    'Images that one key or address may send, in bursts of ten seconds; 0 sets no limit.',
  ),
  maxConnections: integer(2000, { min: 1, max: 1_000_000 }, 'Open connections.'),
};

const data = {
  data: text('data', 'Folder of the catalogue: database, indexes and snapshots.'),
  model: text('models/photos', 'Folder of the saved encoder.'),
  device: text('auto', 'Where the encoder runs. auto selects the best device that encodes a test image.', [
    'auto',
    'cpu',
    'cuda',
    'webgpu',
    'tensorflow-gpu',
    'tensorflow',
  ]),
  encoderThreads: integer(Math.ceil(availableParallelism() / 2), { min: 1, max: 256 }, 'CPU threads of the encoder.'),
  comparisonThreads: integer(
    2,
    { min: 1, max: 256 },
    'Threads that align pictures to tell edited copies from look-alikes, and compare regions.',
  ),
  batchSizeMax: integer(32, { min: 1, max: 1024 }, 'Images encoded together, at most.'),
  batchWaitMs: integer(
    2,
    { min: 0, max: 1000, unit: 'ms' },
    'Longest wait for a batch to fill while the encoder is busy.',
  ),
  thumbnailSize: integer(256, { min: 32, max: 512, unit: 'pixels' }, 'Longest side of the stored thumbnail.'),
  keepOriginals: toggle(
    'Keep uploaded JPEG, PNG, WebP and GIF files, without their metadata, beside thumbnail and embedding.',
  ),
  refitScores: text(
    'on',
    'Fit the meaning of scores to each collection of 500 images or more, while the service is idle; off uses that of the encoder.',
    ['on', 'off'],
  ),
};

const requests = {
  maxUploadBytes: integer(10 * MEBIBYTE, { min: 1024, max: 1024 * MEBIBYTE, unit: 'bytes' }, 'Largest image file.'),
  maxFilesPerRequest: integer(32, { min: 1, max: 1000 }, 'Files in one POST /index, at most.'),
  maxMetadataBytes: integer(8192, { min: 2, max: 65_536, unit: 'bytes' }, 'Largest metadata of one image, as JSON.'),
  uploadMemoryBytes: integer(
    512 * MEBIBYTE,
    { min: MEBIBYTE, max: MEBIBYTE ** 2, unit: 'bytes' },
    'Memory for all uploads that arrive or wait; more are refused.',
  ),
  responseMemoryBytes: integer(
    128 * MEBIBYTE,
    { min: MEBIBYTE, max: MEBIBYTE ** 2, unit: 'bytes' },
    'Memory for responses that clients have not read yet; further large responses are refused.',
  ),
  uploadMinRate: integer(
    4096,
    { min: 1, max: 1e9, unit: 'bytes a second' },
    'Rate at which a body must arrive once it takes longer than --request-timeout-ms; slower ones are refused.',
  ),
  maxImagesInFlight: integer(
    256,
    { min: 1, max: 100_000 },
    'Images that may be decoded, encoded or searched at once, queues included; more are refused.',
  ),
  queueWaitMs: integer(
    500,
    { min: 10, max: 600_000, unit: 'ms' },
    'Longest expected wait of an image in the queue, estimated from recent throughput; an image that would wait longer is refused at once.',
  ),
  requestTimeoutMs: integer(
    30_000,
    { min: 1000, max: 600_000, unit: 'ms' },
    'Longest time for a whole request to arrive, and for its response.',
  ),
  headersTimeoutMs: integer(
    10_000,
    { min: 500, max: 600_000, unit: 'ms' },
    'Longest time for the headers of a request to arrive.',
  ),
  drainTimeoutMs: integer(
    8000,
    { min: 0, max: 600_000, unit: 'ms' },
    'Longest time that a stop waits for requests in progress.',
  ),
};

const decoding = {
  maxPixels: integer(50_000_000, PIXELS, 'Largest JPEG, PNG, WebP or TIFF.'),
  maxPixelsGif: integer(25_000_000, PIXELS, 'Largest GIF frame.'),
  maxPixelsAvif: integer(
    16_000_000,
    PIXELS,
    'Largest AVIF. It takes about 17 bytes a pixel to decode, so its limit is lower.',
  ),
  decoders: integer(
    Math.min(availableParallelism(), DECODERS_DEFAULT_MAX),
    { min: 1, max: 256 },
    'Decoder processes, each of some 12 threads and 70 MiB; one for each processor, at most 8 unless set.',
  ),
  decodeTimeoutMs: integer(
    5000,
    { min: 100, max: 120_000, unit: 'ms' },
    'Processor time of one decode, at most, and a third of its longest elapsed time; then its process is killed and replaced.',
  ),
  decodeMemoryBytes: integer(
    1024 * MEBIBYTE,
    { min: 64 * MEBIBYTE, max: MEBIBYTE ** 2, unit: 'bytes' },
    'Estimated memory of all decodes in progress, at most.',
  ),
};

const fetching = {
  allowUrlFetch: toggle(
    'Fetch pictures by URL for clients that may search or store. When off, no request makes the service open a connection.',
  ),
  urlFetchPorts: text('80,443', 'Ports allowed in URLs, separated by commas.'),
  urlFetchNetworks: text(
    '',
    'Non-public networks from which pictures may be fetched (CIDR, separated by commas), such as that of an image store.',
  ),
  urlFetchTimeoutMs: integer(10_000, { min: 100, max: 600_000, unit: 'ms' }, 'Longest time for one URL in all.'),
  urlFetchConcurrency: integer(8, { min: 1, max: 256 }, 'URLs fetched at once; more are refused.'),
};

const imports = {
  importJobs: integer(16, { min: 1, max: 1000 }, 'Import jobs that may run at once; more are refused.'),
  importConcurrency: integer(4, { min: 1, max: 256 }, 'Pictures in progress at once, of all import jobs together.'),
  importMaxArchiveBytes: integer(
    2048 * MEBIBYTE,
    { min: 1024, max: MEBIBYTE ** 2, unit: 'bytes' },
    'Largest archive of an import; it is kept in the data folder until the import has ended.',
  ),
  importMaxEntries: integer(100_000, { min: 1, max: 10_000_000 }, 'Entries of an archive, at most.'),
  importMaxExpandedBytes: integer(
    16_384 * MEBIBYTE,
    { min: 1024, max: MEBIBYTE ** 2, unit: 'bytes' },
    'Unpacked size of an archive, at most; it may also be no more than 200 times the size of the archive.',
  ),
  importTimeoutMs: integer(
    3_600_000,
    { min: 1000, max: 86_400_000, unit: 'ms' },
    'Longest time for an archive to arrive.',
  ),
};

const index = {
  catalogueQueue: integer(
    1024,
    { min: 1, max: 100_000 },
    'Requests that may wait for the catalogue; more are refused.',
  ),
  hnswM: integer(32, { min: 4, max: 64 }, 'Edges per node of a new HNSW index; to change it, rebuild the index.'),
  hnswEfConstruction: integer(
    200,
    { min: 16, max: 2000 },
    'efConstruction: candidates kept when a vector is inserted.',
  ),
  hnswEf: integer(
    64,
    { min: 8, max: 4000 },
    'Minimum efSearch: a larger value finds more of the true neighbours and takes longer.',
  ),
  hnswRecall: integer(
    98,
    { min: 0, max: 100, unit: 'percent' },
    'Target recall of the ten nearest neighbours; the efSearch for it is measured on each collection. 0 always uses the minimum.',
  ),
};

const logging = {
  logLevel: text('info', 'Lowest level of log lines that are written.', [
    'fatal',
    'error',
    'warn',
    'info',
    'debug',
    'trace',
    'silent',
  ]),
};

/** The settings in groups, in the order of the documentation. */
export const SETTING_GROUPS = {
  'Network and access': network,
  'Data and encoder': data,
  Requests: requests,
  Decoding: decoding,
  'Fetching by URL': fetching,
  Imports: imports,
  'Search index': index,
  Log: logging,
} as const satisfies { readonly [title: string]: { readonly [name: string]: Setting } };

/** All settings by name. */
export const SETTINGS = {
  ...network,
  ...data,
  ...requests,
  ...decoding,
  ...fetching,
  ...imports,
  ...index,
  ...logging,
};

/** Name of a setting in the code, such as `maxUploadBytes`. */
export type SettingName = keyof typeof SETTINGS;

type ValueOf<S> = S extends TextSetting ? string : S extends IntegerSetting ? number : boolean;

/** The values of all settings. */
export type Settings = { readonly [Name in SettingName]: ValueOf<(typeof SETTINGS)[Name]> };

/** The environment variable of a setting, such as LIKENESS_MAX_UPLOAD_BYTES. */
export function variableOf(name: SettingName): string {
  return `LIKENESS_${separated(name, '_').toUpperCase()}`;
}

/** The command line flag of a setting, such as --max-upload-bytes. */
export function flagOf(name: SettingName): string {
  return `--${separated(name, '-')}`;
}

/** Defaults that depend on the machine. */
const MACHINE_DEFAULTS: { readonly [name: string]: string } = {
  decoders: 'processors, at most 8',
  encoderThreads: 'half of the processors',
};

/** The text of docs/settings.md. */
export function settingsDocument(): string {
  const sections = Object.entries(SETTING_GROUPS).map(([title, settings]) => {
    const rows = Object.entries(settings as { readonly [name: string]: Setting }).map(([key, setting]) => {
      const name = key as SettingName; // the groups hold exactly the settings
      const standard = MACHINE_DEFAULTS[name] ?? (setting.default === '' ? 'none' : String(setting.default));
      return `| \`${flagOf(name)}\` | \`${variableOf(name)}\` | ${standard} | ${setting.unit ?? ''} | ${setting.description} |\n`;
    });
    return `\n## ${title}\n\n| flag | variable | default | unit | meaning |\n|---|---|---|---|---|\n${rows.join('')}`;
  });
  return `# Settings

Every setting is a flag of \`likeness serve\` and an environment variable; the flag takes precedence. Invalid or unknown settings stop the start, and
all of them are listed at once. This file is generated from \`src/settings.ts\` (\`node dist/src/cli.js docs\`).
${sections.join('')}`;
}

function separated(name: string, separator: string): string {
  return name.replace(/[A-Z]/g, (capital) => `${separator}${capital.toLowerCase()}`);
}
