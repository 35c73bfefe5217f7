/** Answer of GET /stats, as JSON Schema. */
import { Type } from '@fastify/type-provider-typebox';
import { closed } from './schemas.js';

const Share = (description: string) => Type.Number({ minimum: 0, maximum: 1, description });

const fitted = {
  fittedAt: Type.String({ description: 'ISO 8601, UTC.' }),
  images: Type.Integer({ description: 'Pictures whose edits the scores were fitted on.' }),
  bands: Type.Object(
    {
      near: Type.Object(
        {
          probability: Share('From which on.'),
          precision: Share('True copies among those called near, of pictures held out of the fit.'),
          recall: Share('Of the copies, those called near.'),
        },
        closed,
      ),
      related: Type.Object({ score: Type.Number({ description: 'From which on.' }) }, closed),
    },
    closed,
  ),
};

/** What runs here, what it holds, and what its scores are worth. */
export const StatisticsAnswer = Type.Object(
  {
    version: Type.String(),
    uptimeSeconds: Type.Integer({ minimum: 0 }),
    encoder: Type.Object(
      {
        ...{ name: Type.String(), id: Type.String(), dimensions: Type.Integer(), runtime: Type.String(), device: Type.String() },
        hasFeatures: Type.Boolean({ description: 'Whether it has a local feature map, so that regions can be told.' }),
      },
      closed,
    ),
    collections: Type.Array(
      Type.Object(
        {
          name: Type.String(),
          images: Type.Integer(),
          indexedImages: Type.Integer({ description: 'In the graph; the others are scanned by each search.' }),
          deletedMarks: Type.Integer({ description: 'Removed images that the graph still walks over.' }),
          breadth: Type.Union([Type.Integer(), Type.Null()], {
            description: 'Of a search that names none; null where every vector is scanned.',
          }),
          recall: Type.Union([Share('Of the ten true neighbours, as measured.'), Type.Null()]),
          scores: Type.Union(
            [Type.Object({ source: Type.Union([Type.Literal('encoder'), Type.Literal('collection')]), ...fitted }, closed), Type.Null()],
            {
              description:
                'What its bands and probabilities come from: the collection itself, or the encoder; null where neither was fitted.',
            },
          ),
        },
        closed,
      ),
    ),
    scores: Type.Union([Type.Object(fitted, closed), Type.Null()], {
      description: 'What came with the encoder; null where nothing was fitted for it.',
    }),
    imports: Type.Object({ running: Type.Integer({ minimum: 0 }) }, closed),
    report: Type.Union([Type.String(), Type.Null()], {
      description: "Path of the encoder's evaluation; null where it has none, and for a key limited to collections.",
    }),
  },
  { ...closed, description: 'What runs here, what it holds, and what its scores are worth.' },
);
