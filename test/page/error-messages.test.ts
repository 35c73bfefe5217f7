import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LikenessError } from '../../src/client/client.js';
import { ERROR_TABLE, type ErrorCode } from '../../src/errors.js';
import { MissingPictureError, messageFor } from '../../src/page/state/error-messages.js';

/** This and the following codes appear only at start and on the command line (docs/errors.md). */
const FIRST_OF_START = 'INVALID_SETTINGS';
/** Words for programmers, not for users of a page. */
const JARGON = /multipart|content-type|header|Retry-After|openapi|\bGET\b|\bPOST\b|stack/i;

test('every error code of a request has a message and a remedy without jargon', () => {
  const codes = Object.keys(ERROR_TABLE) as ErrorCode[];
  const answered = codes.slice(0, codes.indexOf(FIRST_OF_START));
  assert.ok(answered.length > 25);
  for (const code of answered) {
    const apiMessage = `The thing is wrong: 12 of 10.`;
    const shown = messageFor(
      new LikenessError({ code, message: apiMessage, httpStatus: ERROR_TABLE[code].httpStatus, requestId: 'r-1' }),
    );
    assert.ok(shown.title.length > 5 && shown.title.length < 60, `${code}: ${shown.title}`);
    assert.ok(shown.advice.length > 10, `${code}: ${shown.advice}`);
    assert.match(shown.detail!, /r-1/);
    if (shown.title !== 'The thing is wrong') assert.doesNotMatch(`${shown.title} ${shown.advice}`, JARGON, code);
  }
});

test('a temporary error says when to retry, and offers it', () => {
  const error = new LikenessError({ code: 'OVERLOADED', message: 'Full.', httpStatus: 503, retryAfterSeconds: 7 });
  assert.match(messageFor(error).advice, /in 7 s/);
  assert.equal(messageFor(error).offer, 'retry');
  assert.equal(messageFor(new LikenessError({ code: 'UNAUTHORISED', message: 'No.', httpStatus: 401 })).offer, 'key');
});

test('unknown codes, pictures of other browsers and errors of the page have messages', () => {
  const newer = messageFor(
    new LikenessError({
      code: 'CODE_OF_TOMORROW',
      message: 'The address is private: 10.0.0.1. Send another.',
      httpStatus: 403,
    }),
  );
  assert.equal(newer.title, 'The address is private');
  assert.ok(newer.advice.length > 10);
  assert.match(messageFor(new MissingPictureError()).title, /does not have that picture/);
  assert.equal(messageFor(new TypeError('x')).detail, 'x');
});
