/** Archives for tests, the hostile ones too, which no packer would write. */

import { buffer } from 'node:stream/consumers';
import { deflateRawSync } from 'node:zlib';
import { type Header, pack } from 'tar-stream';

/** A file in a tar; a link, folder or device where it has a type. */
export type TarFile = {
  readonly name: string;
  readonly content?: string | Buffer;
  readonly type?: Header['type'];
  readonly linkname?: string;
};

/** A tar of these. */
export async function tarOf(files: readonly TarFile[]): Promise<Buffer> {
  const archive = pack();
  for (const { name, content, type, linkname } of files) {
    archive.entry(
      { name, ...(type !== undefined && { type }), ...(linkname !== undefined && { linkname }) },
      content ?? '',
    );
  }
  archive.finalize();
  return buffer(archive);
}

/** A file in a zip, with what its headers claim falsely. */
export type ZipFile = {
  readonly name: string;
  readonly content: string | Buffer;
  readonly isPacked?: boolean;
  readonly claimedBytes?: number;
  readonly claimedCrc?: number;
  /** Unix mode: 0o120777 is a link. */
  readonly mode?: number;
  readonly flags?: number;
  /** The bytes of the name, where they are not UTF-8; then the flag of UTF-8 is not set. */
  readonly nameBytes?: Buffer;
  /** Upper byte of "version made by": 3 is Unix (as where not given), 0 is FAT. */
  readonly system?: number;
  readonly method?: number;
  /** Its data are the first file's. */
  readonly sharesFirst?: boolean;
};

/** A zip of these, written by hand. */
export function zipOf(
  files: readonly ZipFile[],
  { isPacked: allPacked = false, claimedEntries = files.length % 65536 } = {},
): Buffer {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [place, file] of files.entries()) {
    const content = Buffer.from(file.content);
    const isPacked = file.isPacked ?? allPacked;
    const data = isPacked ? deflateRawSync(content) : content;
    const name = file.nameBytes ?? Buffer.from(file.name);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE((file.flags ?? 0) | (file.nameBytes === undefined ? 0x800 : 0), 2);
    fields.writeUInt16LE(file.method ?? (isPacked ? 8 : 0), 4);
    fields.writeUInt32LE(file.claimedCrc ?? checksum(content), 10);
    fields.writeUInt32LE(data.length, 14);
    fields.writeUInt32LE(file.claimedBytes ?? content.length, 18);
    fields.writeUInt16LE(name.length, 22);
    const isShared = file.sharesFirst === true && place > 0;
    const at = isShared ? 0 : offset;
    if (!isShared) {
      locals.push(Buffer.from('PK\u0003\u0004', 'latin1'), fields, name, data);
      offset += 30 + name.length + data.length;
    }
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(((file.mode ?? 0o100644) << 16) >>> 0, 6);
    rest.writeUInt32LE(at, 10);
    const version = Buffer.from([20, file.system ?? 3]);
    directory.push(Buffer.from('PK\u0001\u0002', 'latin1'), version, fields, rest, name);
  }
  const index = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(claimedEntries, 4);
  end.writeUInt16LE(claimedEntries, 6);
  end.writeUInt32LE(index.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...locals, index, Buffer.from('PK\u0005\u0006', 'latin1'), end]);
}

/** CRC-32 by the loop of the specification: Node 20 before 20.15 has no own. */
function checksum(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
