/** Who may do what: API keys with roles, checked from the headers before a byte of the body is read. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { performance } from 'node:perf_hooks';
import type { FastifyRequest } from 'fastify';
import { SearchError } from '../errors.js';
import type { Settings } from '../settings.js';
import { createTokenBuckets } from './token-buckets.js';

const ROLES = ['read', 'write', 'admin'] as const;

/** What a key may do; each role may do all that the ones before it may. */
export type Role = (typeof ROLES)[number];

/** What a route demands. `open` routes answer without a key. Every route states one, or the application does not start. */
export type Access = 'open' | Role;

/** Which routes a key limited to collections may use: `collections`, those that keep to what the key has; `service`, none of such keys. */
export type Scope = 'collections' | 'service';

/** A key as the server holds it: never the key itself. `id` is the start of its digest, fit for logs and rate limits. */
export type ApiKey = {
  readonly id: string;
  readonly role: Role;
  readonly digest: Buffer;
  /** The only collections it is for; undefined: all. */
  readonly collections?: readonly string[];
};

/**
 * Who sent a request. `caller`, for counting: a key's id, or the address where no key was sent. `collections`: those the request may know of; undefined: all.
 * Where keys are in use, a visitor without one knows of none.
 */
export type Visitor = { readonly caller: string; readonly collections: readonly string[] | undefined };

const WRONG_KEYS_PER_MINUTE = 30;
const MAX_ADDRESSES = 10_000;
const COLLECTION = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/**
 * Keys from `apiKeys` (grant:key, comma-separated) and `apiKeysFile` (grant and SHA-256 in hex a line). A grant is a role, or a role and the collections
 * it is limited to: `write@photos+shop`. Throws INVALID_SETTINGS, all faults at once.
 */
export async function readApiKeys(settings: Pick<Settings, 'apiKeys' | 'apiKeysFile'>): Promise<readonly ApiKey[]> {
  const faults: string[] = [];
  const keys: ApiKey[] = [];
  const add = (text: string, digest: Buffer, where: string): void => {
    const grant = parseGrant(text);
    const known = keys.find((key) => key.digest.equals(digest));
    if (typeof grant === 'string') faults.push(`${where}: ${grant}`);
    else if (known === undefined) keys.push({ id: digest.toString('hex').slice(0, 8), digest, ...grant });
    else if (grantText(known) !== grantText(grant)) faults.push(`${where}: the key is there already, as ${grantText(known)}`);
  };
  const entries = settings.apiKeys === '' ? [] : settings.apiKeys.split(',');
  for (const [index, entry] of entries.entries()) {
    const colon = entry.indexOf(':');
    const key = entry.slice(colon + 1).trim();
    // A fault names the position and never the entry, which is a secret.
    if (colon < 0 || key.length < 16) faults.push(`--api-keys, entry ${index + 1}: takes role:key with a key of at least 16 characters`);
    else add(entry.slice(0, colon).trim(), digestOf(key), `--api-keys, entry ${index + 1}`);
  }
  for (const [index, line] of (await keysFileLines(settings.apiKeysFile)).entries()) {
    const content = line.replace(/#.*/, '').trim();
    if (content === '') continue;
    const [grant = '', hex, ...rest] = content.split(/\s+/);
    const where = `${settings.apiKeysFile}, line ${index + 1}`;
    if (hex === undefined || rest.length > 0 || !/^[0-9a-f]{64}$/i.test(hex)) faults.push(`${where}: takes a role and a SHA-256 in hex`);
    else add(grant, Buffer.from(hex, 'hex'), where);
  }
  if (faults.length > 0) throw new SearchError('INVALID_SETTINGS', `API keys are wrong:\n  ${faults.join('\n  ')}`);
  return keys;
}

/** What a key may do, as it is written before the key: `read`, `write@photos+shop`. The inverse of {@link parseGrant}. */
export function grantText({ role, collections }: Pick<ApiKey, 'role' | 'collections'>): string {
  return collections === undefined ? role : `${role}@${collections.toSorted().join('+')}`;
}

/** A grant from its text, or what is wrong with it. An administrator's key is never limited: snapshots hold every collection. */
export function parseGrant(text: string): Pick<ApiKey, 'role' | 'collections'> | string {
  const [role, list, ...rest] = text.split('@');
  if (!isRole(role) || rest.length > 0) return `the role must be one of ${ROLES.join(', ')}`;
  if (list === undefined) return { role };
  if (role === 'admin') return 'a key of role admin is for all collections; limit a read or write key';
  const collections = [...new Set(list.split('+'))];
  if (!collections.every((name) => COLLECTION.test(name))) return 'after @ stand names of collections, joined by +';
  return { role, collections };
}

/** Throws INVALID_SETTINGS where the service would listen to strangers without keys. */
export function refuseOpenDoors(host: string, keys: readonly ApiKey[]): void {
  if (keys.length > 0 || isLoopback(host)) return;
  throw new SearchError(
    'INVALID_SETTINGS',
    `Settings are wrong:\n  --host ${host} can be reached from elsewhere and no API keys are set: set --api-keys-file (\`likeness key\` makes keys), or listen on 127.0.0.1.`,
  );
}

/** True for addresses and names that only this machine reaches. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, '$1');
  if (name === 'localhost' || name.endsWith('.localhost')) return true;
  return isIP(name) === 4 ? name.startsWith('127.') : name === '::1';
}

/** Admits a request to a route or throws UNAUTHORISED, FORBIDDEN or, for a guesser of keys, RATE_LIMITED. */
export type Gate = (request: FastifyRequest, route: { readonly access: Access; readonly scope: Scope }) => Visitor;

/**
 * The gate before all routes. With keys: header `x-api-key` or `Authorization: Bearer`, compared by digest in constant time with every key.
 * Without keys (loopback only): any local program may come in, but no web page may, neither across origins nor by a name that was rebound
 * to 127.0.0.1, since a browser would otherwise carry a stranger's request to this machine.
 */
export function createGate(options: {
  readonly keys: readonly ApiKey[];
  readonly trustsProxy: boolean;
  /** Whether web pages of this origin are let in, for a service without keys. */
  readonly allowsOrigin?: (origin: string) => boolean;
}): Gate {
  const { keys, trustsProxy, allowsOrigin = () => false } = options;
  const guesses = createTokenBuckets({
    perMinute: WRONG_KEYS_PER_MINUTE,
    burst: WRONG_KEYS_PER_MINUTE,
    maxCallers: MAX_ADDRESSES,
    now: () => performance.now(),
  });
  return (request, { access, scope }) => {
    if (keys.length === 0) {
      if (!trustsProxy) refuseWebPages(request, allowsOrigin);
      return { caller: request.ip, collections: undefined };
    }
    const given = keyOf(request);
    const stranger: Visitor = { caller: request.ip, collections: [] };
    if (given === undefined) {
      if (access === 'open') return stranger;
      throw new SearchError('UNAUTHORISED', 'This route needs an API key: header x-api-key, or Authorization: Bearer KEY.');
    }
    const key = findKey(keys, given);
    if (key === undefined) {
      if (access === 'open') return stranger;
      const waitSeconds = guesses.take(request.ip, 1);
      if (waitSeconds > 0) throw new SearchError('RATE_LIMITED', 'Too many wrong API keys.', { retryAfterSeconds: waitSeconds });
      throw new SearchError('UNAUTHORISED', 'The API key is not valid.');
    }
    if (access !== 'open' && ROLES.indexOf(key.role) < ROLES.indexOf(access)) {
      throw new SearchError('FORBIDDEN', `This route needs a key of role ${access}; this key is of role ${key.role}.`);
    }
    if (scope === 'service' && key.collections !== undefined) {
      throw new SearchError('FORBIDDEN', 'This route tells of all collections; this key is limited to some.');
    }
    return { caller: key.id, collections: key.collections };
  };
}

function refuseWebPages(request: FastifyRequest, allowsOrigin: (origin: string) => boolean): void {
  const host = request.headers.host;
  if (host !== undefined && !isLoopback(host.replace(/:\d+$/, ''))) {
    throw new SearchError(
      'FORBIDDEN',
      'Without API keys the service answers under loopback names only; set keys to use another host name.',
    );
  }
  const origin = request.headers.origin;
  if (origin !== undefined && !allowsOrigin(origin) && (host === undefined || origin.replace(/^https?:\/\//, '') !== host)) {
    throw new SearchError('FORBIDDEN', 'Without API keys the service does not answer web pages of other origins.');
  }
}

function keyOf(request: FastifyRequest): string | undefined {
  const header = request.headers['x-api-key'];
  if (typeof header === 'string') return header;
  const bearer = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '');
  return bearer?.[1];
}

/** Every digest is compared, also after a match, so that time tells nothing. */
function findKey(keys: readonly ApiKey[], given: string): ApiKey | undefined {
  const digest = digestOf(given);
  let found: ApiKey | undefined;
  for (const key of keys) if (timingSafeEqual(key.digest, digest)) found = key;
  return found;
}

function digestOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

function isRole(value: string | undefined): value is Role {
  return ROLES.some((role) => role === value);
}

async function keysFileLines(path: string): Promise<readonly string[]> {
  if (path === '') return [];
  try {
    return (await readFile(path, 'utf8')).split('\n');
  } catch (cause) {
    throw new SearchError('INVALID_SETTINGS', `Settings are wrong:\n  --api-keys-file ${path} cannot be read.`, { cause });
  }
}
