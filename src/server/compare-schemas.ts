/** Request and answer of POST /compare, as JSON Schema. */
import { Type } from '@fastify/type-provider-typebox';
import { binary, closed, ImageIdText, InCollection } from './schemas.js';
import { BandAnswer, MatchAnswer, RegionsAnswer } from './search-schemas.js';

/** Query of POST /compare: where stored pictures are. */
export const CompareQuery = InCollection;

const Stored = Type.Object({ id: ImageIdText }, closed);
/** Body of POST /compare as application/json. */
export const CompareBody = Type.Object({ a: Stored, b: Stored }, closed);

/** Form of POST /compare, for the document; upload.ts reads it. */
export const CompareForm = Type.Object({
  a: Type.Optional(binary('One picture; or aId.')),
  b: Type.Optional(binary('The other; or bId.')),
  aId: Type.Optional(ImageIdText),
  bId: Type.Optional(ImageIdText),
});

/** Answer of POST /compare. */
export const CompareAnswer = Type.Object(
  {
    encoder: Type.Object({ name: Type.String(), id: Type.String() }, closed),
    score: Type.Number({ description: 'Cosine similarity, -1 to 1.' }),
    band: BandAnswer,
    match: MatchAnswer,
    hashes: Type.Object(
      {
        distance: Type.Union([Type.Integer({ minimum: 0, maximum: 256 }), Type.Null()], {
          description: 'Bits between the PDQ hashes; null where one is missing.',
        }),
        threshold: Type.Integer({ description: 'Up to so many bits, pictures with detail are taken for copies.' }),
      },
      closed,
    ),
    regions: RegionsAnswer,
  },
  { ...closed, description: 'How alike two pictures are, what that means, and where.' },
);
