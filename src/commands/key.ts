import { createHash, randomBytes } from 'node:crypto';
import { SearchError } from '../errors.js';
import { grantText, parseGrant, type Role } from '../server/auth.js';

/** What the key may do, and the only collections it is for; all where none is named. */
type KeyFlags = { readonly role: Role; readonly collection?: readonly string[] };

/**
 * Makes an API key: prints it once, and the line for the keys file, which holds only its SHA-256. Throws
 * INVALID_SETTINGS for what no key can be.
 */
export function runKey(flags: KeyFlags): number {
  const { role, collection } = flags;
  const grant = collection === undefined ? role : `${role}@${collection.join('+')}`;
  const parsed = parseGrant(grant);
  if (typeof parsed === 'string') throw new SearchError('INVALID_SETTINGS', `The key cannot be made: ${parsed}.`);
  const key = randomBytes(32).toString('base64url');
  console.log(`key (shown this once):        ${key}`);
  console.log(`line for --api-keys-file:     ${grantText(parsed)} ${createHash('sha256').update(key).digest('hex')}`);
  return 0;
}
