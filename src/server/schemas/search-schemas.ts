/** Requests and answers of the searches, as JSON Schema; schemas.ts holds those of the other routes. */
import { type Static, Type } from '@fastify/type-provider-typebox';
import {
  binary,
  CollectionName,
  choice,
  closed,
  FilterText,
  ImageIdText,
  MetadataObject,
  nullable,
  OriginalUrl,
  urlText,
} from './schemas.js';

/** What one request may ask for at most. */
export const MAX_K = 1000;
const Cosine = Type.Number({ description: 'Cosine similarity, -1 to 1; larger is nearer.' });
/** What one picture is to another: fields of a search result and of a comparison. */
export const verdictFields = {
  copy: choice(
    ['exact', 'edited', 'none'],
    'exact: the same picture. edited: a copy that was changed. none: another picture. Always none of a query made of several examples.',
  ),
  probability: Type.Number({
    minimum: 0,
    maximum: 1,
    description:
      'That both are copies of one picture. At or above the near threshold of GET /stats exactly where copy is not none.',
  }),
  similar: Type.Boolean({ description: 'A copy, or more alike than 99 of 100 random pairs.' }),
};
/** Deprecated: what score, copy, probability and similar say, as before 0.2.0. */
export const BandAnswer = Type.Object(
  {
    name: choice(['same', 'near', 'related', 'unrelated']),
    probability: Type.Number({ minimum: 0, maximum: 1 }),
  },
  {
    additionalProperties: false,
    deprecated: true,
    description: 'Use copy, probability and similar. same: exact; near: edited; related: similar; unrelated: the rest.',
  },
);
/** Deprecated: what copy says, as before 0.2.0. */
export const MatchAnswer = Type.Enum(['same', 'edited', 'similar'], {
  type: 'string',
  deprecated: true,
  description: 'Use copy. same: exact; edited: edited; similar: none.',
});
/** Region of a picture. */
export const RegionObject = closed(
  { x: Type.Number(), y: Type.Number(), width: Type.Number(), height: Type.Number() },
  'In fractions of the upright picture.',
);
/** Where two pictures are alike. */
export const RegionsAnswer = Type.Union(
  [
    closed({
      available: Type.Literal(true),
      pairs: Type.Array(
        closed({
          a: RegionObject,
          b: RegionObject,
          similarity: Type.Number({ description: 'Cosine of local features.' }),
        }),
      ),
    }),
    closed({ available: Type.Literal(false), reason: Type.String() }),
  ],
  {
    description:
      'Parts of query (a) and result (b) that look alike to the encoder, best first; not available of encoders without local features.',
  },
);
/** More neighbours than this know less about the query than the query does. */
const MAX_EXPAND = 10;
const Milliseconds = Type.Number({ minimum: 0 });

/** Most examples of one kind (ids, and likewise files) in one search. */
const MAX_EXAMPLES = 16;
const MAX_DIMENSIONS = 65_536;

const idList = (description: string) =>
  Type.Union([ImageIdText, Type.Array(ImageIdText, { minItems: 1, maxItems: MAX_EXAMPLES })], { description });
const CropText = Type.String({
  maxLength: 100,
  description:
    'x,y,width,height of the part to look at, in fractions of the upright picture (0.25,0,0.5,1). With one positive picture only.',
});

const { properties: searchOptions } = Type.Partial(
  Type.Object({
    url: urlText('http(s) URL of a picture to find the like of; only where the service runs with --allow-url-fetch.'),
    id: idList('Stored images to find the like of; may be repeated. They are left out of the results.'),
    negativeId: idList('Stored images that the results shall not be like; may be repeated. They are left out too.'),
    crop: CropText,
    cursor: Type.String({ maxLength: 32, description: 'nextCursor of the page before; all else as it was then.' }),
    groups: Type.Boolean({
      description:
        'Also look for stored copies by hash and by laying the query on the nearest; answer exact copies first, then edited ones, then the rest.',
    }),
    views: Type.String({
      pattern: '^(mirror|turn|mirror,turn|turn,mirror)$',
      description: 'Search with the picture mirrored and/or turned by quarters too; with one positive picture only.',
    }),
    fold: Type.Boolean({
      description: 'Fold copies among the results of a page under the best of them; k at most 200.',
    }),
    expand: Type.Integer({
      minimum: 0,
      maximum: MAX_EXPAND,
      description:
        'Query expansion: search again with the query and that many of its nearest together (2 is good); copies and the first other result keep their places, the rest stands in the new order. score stays the likeness to the query. Not with views.',
    }),
    include: Type.String({
      pattern: '^(vector|regions|vector,regions|regions,vector)$',
      description:
        'vector: the embedding of each result. regions: where it is like the query, which is to be one picture; k at most 20.',
    }),
    k: Type.Integer({ minimum: 1, maximum: MAX_K, description: 'Most results; 10 if not given.' }),
    limit: Type.Integer({ minimum: 1, maximum: MAX_K, description: 'The same as k.' }),
    minScore: Type.Number({ minimum: -1, maximum: 1, description: 'Least score of a result.' }),
    filter: FilterText,
    ef: Type.Integer({
      minimum: 8,
      maximum: 4000,
      description: 'Breadth of the graph search; larger finds more, slower.',
    }),
    exact: Type.Boolean({ description: 'Compare with every image instead of walking the graph.' }),
    // Without a default that the validator would fill in, since it may stand in the query or in the body.
    collection: CollectionName,
  }),
);
/** Options of a search, in the query or as multipart fields. */
export const SearchQuery = closed(searchOptions);
export type SearchOptions = Static<typeof SearchQuery>;
const { url: _url, id: _id, negativeId: _negativeId, crop: _crop, ...similarOptions } = searchOptions;
/** Query of GET /images/:id/similar: the same without what the path says. */
export const SimilarQuery = closed(similarOptions);
/** Body of POST /search as application/json: the same options, and an embedding where there is one already. */
export const SearchBody = closed({
  ...searchOptions,
  crop: Type.Optional(Type.Union([CropText, RegionObject])),
  embedding: Type.Optional(
    Type.Array(Type.Number(), { minItems: 1, maxItems: MAX_DIMENSIONS, description: 'A vector to search for.' }),
  ),
  encoderId: Type.Optional(
    Type.String({ description: 'Id of the encoder that made the embedding; refused where another one runs.' }),
  ),
});
export type SearchBodyOptions = Static<typeof SearchBody>;

/** Answer of POST /search and GET /images/:id/similar. */
export const SearchResponse = closed(
  {
    encoder: closed({ name: Type.String(), id: Type.String() }),
    tookMs: closed({
      queue: Milliseconds,
      decode: Milliseconds,
      encode: Milliseconds,
      search: Milliseconds,
      total: Milliseconds,
    }),
    complete: Type.Boolean({
      description: 'False where some results are not verified, for want of time or room; they say verified: false.',
    }),
    results: Type.Array(
      closed({
        id: Type.String(),
        score: Cosine,
        ...verdictFields,
        metadata: MetadataObject,
        fileName: nullable(Type.String(), 'As uploaded; null where it had none.'),
        thumbnailUrl: Type.String(),
        originalUrl: OriginalUrl,
        match: MatchAnswer,
        band: BandAnswer,
        verified: Type.Optional(
          Type.Boolean({
            description: 'False where the alignment that settles copy was not made in time; absent otherwise.',
          }),
        ),
        view: Type.Optional(
          Type.String({ description: 'How the query was turned or mirrored to match so; absent where it was not.' }),
        ),
        folded: Type.Optional(
          Type.Array(Type.String(), { description: 'Copies folded under this result, where fold=true.' }),
        ),
        regions: Type.Optional(RegionsAnswer),
        vector: Type.Optional(
          Type.Array(Type.Number(), { description: "The image's embedding, where include=vector asked for it." }),
        ),
      }),
    ),
    nextCursor: Type.Optional(
      Type.String({ description: 'For the next page; absent on the last. 1000 results can be reached in all.' }),
    ),
  },
  'Nearest images, best first.',
);

/** Multipart form of POST /search, for the document; upload.ts reads it. */
export const SearchForm = Type.Object({
  image: Type.Optional(binary('A picture to find the like of; any field name but "negative", up to eight pictures.')),
  negative: Type.Optional(binary('A picture that the results shall not be like.')),
  ...searchOptions,
});
