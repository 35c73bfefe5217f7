/**
 * Authentication: API keys with roles, checked from the headers before the body is read; without keys, local
 * programs only.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { performance } from 'node:perf_hooks';
import type { FastifyRequest } from 'fastify';
import { SearchError } from '../errors.js';
import type { Settings } from '../settings.js';
import { createTokenBuckets } from './limits/token-buckets.js';

const ROLES = ['read', 'write', 'admin'] as const;

/** What a key may do; each role may do all that the ones before it may. */
export type Role = (typeof ROLES)[number];

/**
 * What a route demands. `open` routes answer without a key. Every route states one, or the application does not start.
 */
export type Access = 'open' | Role;

/**
 * Which routes a key limited to collections may use: `collections`, those that keep to what the key has; `service`,
 * none of such keys.
 */
export type Scope = 'collections' | 'service';

/**
 * A key as the server holds it: never the key itself. `id` is the start of its digest, fit for logs and rate limits.
 */
export type ApiKey = {
  readonly id: string;
  readonly role: Role;
  readonly digest: Buffer;
  /** The only collections it is for; undefined: all. */
  readonly collections?: readonly string[];
};

/**
 * Who sent a request. `caller`, for counting: a key's id, or the address (of IPv6 its /64) where no key was sent.
 * `collections`: those the request may know of; undefined: all. Where keys are set, a request without one is anonymous
 * and knows of none.
 */
export type Principal = {
  readonly caller: string;
  readonly collections: readonly string[] | undefined;
  readonly isAnonymous: boolean;
};

const WRONG_KEYS_PER_MINUTE = 30;
const MAX_ADDRESSES = 10_000;
/** Headers that reverse proxies add. */
const PROXY_HEADERS = ['x-forwarded-for', 'forwarded', 'via'];
const COLLECTION = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/**
 * Keys from `apiKeys` (grant:key, comma-separated) and `apiKeysFile` (grant and SHA-256 in hex a line). A grant is a
 * role, or a role and the collections it is limited to: `write@photos+shop`. Throws INVALID_SETTINGS, all faults
 * at once.
 */
export async function readApiKeys(settings: Pick<Settings, 'apiKeys' | 'apiKeysFile'>): Promise<readonly ApiKey[]> {
  const faults: string[] = [];
  const keys: ApiKey[] = [];
  const add = (text: string, digest: Buffer, where: string): void => {
    const grant = parseGrant(text);
    if (digest.equals(digestOf(''))) faults.push(`${where}: this is the digest of an empty key`);
    const known = keys.find((key) => key.digest.equals(digest));
    if (typeof grant === 'string') faults.push(`${where}: ${grant}`);
    else if (known === undefined) keys.push({ id: digest.toString('hex').slice(0, 8), digest, ...grant });
    else if (grantText(known) !== grantText(grant))
      faults.push(`${where}: the key is there already, as ${grantText(known)}`);
  };
  const entries = settings.apiKeys === '' ? [] : settings.apiKeys.split(',');
  for (const [index, entry] of entries.entries()) {
    const colon = entry.indexOf(':');
    const key = entry.slice(colon + 1).trim();
    // A fault names the position and never the entry, which is a secret.
    if (colon < 0 || key.length < 16)
      faults.push(`--api-keys, entry ${index + 1}: takes role:key with a key of at least 16 characters`);
    else add(entry.slice(0, colon).trim(), digestOf(key), `--api-keys, entry ${index + 1}`);
  }
  for (const [index, line] of (await keysFileLines(settings.apiKeysFile)).entries()) {
    const content = line.replace(/#.*/, '').trim();
    if (content === '') continue;
    const [grant = '', hex, ...rest] = content.split(/\s+/);
    const where = `${settings.apiKeysFile}, line ${index + 1}`;
    if (hex === undefined || rest.length > 0 || !/^[0-9a-f]{64}$/i.test(hex))
      faults.push(`${where}: takes a role and a SHA-256 in hex`);
    else add(grant, Buffer.from(hex, 'hex'), where);
  }
  // Without this, an empty or wholly commented file would open everything.
  if (faults.length === 0 && keys.length === 0 && settings.apiKeys + settings.apiKeysFile !== '')
    faults.push(`${settings.apiKeysFile || '--api-keys'} holds no key; \`likeness key\` makes one`);
  if (faults.length > 0) throw new SearchError('INVALID_SETTINGS', `API keys are wrong:\n  ${faults.join('\n  ')}`);
  return keys;
}

/**
 * What a key may do, as it is written before the key: `read`, `write@photos+shop`. The inverse of {@link parseGrant}.
 */
export function grantText({ role, collections }: Pick<ApiKey, 'role' | 'collections'>): string {
  return collections === undefined ? role : `${role}@${collections.toSorted().join('+')}`;
}

/**
 * A grant from its text, or what is wrong with it. An administrator's key is never limited: snapshots hold
 * every collection.
 */
export function parseGrant(text: string): Pick<ApiKey, 'role' | 'collections'> | string {
  const [role, list, ...rest] = text.split('@');
  if (!isRole(role) || rest.length > 0) return `the role must be one of ${ROLES.join(', ')}`;
  if (list === undefined) return { role };
  if (role === 'admin') return 'a key of role admin is for all collections; limit a read or write key';
  const collections = [...new Set(list.split('+'))];
  if (!collections.every((name) => COLLECTION.test(name))) return 'after @ stand names of collections, joined by +';
  return { role, collections };
}

/**
 * Throws INVALID_SETTINGS where other machines could use the service without keys: off loopback, or through a
 * reverse proxy.
 */
export function requireKeysOffLoopback(
  { host, trustProxy }: Pick<Settings, 'host' | 'trustProxy'>,
  keys: readonly ApiKey[],
): void {
  if (keys.length > 0) return;
  if (trustProxy !== '')
    throw new SearchError(
      'INVALID_SETTINGS',
      'Settings are wrong:\n  --trust-proxy lets in whoever reaches the proxy, and no API keys are set: set --api-keys-file (`likeness key` makes keys).',
    );
  if (isLoopback(host)) return;
  throw new SearchError(
    'INVALID_SETTINGS',
    `Invalid settings:\n  --host ${host} can be reached from elsewhere and no API keys are set: set --api-keys-file (\`likeness key\` makes keys), or listen on 127.0.0.1.`,
  );
}

/** True for addresses and names that only this machine reaches. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, '$1');
  if (name === 'localhost' || name.endsWith('.localhost')) return true;
  return isIP(name) === 4 ? name.startsWith('127.') : name === '::1';
}

/** The principal of a request to a route. Throws UNAUTHORISED, FORBIDDEN, or RATE_LIMITED after too many wrong keys. */
export type Authenticate = (
  request: FastifyRequest,
  route: { readonly access: Access; readonly scope: Scope },
) => Principal;

/**
 * With keys: header `x-api-key` or `Authorization: Bearer`, compared by digest in constant time with every key. Without
 * keys (loopback only): local programs may use the service. Web pages of other origins may not, nor requests through a
 * proxy, nor names that resolve to 127.0.0.1 (DNS rebinding).
 */
export function createAuthenticator(options: {
  readonly keys: readonly ApiKey[];
  /** Whether web pages of this origin may use a service without keys. */
  readonly allowsOrigin?: (origin: string) => boolean;
}): Authenticate {
  const { keys, allowsOrigin = () => false } = options;
  const guesses = createTokenBuckets({
    perMinute: WRONG_KEYS_PER_MINUTE,
    burst: WRONG_KEYS_PER_MINUTE,
    maxCallers: MAX_ADDRESSES,
    now: () => performance.now(),
  });
  return (request, { access, scope }) => {
    const address = callerAddress(request.ip);
    if (keys.length === 0) {
      refuseWebPages(request, allowsOrigin);
      return { caller: address, collections: undefined, isAnonymous: false };
    }
    const given = keyOf(request);
    const anonymous: Principal = { caller: address, collections: [], isAnonymous: true };
    if (given === undefined) {
      if (access === 'open') return anonymous;
      throw new SearchError(
        'UNAUTHORISED',
        'This route needs an API key: header x-api-key, or Authorization: Bearer KEY.',
      );
    }
    const key = findKey(keys, given);
    if (key === undefined) {
      // Open routes count as well, or they would tell right keys from wrong ones without limit.
      const waitSeconds = guesses.take(address, 1);
      if (waitSeconds > 0)
        throw new SearchError('RATE_LIMITED', 'Too many wrong API keys.', { retryAfterSeconds: waitSeconds });
      if (access === 'open') return anonymous;
      throw new SearchError('UNAUTHORISED', 'The API key is not valid.');
    }
    if (access !== 'open' && ROLES.indexOf(key.role) < ROLES.indexOf(access)) {
      throw new SearchError('FORBIDDEN', `This route needs a key of role ${access}; this key is of role ${key.role}.`);
    }
    if (scope === 'service' && key.collections !== undefined) {
      throw new SearchError('FORBIDDEN', 'This route tells of all collections; this key is limited to some.');
    }
    return { caller: key.id, collections: key.collections, isAnonymous: false };
  };
}

/**
 * An address as one caller: without a port that a proxy appended, of IPv6 the /64, since a client can use all of it.
 */
export function callerAddress(ip: string): string {
  const address = ip.replace(/^\[(.*)\](:\d+)?$/, '$1').replace(/^(\d+(?:\.\d+){3}):\d+$/, '$1');
  if (isIP(address) !== 6) return address;
  const mapped = /^::ffff:(\d+(?:\.\d+){3})$/i.exec(address);
  if (mapped?.[1] !== undefined) return mapped[1];
  // The URL parser writes the address in its one canonical form.
  const [head = '', tail] = new URL(`http://[${address.replace(/%.*$/, '')}]`).hostname.slice(1, -1).split('::');
  const first = head === '' ? [] : head.split(':');
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? [] : Array.from({ length: 8 - first.length - last.length }, () => '0');
  return `${[...first, ...zeros, ...last].slice(0, 4).join(':')}::/64`;
}

/** The guard of a service without keys; its metrics port has it too. Throws FORBIDDEN. */
export function refuseWebPages(request: FastifyRequest, allowsOrigin: (origin: string) => boolean = () => false): void {
  const { host, origin } = request.headers;
  if (host !== undefined && !isLoopback(host.replace(/:\d+$/, ''))) {
    throw new SearchError(
      'FORBIDDEN',
      'Without API keys the service answers under loopback names only; set keys to use another host name.',
    );
  }
  if (PROXY_HEADERS.some((name) => request.headers[name] !== undefined)) {
    throw new SearchError(
      'FORBIDDEN',
      'Without API keys the service answers no request that came through a proxy; set --api-keys-file and --trust-proxy.',
    );
  }
  if (origin !== undefined) {
    if (allowsOrigin(origin) || (host !== undefined && origin.replace(/^https?:\/\//, '') === host)) return;
    throw new SearchError('FORBIDDEN', 'Without API keys the service does not answer web pages of other origins.');
  }
  // Browsers send no Origin with images, scripts and links of other pages, but they say where these come from.
  if (!/^(cross-site|same-site)$/.test(String(request.headers['sec-fetch-site']))) return;
  const path = request.url.split('?', 1)[0] ?? '';
  const isPage = path === '/' && request.headers['sec-fetch-mode'] === 'navigate';
  if (!isPage && path !== '/likeness-search.js' && !path.startsWith('/assets/'))
    throw new SearchError('FORBIDDEN', 'Without API keys the service does not answer web pages of other sites.');
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
    throw new SearchError('INVALID_SETTINGS', `Invalid settings:\n  --api-keys-file ${path} cannot be read.`, {
      cause,
    });
  }
}
