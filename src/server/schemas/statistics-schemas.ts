/** Answer of GET /stats, as JSON Schema. */
import { Type } from '@fastify/type-provider-typebox';
import { choice, closed, nullable, Timestamp } from './schemas.js';

const Share = (description: string) => Type.Number({ minimum: 0, maximum: 1, description });

/** Thresholds of the bands, with what they were measured to be worth. */
export const ScoreBands = closed({
  near: closed({
    probability: Share('From which on.'),
    precision: Share('True copies among those called near, of pictures held out of the fit.'),
    recall: Share('Of the copies, those called near.'),
  }),
  related: closed({ score: Type.Number({ description: 'From which on.' }) }),
});

const fitted = {
  fittedAt: Timestamp,
  images: Type.Integer({ description: 'Pictures whose edits the scores were fitted on.' }),
  bands: ScoreBands,
};

/** What runs here, what it holds, and what its scores are worth. */
export const StatisticsResponse = closed(
  {
    version: Type.String(),
    urlFetch: Type.Boolean({ description: 'Whether it fetches image URLs (--allow-url-fetch).' }),
    uptimeSeconds: Type.Integer({ minimum: 0 }),
    encoder: closed({
      ...{
        name: Type.String(),
        id: Type.String(),
        dimensions: Type.Integer(),
        runtime: Type.String(),
        device: Type.String(),
      },
      hasFeatures: Type.Boolean({ description: 'Whether it has a local feature map, so that regions can be told.' }),
    }),
    collections: Type.Array(
      closed({
        name: Type.String(),
        images: Type.Integer(),
        indexedImages: Type.Integer({ description: 'In the graph; the others are scanned by each search.' }),
        deletedMarks: Type.Integer({ description: 'Removed images that the graph still walks over.' }),
        breadth: nullable(Type.Integer(), 'Of a search that names none; null where every vector is scanned.'),
        recall: nullable(Share('Of the ten true neighbours, as measured.')),
        scores: nullable(
          closed({
            source: choice(['encoder', 'collection', 'withdrawn']),
            ...fitted,
          }),
          'Whose curves its probabilities come from, measured on the collection itself once it is large enough. withdrawn: curves that were measured to be wrong here (precision says how wrong); only near hashes and all but equal embeddings are taken for copies where no alignment decides. null where neither was fitted.',
        ),
      }),
    ),
    scores: nullable(closed(fitted), 'What came with the encoder; null where nothing was fitted for it.'),
    imports: closed({ running: Type.Integer({ minimum: 0 }) }),
    report: nullable(
      Type.String(),
      "Path of the encoder's evaluation; null where it has none, and for a key limited to collections.",
    ),
  },
  'What runs here, what it holds, and what its scores are worth.',
);
