/** Links of the documents lead to files and headings of the repository, and the paths that they name are there. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { test } from 'node:test';
import { REPOSITORY } from './service-process.js';

const documents = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.md'], {
  cwd: REPOSITORY,
  encoding: 'utf8',
})
  .split('\n')
  .filter((path) => path !== '');

/** Anchors as GitHub makes them of headings: lower case, spaces to hyphens, other punctuation dropped. */
function anchorsOf(path: string): readonly string[] {
  const headings = readFileSync(path, 'utf8').matchAll(/^#{1,6}\s+(.+)$/gm);
  return [...headings].map(([, text = '']) =>
    text
      .toLowerCase()
      .replace(/[`*[\]()]/g, '')
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replace(/\s/g, '-'),
  );
}

test('every link of a document leads somewhere', () => {
  assert.ok(documents.includes('README.md'));
  const broken: string[] = [];
  for (const path of documents) {
    const text = readFileSync(join(REPOSITORY, path), 'utf8').replace(/^(```|~~~)[\s\S]*?^\1/gm, '');
    for (const [, target = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [file = '', anchor] = target.split('#');
      const full = file === '' ? join(REPOSITORY, path) : join(REPOSITORY, posix.join(dirname(path), file));
      if (!existsSync(full) || relative(REPOSITORY, full).startsWith('..')) broken.push(`${path}: ${target}`);
      else if (anchor !== undefined && statSync(full).isFile() && !anchorsOf(full).includes(anchor))
        broken.push(`${path}: no heading #${anchor}`);
    }
  }
  assert.deepEqual(broken, []);
});

test('every file and folder that ARCHITECTURE.md and CONTRIBUTING.md name is there', () => {
  const missing = ['ARCHITECTURE.md', 'CONTRIBUTING.md'].flatMap((document) => {
    const text = readFileSync(join(REPOSITORY, document), 'utf8');
    const code = [...text.matchAll(/^```$[\s\S]*?^```$|`[^`\n]+`/gm)].map(([span]) => span).join('\n');
    const paths = [...code.matchAll(/(?<![\w./<-])[\w-]+(?:\/[\w-]+)*(?:\.(?:tsx?|md|yaml)\b|\/(?!\w))/g)].map(
      ([path]) => path,
    );
    assert.ok(paths.length > 10, `${document} names ${paths.join(', ')}`);
    // The path of a request is drawn below src/server/.
    return paths.filter((path) => !['', 'src', 'src/server'].some((top) => existsSync(join(REPOSITORY, top, path))));
  });
  assert.deepEqual(missing, []);
});
