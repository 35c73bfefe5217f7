import { type ErrorCode, SearchError } from '../../errors.js';

/** Strings, which are skipped, and numbers of a JSON text. */
const STRING_OR_NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/**
 * Parses JSON whose numbers JavaScript holds exactly enough to give them back. Throws `code` for text that is not JSON,
 * for a whole number beyond 2^53 - 1, which would change silently, and for one beyond the range of doubles. `name`:
 * what the text is, for the message.
 */
export function parseExactJson(text: string, name: string, code: ErrorCode = 'INVALID_REQUEST'): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SearchError(code, `${name} is not JSON.`, { cause });
  }
  checkExactNumbers(text, name, code);
  return value;
}

/** Throws as {@link parseExactJson} does for numbers; `text` is JSON. */
export function checkExactNumbers(text: string, name: string, code: ErrorCode = 'INVALID_REQUEST'): void {
  for (const [token] of text.matchAll(STRING_OR_NUMBER)) {
    if (token.startsWith('"')) continue;
    const number = Number(token);
    const isTooSmall = number === 0 && digitsOf(token) !== '';
    // Powers of ten such as 1e20 come back as they were sent.
    const isKept = /[eE]/.test(token) && digitsOf(token) === digitsOf(String(number));
    const isExact = Math.abs(number) < Number.MAX_SAFE_INTEGER + 1 || isKept;
    if (Number.isFinite(number) && isExact && !isTooSmall) continue;
    const shown = token.length > 40 ? `${token.slice(0, 40)}...` : token;
    const limit = Number.isFinite(number) ? `beyond 2^53 - 1 (${Number.MAX_SAFE_INTEGER})` : 'beyond 1.8e308';
    throw new SearchError(
      code,
      `${name} holds the number ${shown}, which is ${isTooSmall ? 'below 5e-324' : limit} and would change. Send it as a string.`,
    );
  }
}

/** The digits of a number before its exponent, without leading and trailing zeros. */
function digitsOf(token: string): string {
  return token
    .replace(/[eE].*/, '')
    .replace(/[-.]/g, '')
    .replace(/^0+|0+$/g, '');
}
