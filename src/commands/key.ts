import { createHash, randomBytes } from 'node:crypto';

/** Makes an API key: prints it once, and the line for the keys file, which holds only its SHA-256. */
export function runKey(role: string): number {
  const key = randomBytes(32).toString('base64url');
  console.log(`key (shown this once):        ${key}`);
  console.log(`line for --api-keys-file:     ${role} ${createHash('sha256').update(key).digest('hex')}`);
  return 0;
}
