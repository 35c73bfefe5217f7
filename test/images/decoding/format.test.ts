import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SearchError } from '../../../src/errors.js';
import { recogniseFormat } from '../../../src/images/decoding/format.js';

const bytes = (latin1: string) => new Uint8Array(Buffer.from(latin1, 'latin1'));
const ftyp = (major: string, ...compatible: string[]) =>
  bytes(`\0\0\0${String.fromCharCode(16 + 4 * compatible.length)}ftyp${major}\0\0\0\0${compatible.join('')}`);

test('the accepted formats are recognised by their first bytes', () => {
  assert.equal(recogniseFormat(bytes('\xff\xd8\xff\xe0')), 'jpeg');
  assert.equal(recogniseFormat(bytes('\x89PNG\r\n\x1a\n')), 'png');
  assert.equal(recogniseFormat(bytes('RIFF\0\0\0\0WEBPVP8 ')), 'webp');
  assert.equal(recogniseFormat(bytes('GIF87a')), 'gif');
  assert.equal(recogniseFormat(bytes('GIF89a')), 'gif');
  for (const magic of ['II*\0', 'MM\0*', 'II+\0', 'MM\0+']) assert.equal(recogniseFormat(bytes(magic)), 'tiff');
  assert.equal(recogniseFormat(ftyp('avif', 'mif1', 'miaf')), 'avif');
  assert.equal(recogniseFormat(ftyp('avif', 'avis', 'msf1')), 'avif');
  assert.throws(() => recogniseFormat(ftyp('avis', 'msf1')), /AVIF image sequence/);
  assert.equal(recogniseFormat(ftyp('mif1', 'avif', 'miaf')), 'avif');
});

test('a view into a larger buffer is read from where it begins', () => {
  const larger = bytes('xxxxGIF89a');
  assert.equal(recogniseFormat(larger.subarray(4)), 'gif');
});

test('HEIC has a code of its own, whichever of its brands leads', () => {
  for (const heic of [
    ftyp('heic', 'mif1', 'heic'),
    ftyp('mif1', 'heic'),
    ftyp('msf1', 'hevc'),
    ftyp('heix'),
    ftyp('mif1'),
  ]) {
    assert.throws(() => recogniseFormat(heic), { code: 'HEIC_NOT_SUPPORTED' });
  }
});

test('what is refused is named where it is known', () => {
  const looks: readonly (readonly [string, RegExp])[] = [
    ['<?xml version="1.0"?>\n<!-- c -->\n<svg xmlns="http://www.w3.org/2000/svg"/>', /SVG/],
    ['<\0s\0v\0g\0 \0', /SVG/], // UTF-16
    ['%PDF-1.7', /PDF/],
    ['junk before\n%PDF-1.4', /PDF/],
    ['BM\x36\0', /BMP/],
    ['<!DOCTYPE html><html>', /HTML/],
    ['PK\x03\x04', /ZIP/],
    ['8BPS', /Photoshop/],
    ['\0\0\0\x0cJXL \r\n', /JPEG XL/],
    ['\x1f\x8b\x08', /gzip/],
    ['\0\0\0\x18ftypmp42', /video/],
    ['RIFF\0\0\0\0WAVE', /no image format known/],
    ['', /empty/],
    ['\xff', /no image format known/],
    ['a\0\0\0ftyp', /video/],
  ];
  for (const [content, expected] of looks) {
    assert.throws(
      () => recogniseFormat(bytes(content)),
      (error) => {
        assert.ok(error instanceof SearchError);
        assert.equal(error.code, 'UNSUPPORTED_FORMAT');
        assert.match(error.message, expected);
        return true;
      },
    );
  }
});
