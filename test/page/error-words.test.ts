import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LikenessError } from '../../src/client/client.js';
import { ERROR_TABLE, type ErrorCode } from '../../src/errors.js';
import { MissingPictureError, wordsFor } from '../../src/page/state/error-words.js';

/** From this code on they appear at the start and on the command line only (docs/errors.md). */
const FIRST_OF_START = 'INVALID_SETTINGS';
/** What speaks to a programmer, not to who looks at a page. */
const JARGON = /multipart|content-type|header|Retry-After|openapi|\bGET\b|\bPOST\b|stack/i;

test('every code that a request may answer is told in words for people, with a remedy', () => {
  const codes = Object.keys(ERROR_TABLE) as ErrorCode[];
  const answered = codes.slice(0, codes.indexOf(FIRST_OF_START));
  assert.ok(answered.length > 25);
  for (const code of answered) {
    const message = `The thing is wrong: 12 of 10.`;
    const words = wordsFor(new LikenessError({ code, message, httpStatus: ERROR_TABLE[code].httpStatus, requestId: 'r-1' }));
    assert.ok(words.title.length > 5 && words.title.length < 60, `${code}: ${words.title}`);
    assert.ok(words.advice.length > 10, `${code}: ${words.advice}`);
    assert.match(words.detail!, /r-1/);
    if (words.title !== 'The thing is wrong') assert.doesNotMatch(`${words.title} ${words.advice}`, JARGON, code);
  }
});

test('what can be tried again later says when, and offers it', () => {
  const error = new LikenessError({ code: 'OVERLOADED', message: 'Full.', httpStatus: 503, retryAfterSeconds: 7 });
  assert.match(wordsFor(error).advice, /in 7 s/);
  assert.equal(wordsFor(error).offer, 'retry');
  assert.equal(wordsFor(new LikenessError({ code: 'UNAUTHORISED', message: 'No.', httpStatus: 401 })).offer, 'key');
});

test('a code of a newer service, a picture of another browser and a fault of the page are told too', () => {
  const newer = wordsFor(
    new LikenessError({ code: 'CODE_OF_TOMORROW', message: 'The address is private: 10.0.0.1. Send another.', httpStatus: 403 }),
  );
  assert.equal(newer.title, 'The address is private');
  assert.ok(newer.advice.length > 10);
  assert.match(wordsFor(new MissingPictureError()).title, /does not have that picture/);
  assert.equal(wordsFor(new TypeError('x')).detail, 'x');
});
