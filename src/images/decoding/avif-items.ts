/** The items of an AVIF file (ISO/IEC 23008-12, 14496-12): which of them are decoded, and how large they are. */
import { SearchError } from '../../errors.js';

type Size = { readonly width: number; readonly height: number };

/** The file with `avif` as its major brand, by which libvips recognises AV1; other writers put mif1 or miaf first. */
export function asAvif(bytes: Uint8Array): Uint8Array {
  const major = String.fromCharCode(...bytes.subarray(8, 12));
  if (major === 'avif') return bytes;
  const copy = Uint8Array.from(bytes);
  copy.set([0x61, 0x76, 0x69, 0x66], 8);
  return copy;
}

/**
 * Size of the largest item that decoding the primary item reaches: itself, the tiles of a grid (dimg) and alpha planes
 * (auxl). Thumbnails are not decoded. Throws UNREADABLE_IMAGE where the boxes are invalid, since their sizes could not
 * be limited then.
 */
export function largestItem(bytes: Uint8Array): Size {
  try {
    return sizesOf(new Boxes(bytes));
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new SearchError('UNREADABLE_IMAGE', 'The AVIF image is damaged or incomplete and cannot be decoded.', {
      cause,
    });
  }
}

function sizesOf(file: Boxes): Size {
  const meta = file.find('meta').skip(4); // version and flags
  const primary = meta.find('pitm').read((box, version) => (version === 0 ? box.u16() : box.u32()));
  const references = meta.has('iref') ? readReferences(meta.find('iref')) : [];
  const decoded = new Set([primary]);
  for (const id of decoded) {
    for (const { type, from, to } of references) {
      if (type === 'dimg' && from === id) for (const item of to) decoded.add(item);
      if (type === 'auxl' && to.includes(id)) decoded.add(from);
    }
  }
  const properties = meta.find('iprp');
  const sizes = [...properties.find('ipco').children()].map(({ type, box }): Size | undefined =>
    type === 'ispe' ? box.read((at) => ({ width: at.u32(), height: at.u32() })) : undefined,
  );
  let largest: Size = { width: 0, height: 0 };
  for (const { type, box } of properties.children()) {
    if (type !== 'ipma') continue;
    for (const { item, indices } of readAssociations(box)) {
      for (const index of decoded.has(item) ? indices : []) {
        const size = sizes[index - 1];
        if (size !== undefined && size.width * size.height > largest.width * largest.height) largest = size;
      }
    }
  }
  return largest;
}

type Reference = { readonly type: string; readonly from: number; readonly to: readonly number[] };

function readReferences(iref: Boxes): Reference[] {
  return iref.read((box, version) => {
    const id = (at: Boxes): number => (version === 0 ? at.u16() : at.u32());
    return [...box.children()].map(({ type, box: reference }) => {
      const from = id(reference);
      const count = reference.u16();
      return { type, from, to: Array.from({ length: count }, () => id(reference)) };
    });
  });
}

function readAssociations(ipma: Boxes): { readonly item: number; readonly indices: readonly number[] }[] {
  return ipma.read((box, version, flags) => {
    const entries = box.u32();
    const associations: { item: number; indices: number[] }[] = [];
    for (let entry = 0; entry < entries; entry++) {
      const item = version === 0 ? box.u16() : box.u32();
      const count = box.u8();
      // The highest bit says whether the property is essential.
      const indices = Array.from({ length: count }, () => ((flags & 1) === 0 ? box.u8() & 0x7f : box.u16() & 0x7fff));
      associations.push({ item, indices });
    }
    return associations;
  });
}

/** A reader of boxes and of numbers within them. Throws RangeError beyond its end. */
class Boxes {
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  u8(): number {
    return this.#view.getUint8(this.#next(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#next(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#next(4));
  }

  skip(bytes: number): this {
    this.#next(bytes);
    return this;
  }

  /** Reads the content of a full box, after its version and flags. */
  read<Value>(reader: (box: Boxes, version: number, flags: number) => Value): Value {
    const head = this.u32();
    return reader(this, head >>> 24, head & 0xffffff);
  }

  has(type: string): boolean {
    return [...this.children()].some((child) => child.type === type);
  }

  find(type: string): Boxes {
    for (const child of this.children()) if (child.type === type) return child.box;
    throw new RangeError(`There is no ${type} box.`);
  }

  /** The boxes from here to the end; the position stays. */
  *children(): Generator<{ readonly type: string; readonly box: Boxes }> {
    const { buffer, byteOffset, byteLength } = this.#view;
    for (let at = this.#at; at + 8 <= byteLength; ) {
      const small = this.#view.getUint32(at);
      const type = String.fromCharCode(...new Uint8Array(buffer, byteOffset + at + 4, 4));
      const headBytes = small === 1 ? 16 : 8;
      let size = small === 0 ? byteLength - at : small;
      if (small === 1) size = this.#view.getUint32(at + 8) * 2 ** 32 + this.#view.getUint32(at + 12);
      if (size < headBytes) throw new RangeError(`A box of ${size} bytes.`);
      const end = Math.min(at + size, byteLength); // mdat may be cut, which decoding finds out
      yield { type, box: new Boxes(new Uint8Array(buffer, byteOffset + at + headBytes, end - at - headBytes)) };
      at = end;
    }
  }

  #next(bytes: number): number {
    const at = this.#at;
    this.#at += bytes;
    return at;
  }
}
