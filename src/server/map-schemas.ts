/** Answer of GET /map, as JSON Schema. */
import { type Static, Type } from '@fastify/type-provider-typebox';
import { closed } from './schemas.js';

const Coordinate = Type.Number({ minimum: 0, maximum: 1 });

/** A collection laid out in the plane. */
export const MapAnswer = Type.Object(
  {
    status: Type.Union([Type.Literal('ready'), Type.Literal('computing'), Type.Literal('empty')], {
      description:
        'computing: ask again in some seconds; the points, where there are any, are those of the map before. empty: too few images.',
    }),
    computedAt: Type.Union([Type.String(), Type.Null()], { description: 'ISO 8601, UTC; null before there is a map.' }),
    images: Type.Integer({ minimum: 0, description: 'In the collection now.' }),
    points: Type.Array(Type.Object({ id: Type.String(), x: Coordinate, y: Coordinate }, closed), {
      description: 'A sample of 2,000 at most, without images that were removed since.',
    }),
  },
  { ...closed, description: 'The collection laid out in the plane: what the encoder holds for alike lies together.' },
);
export type MapAnswerFields = Static<typeof MapAnswer>;
