/** Requests and answers of the searches, as JSON Schema; schemas.ts holds those of the other routes. */
import { type Static, Type } from '@fastify/type-provider-typebox';
import { binary, COLLECTION_PATTERN, closed, FilterText, ImageIdText, MetadataObject, OriginalUrl, urlText } from './schemas.js';

/** What one request may ask for at most. */
export const MAX_K = 1000;
const Cosine = Type.Number({ description: 'Cosine similarity, -1 to 1; larger is nearer.' });
/** What a score means. */
export const BandAnswer = Type.Object(
  {
    name: Type.Union([Type.Literal('same'), Type.Literal('near'), Type.Literal('related'), Type.Literal('unrelated')]),
    probability: Type.Number({ minimum: 0, maximum: 1, description: 'That query and result are copies of one picture.' }),
  },
  { ...closed, description: 'same, near: copies; related: more alike than 99 of 100 random pairs.' },
);
/** What one picture is to another. */
export const MatchAnswer = Type.Union([Type.Literal('same'), Type.Literal('edited'), Type.Literal('similar')], {
  description: 'same picture, an edited copy of it, or one like it. Copies are told of queries that are one picture only.',
});
const BoxAnswer = Type.Object(
  { x: Type.Number(), y: Type.Number(), width: Type.Number(), height: Type.Number() },
  { ...closed, description: 'In fractions of the upright picture.' },
);
/** Where two pictures are alike. */
export const RegionsAnswer = Type.Union(
  [
    Type.Object(
      {
        available: Type.Literal(true),
        pairs: Type.Array(
          Type.Object({ a: BoxAnswer, b: BoxAnswer, similarity: Type.Number({ description: 'Cosine of local features.' }) }, closed),
        ),
      },
      closed,
    ),
    Type.Object({ available: Type.Literal(false), reason: Type.String() }, closed),
  ],
  {
    description:
      'Parts of query (a) and result (b) that look alike to the encoder, best first; not available of encoders without local features.',
  },
);
const Milliseconds = Type.Number({ minimum: 0 });

/** Most examples of one kind (ids, and likewise files) in one search. */
export const MAX_EXAMPLES = 16;
const MAX_DIMENSIONS = 65_536;

const idList = (description: string) =>
  Type.Optional(Type.Union([ImageIdText, Type.Array(ImageIdText, { minItems: 1, maxItems: MAX_EXAMPLES })], { description }));
const CropText = Type.String({
  maxLength: 100,
  description:
    'x,y,width,height of the part to look at, in fractions of the upright picture (0.25,0,0.5,1). With one positive picture only.',
});
const CropObject = Type.Object({ x: Type.Number(), y: Type.Number(), width: Type.Number(), height: Type.Number() }, closed);

const searchOptions = {
  url: Type.Optional(urlText('http(s) URL of a picture to find the like of; only where the service runs with --allow-url-fetch.')),
  id: idList('Stored images to find the like of; may be repeated. They are left out of the results.'),
  negativeId: idList('Stored images that the results shall not be like; may be repeated. They are left out too.'),
  crop: Type.Optional(CropText),
  cursor: Type.Optional(Type.String({ maxLength: 32, description: 'nextCursor of the page before; all else as it was then.' })),
  groups: Type.Optional(
    Type.Boolean({
      description:
        'Also look for stored copies by hash and by laying the query on the nearest; answer same first, then edited, then similar.',
    }),
  ),
  views: Type.Optional(
    Type.String({
      pattern: '^(mirror|turn|mirror,turn|turn,mirror)$',
      description: 'Search with the picture mirrored and/or turned by quarters too; with one positive picture only.',
    }),
  ),
  fold: Type.Optional(Type.Boolean({ description: 'Fold copies among the results of a page under the best of them; k at most 200.' })),
  include: Type.Optional(
    Type.String({
      pattern: '^(vector|regions|vector,regions|regions,vector)$',
      description: 'vector: the embedding of each result. regions: where it is like the query, which is to be one picture; k at most 20.',
    }),
  ),
  k: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_K, description: 'Most results; 10 if not given.' })),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_K, description: 'The same as k.' })),
  minScore: Type.Optional(Type.Number({ minimum: -1, maximum: 1, description: 'Least score of a result.' })),
  filter: Type.Optional(FilterText),
  ef: Type.Optional(Type.Integer({ minimum: 8, maximum: 4000, description: 'Breadth of the graph search; larger finds more, slower.' })),
  exact: Type.Optional(Type.Boolean({ description: 'Compare with every image instead of walking the graph.' })),
  // Without a default that the validator would fill in, since it may stand in the query or in the body.
  collection: Type.Optional(Type.String({ pattern: COLLECTION_PATTERN, description: 'Name of the collection; "default" if not given.' })),
};
/** Options of a search, in the query or as multipart fields. */
export const SearchQuery = Type.Object(searchOptions, closed);
export type SearchOptions = Static<typeof SearchQuery>;
const { url: _url, id: _id, negativeId: _negativeId, crop: _crop, ...similarOptions } = searchOptions;
/** Query of GET /images/:id/similar: the same without what the path says. */
export const SimilarQuery = Type.Object(similarOptions, closed);
/** Body of POST /search as application/json: the same options, and an embedding where there is one already. */
export const SearchBody = Type.Object(
  {
    ...searchOptions,
    crop: Type.Optional(Type.Union([CropText, CropObject])),
    embedding: Type.Optional(Type.Array(Type.Number(), { minItems: 1, maxItems: MAX_DIMENSIONS, description: 'A vector to search for.' })),
    encoderId: Type.Optional(Type.String({ description: 'Id of the encoder that made the embedding; refused where another one runs.' })),
  },
  closed,
);
export type SearchBodyOptions = Static<typeof SearchBody>;

/** Answer of POST /search and GET /images/:id/similar. */
export const SearchAnswer = Type.Object(
  {
    encoder: Type.Object({ name: Type.String(), id: Type.String() }, closed),
    tookMs: Type.Object(
      { queue: Milliseconds, decode: Milliseconds, encode: Milliseconds, search: Milliseconds, total: Milliseconds },
      closed,
    ),
    results: Type.Array(
      Type.Object(
        {
          id: Type.String(),
          score: Cosine,
          metadata: MetadataObject,
          thumbnailUrl: Type.String(),
          originalUrl: OriginalUrl,
          match: MatchAnswer,
          band: BandAnswer,
          view: Type.Optional(Type.String({ description: 'How the query was turned or mirrored to match so; absent where it was not.' })),
          folded: Type.Optional(Type.Array(Type.String(), { description: 'Copies folded under this result, where fold=true.' })),
          regions: Type.Optional(RegionsAnswer),
          vector: Type.Optional(Type.Array(Type.Number(), { description: "The image's embedding, where include=vector asked for it." })),
        },
        closed,
      ),
    ),
    nextCursor: Type.Optional(Type.String({ description: 'For the next page; absent on the last. 1000 results can be reached in all.' })),
  },
  { ...closed, description: 'Nearest images, best first.' },
);

/** Multipart form of POST /search, for the document; upload.ts reads it. */
export const SearchForm = Type.Object({
  image: Type.Optional(binary('A picture to find the like of; any field name but "negative", up to eight pictures.')),
  negative: Type.Optional(binary('A picture that the results shall not be like.')),
  ...searchOptions,
});
