import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { it } from 'node:test';
import Database from 'better-sqlite3';
import { extract, type Header, pack } from 'tar-stream';
import { rowChecksum } from '../../../src/catalogue/records/checksums.js';
import { STORE_VERSION } from '../../../src/catalogue/records/store-schema.js';
import { type ImageRow, imageColumns } from '../../../src/catalogue/records/store-statements.js';
import { snapshotFolder } from '../../../src/catalogue/snapshots/pack-snapshot.js';
import { restoreSnapshot } from '../../../src/catalogue/snapshots/restore.js';
import { checkedImage } from '../example-images.js';
import { withTemporaryFolder } from '../temporary-folder.js';
import { ENGINE_DIMENSIONS, openTestEngine } from '../test-engine.js';
import { clusteredVectors } from '../vectors/synthetic-vectors.js';

type Part = { readonly header: Pick<Header, 'name'> & Partial<Header>; readonly content: Buffer };
type Manifest = {
  created: string;
  version: number;
  images: number;
  encoderId: string;
  members: { name: string; bytes: number; sha256: string }[];
};

async function makeSnapshot(folder: string): Promise<Part[]> {
  const draw = clusteredVectors({ dimensions: ENGINE_DIMENSIONS, clusters: 2, seed: 4 });
  const { engine } = openTestEngine(join(folder, 'data'));
  engine.write(
    Array.from({ length: 70 }, (_, place) => ({ method: 'add', args: ['default', checkedImage(`${place}`, draw())] })),
  );
  while (engine.hasWork) engine.work(1000);
  await engine.close();
  await snapshotFolder({ folder: join(folder, 'data'), out: join(folder, 'good.tar') });
  const parts: Part[] = [];
  const reader = extract();
  reader.end(readFileSync(join(folder, 'good.tar')));
  for await (const entry of reader) parts.push({ header: entry.header, content: await buffer(entry) });
  return parts;
}

/** A tar with a manifest whose checksum is right, as an attacker would write it. */
async function forge(
  parts: readonly Part[],
  change: (manifest: Manifest) => unknown = () => undefined,
): Promise<Buffer> {
  const [first, second, ...members] = parts;
  const manifest = JSON.parse(first!.content.toString()) as Manifest;
  const changed = change(manifest);
  const text = Buffer.from(`${JSON.stringify(changed ?? manifest, null, 2)}\n`);
  const digest = Buffer.from(`${sha256(text)}  manifest.json\n`);
  const tar = pack();
  const { mtime } = first!.header;
  const all = [{ header: first!.header, content: text }, { header: second!.header, content: digest }, ...members];
  for (const { header, content } of all) {
    const { name, mode, type, linkname } = header;
    const entry = {
      name,
      ...(mode !== undefined && { mode }),
      ...(mtime && { mtime }),
      type: type ?? 'file',
      ...(linkname && { linkname }),
    };
    tar.entry({ ...entry, size: content.length }, content);
  }
  tar.finalize();
  return buffer(tar);
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const file = (name: string, content: Buffer): Part => ({ header: { name, mode: 0o600, type: 'file' }, content });
const memberOf = ({ header, content }: Part) => ({ name: header.name, bytes: content.length, sha256: sha256(content) });

it('refuses a forged snapshot, each with its code, and writes nothing anywhere', () =>
  withTemporaryFolder(async (folder) => {
    const parts = await makeSnapshot(folder);
    const [first, second, database, ...indexes] = parts as [Part, Part, Part, ...Part[]];
    const path = join(folder, 'forged.tar');
    const below = join(folder, 'below');
    const content = Buffer.from('an intruder');
    const withMember = (part: Part): Promise<Buffer> =>
      forge([...parts, part], (manifest) => void manifest.members.push(memberOf(part)));
    const changedDatabase = async (sql: string): Promise<Buffer> => {
      const copy = join(folder, 'copy.db');
      writeFileSync(copy, database.content);
      const opened = new Database(copy);
      opened.exec(sql);
      // An able forger computes the checksums anew.
      if (opened.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'view'").get() === undefined) {
        const rows = opened.prepare(`SELECT ${imageColumns(STORE_VERSION)} FROM images`).all() as ImageRow[];
        const update = opened.prepare('UPDATE images SET checksum = ? WHERE sequence = ?');
        for (const row of rows) update.run(rowChecksum(row), row.sequence);
      }
      opened.close();
      const changed = file('catalogue.db', readFileSync(copy));
      return forge(
        [first, second, changed, ...indexes],
        (manifest) => void Object.assign(manifest.members[0]!, memberOf(changed)),
      );
    };

    const forgedImport = (id: string, collection: string): string =>
      `INSERT INTO imports (id, collection, kind, name, status, listed, created_at, found, added, existing, waiting, failed)
       VALUES ('${id}', '${collection}', 'urls', 'x', 'done', 1, 0, 0, 0, 0, 0, 0)`;
    const forgedCollection = async (): Promise<Buffer> => {
      const name = '../../x"';
      const changed = await changedDatabase(`UPDATE collections SET name = '${name}'`);
      const members: Part[] = [];
      const reader = extract();
      reader.end(changed);
      for await (const entry of reader) members.push({ header: entry.header, content: await buffer(entry) });
      return forge(members, (manifest) => void Object.assign(manifest, { collections: [{ name, images: 70 }] }));
    };

    // The forger is able: with nothing changed it is taken.
    writeFileSync(path, await forge(parts));
    assert.ok((await forge(parts)).equals(readFileSync(join(folder, 'good.tar'))));

    const link = (type: 'link' | 'symlink'): Part => ({
      header: { name: 'indexes/1.json', type, linkname: '/etc/passwd' },
      content: Buffer.alloc(0),
    });
    const withoutSideCar = indexes.filter(({ header }) => !header.name.endsWith('.json'));
    const forgeries: readonly (readonly [string, string, Promise<Buffer>])[] = [
      ['a path upwards', 'SNAPSHOT_DAMAGED', withMember(file('../intruder', content))],
      [
        'a path upwards in the room of indexes',
        'SNAPSHOT_DAMAGED',
        withMember(file('indexes/../../intruder', content)),
      ],
      ['an absolute path', 'SNAPSHOT_DAMAGED', withMember(file(join(folder, 'intruder'), content))],
      ['an unknown member', 'SNAPSHOT_DAMAGED', withMember(file('reserve', content))],
      ['a member twice', 'SNAPSHOT_DAMAGED', withMember(database)],
      ['a member that the manifest does not name', 'SNAPSHOT_DAMAGED', forge([...parts, file('../intruder', content)])],
      ['a symbolic link', 'SNAPSHOT_DAMAGED', forge([first, second, database, ...withoutSideCar, link('symlink')])],
      ['a hard link', 'SNAPSHOT_DAMAGED', forge([first, second, database, ...withoutSideCar, link('link')])],
      ['a member less', 'SNAPSHOT_DAMAGED', forge([first, second, database])],
      [
        'no database',
        'SNAPSHOT_DAMAGED',
        forge([first, second, ...indexes], (manifest) => void manifest.members.shift()),
      ],
      [
        'a declared size 100 times as large',
        'SNAPSHOT_TOO_LARGE',
        forge(parts, (manifest) => void Object.assign(manifest.members[0]!, { bytes: 2 ** 31 })),
      ],
      [
        'declared sizes above what numbers hold',
        'SNAPSHOT_DAMAGED',
        forge(parts, (manifest) => void Object.assign(manifest.members[0]!, { bytes: 2 ** 60 })),
      ],
      [
        'a negative size',
        'SNAPSHOT_DAMAGED',
        forge(parts, (manifest) => void Object.assign(manifest.members[0]!, { bytes: -1 })),
      ],
      [
        'a smaller size',
        'SNAPSHOT_DAMAGED',
        forge(parts, (manifest) => void Object.assign(manifest.members[0]!, { bytes: database.content.length - 4096 })),
      ],
      ['a newer format', 'SNAPSHOT_FORMAT', forge(parts, (manifest) => void Object.assign(manifest, { version: 2 }))],
      ['another format', 'SNAPSHOT_DAMAGED', forge(parts, () => ({ hello: 'world' }))],
      [
        'a count that is not so',
        'SNAPSHOT_DAMAGED',
        forge(parts, (manifest) => void Object.assign(manifest, { images: 71 })),
      ],
      [
        'another encoder than its records',
        'SNAPSHOT_DAMAGED',
        forge(parts, (manifest) => void Object.assign(manifest, { encoderId: 'other' })),
      ],
      [
        'a trigger',
        'SNAPSHOT_DAMAGED',
        changedDatabase('CREATE TRIGGER t AFTER INSERT ON images BEGIN DELETE FROM images; END'),
      ],
      [
        'a view in place of a table',
        'SNAPSHOT_DAMAGED',
        changedDatabase('DROP TABLE originals; CREATE VIEW originals AS SELECT 1 AS original'),
      ],
      ['records that are gone', 'SNAPSHOT_DAMAGED', changedDatabase('DELETE FROM images WHERE sequence = 2')],
      [
        'an embedding that is none',
        'SNAPSHOT_DAMAGED',
        changedDatabase('UPDATE embeddings SET embedding = zeroblob(64)'),
      ],
      ...(
        [
          ['metadata that are no JSON', "UPDATE images SET metadata = '{' WHERE sequence = 2"],
          ['metadata that are no object', "UPDATE images SET metadata = '[]' WHERE sequence = 2"],
          [
            'metadata that are too large',
            `UPDATE images SET metadata = '{"a":"${'x'.repeat(70_000)}"}' WHERE sequence = 2`,
          ],
          ['an empty id', "UPDATE images SET id = '' WHERE sequence = 2"],
          ['an id with a newline', "UPDATE images SET id = 'a' || char(10) WHERE sequence = 2"],
          ['a format that browsers run', "UPDATE images SET format = 'svg+xml' WHERE sequence = 2"],
          ['a negative width', 'UPDATE images SET width = -1 WHERE sequence = 2'],
          ['an import named like a path', forgedImport('../../../x', 'default')],
          ['an import of a forged collection', forgedImport('00000000-0000-4000-8000-000000000001', '../x')],
        ] as const
      ).map(([what, sql]) => [what, 'SNAPSHOT_DAMAGED', changedDatabase(sql)] as const),
      ['a forged collection', 'SNAPSHOT_DAMAGED', forgedCollection()],
      ['no database at all under its name', 'SNAPSHOT_DAMAGED', forgeDatabase(parts, Buffer.alloc(8192, 1))],
      ['no tar', 'SNAPSHOT_DAMAGED', Promise.resolve(Buffer.from('PK\u0003\u0004'.repeat(300)))],
      ['nothing', 'SNAPSHOT_DAMAGED', Promise.resolve(Buffer.alloc(0))],
    ];
    const forged = await Promise.all(
      forgeries.map(async ([what, code, bytes]) => ({ what, code, bytes: await bytes })),
    );
    const before = readdirSync(folder).sort();
    for (const { what, code, bytes } of forged) {
      writeFileSync(path, bytes);
      await assert.rejects(
        restoreSnapshot({ file: path, folder: below, maxBytes: 2 ** 30 }),
        { name: 'SearchError', code },
        what,
      );
      assert.ok(!existsSync(below), what);
      assert.deepEqual(readdirSync(folder).sort(), before, what);
    }
  }));

function forgeDatabase(parts: readonly Part[], content: Buffer): Promise<Buffer> {
  const [first, second, , ...indexes] = parts as [Part, Part, ...Part[]];
  const changed = file('catalogue.db', content);
  return forge(
    [first, second, changed, ...indexes],
    (manifest) => void Object.assign(manifest.members[0]!, memberOf(changed)),
  );
}
