import { Type } from '@fastify/type-provider-typebox';
import { DerivedFiles } from './derived-files.js';

/** A map as it is kept. Its points are numbers of the record store, which alone knows what stands under them now. */
export type KeptMap = {
  readonly collection: string;
  readonly encoderId: string;
  /** Of the collection, when the sample was taken; and the catalogue's latest sequence number then. */
  readonly images: number;
  readonly lastSequence: number;
  /** ISO 8601, UTC. */
  readonly computedAt: string;
  readonly sequences: readonly number[];
  /** 0..1, a place for each sequence. */
  readonly x: readonly number[];
  readonly y: readonly number[];
};

/** Ten times what the largest map has. */
const FILE_BYTES_MAX = 1024 * 1024;

const Coordinates = Type.Array(Type.Number({ minimum: 0, maximum: 1 }));
const Kept = Type.Object({
  ...{ collection: Type.String(), encoderId: Type.String(), computedAt: Type.String() },
  ...{ images: Type.Integer({ minimum: 0 }), lastSequence: Type.Integer({ minimum: 0 }) },
  ...{ sequences: Type.Array(Type.Integer({ minimum: 0 })), x: Coordinates, y: Coordinates },
});

/** Maps of collections by one encoder. */
export function mapFiles(folder: string, encoderId: string): DerivedFiles<KeptMap> {
  return new DerivedFiles<KeptMap>({
    ...{ folder, encoderId, format: 'likeness map 1', extension: 'map', schema: Kept, bytesMax: FILE_BYTES_MAX },
    isSound: ({ sequences, x, y }) => x.length === sequences.length && y.length === sequences.length,
  });
}
