/** Request and answer of POST /compare, as JSON Schema. */
import { Type } from '@fastify/type-provider-typebox';
import { binary, closed, ImageIdText, InCollection, nullable } from './schemas.js';
import { BandAnswer, MatchAnswer, RegionsAnswer, verdictFields } from './search-schemas.js';

/** Query of POST /compare: where stored pictures are. */
export const CompareQuery = InCollection;

const Stored = closed({ id: ImageIdText });
/** Body of POST /compare as application/json. */
export const CompareBody = closed({ a: Stored, b: Stored });

/** Form of POST /compare, for the document; upload.ts reads it. */
export const CompareForm = Type.Object({
  a: Type.Optional(binary('One picture; or aId.')),
  b: Type.Optional(binary('The other; or bId.')),
  aId: Type.Optional(ImageIdText),
  bId: Type.Optional(ImageIdText),
});

/** Answer of POST /compare. */
export const CompareResponse = closed(
  {
    encoder: closed({ name: Type.String(), id: Type.String() }),
    score: Type.Number({ description: 'Cosine similarity, -1 to 1.' }),
    ...verdictFields,
    complete: Type.Boolean({ description: 'False where the pictures were not aligned, for want of time or room.' }),
    match: MatchAnswer,
    band: BandAnswer,
    hashes: closed({
      distance: nullable(
        Type.Integer({ minimum: 0, maximum: 256 }),
        'Bits between the PDQ hashes; null where one is missing.',
      ),
      threshold: Type.Integer({ description: 'Up to so many bits, pictures with detail are taken for copies.' }),
    }),
    regions: RegionsAnswer,
  },
  'How alike two pictures are, what that means, and where.',
);
