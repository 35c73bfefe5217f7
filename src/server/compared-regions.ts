import type { Static } from '@fastify/type-provider-typebox';
import type { ImageId } from '../catalogue/catalogue.js';
import { SearchError } from '../errors.js';
import type { Preprocessing } from '../images/preprocessing.js';
import { pictureRegion, type Region } from '../images/region.js';
import { matchRegions } from '../matching/match-regions.js';
import type { MappedPicture } from './mapped-picture.js';
import type { Query } from './query-examples.js';
import type { RequestLife } from './request-ledger.js';
import type { RegionsAnswer } from './search-schemas.js';
import type { ServerContext } from './server-context.js';
import type { OpenCollection } from './tenancy.js';

/** Where the results of a page are like the query, by id. A result that was removed meanwhile is not in it. */
export type FindRegions = (
  life: RequestLife,
  of: { readonly query: Query; readonly collection: OpenCollection; readonly page: readonly { readonly id: ImageId }[] },
) => Promise<ReadonlyMap<ImageId, Static<typeof RegionsAnswer>>>;

/** Encodes each result's picture again for its feature map, at most so many at once. Throws INVALID_REQUEST where the query is not one picture. */
export function createRegionFinder(context: Pick<ServerContext, 'catalogue' | 'encoder' | 'encodeImage'>): FindRegions {
  const { catalogue, encoder, encodeImage } = context;
  return async (life, { query, collection, page }) => {
    const { mapped } = query;
    if (mapped === undefined) throw new SearchError('INVALID_REQUEST', 'Regions need a query of exactly one picture, sent or stored.');
    const found = new Map<ImageId, Static<typeof RegionsAnswer>>();
    const waiting = [...page];
    const lane = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        const { id } = next;
        // Nothing is to be encoded where the encoder has no feature map.
        const thumbnail = mapped.features === undefined ? undefined : await life.bound(catalogue.thumbnail(collection, id));
        if (mapped.features !== undefined && thumbnail === undefined) continue;
        const stored = thumbnail && (await encodeImage(thumbnail, { life, thumbnail: false, features: true }));
        const { width = 1, height = 1 } = stored?.image ?? {};
        found.set(id, comparedRegions(mapped, { width, height, features: stored?.features }, encoder.description));
      }
    };
    await Promise.all(Array.from({ length: ENCODED_AT_ONCE }, lane));
    return found;
  };
}

/** A request takes no more of the places that all requests share. */
const ENCODED_AT_ONCE = 4;

/** The regions of two pictures that correspond, in fractions of each upright picture, or why there are none. */
export function comparedRegions(
  a: MappedPicture,
  b: MappedPicture,
  encoder: { readonly name: string; readonly preprocessing: Preprocessing },
): Static<typeof RegionsAnswer> {
  if (a.features === undefined || b.features === undefined) {
    return {
      available: false,
      reason: `Encoder ${encoder.name} has no local feature map; closed-form and Deep InfoMax encoders have one.`,
    };
  }
  const { preprocessing } = encoder;
  const pairs = matchRegions(a.features, b.features).map((pair) => ({
    a: inWhole(pair.a, a, preprocessing),
    b: inWhole(pair.b, b, preprocessing),
    similarity: pair.similarity,
  }));
  return { available: true, pairs };
}

/** A region of the encoder's input as one of the whole upright picture. */
function inWhole(region: Region, { width, height, crop = WHOLE }: MappedPicture, preprocessing: Preprocessing): Region {
  const seen = pictureRegion(region, { preprocessing, picture: { width: width * crop.width, height: height * crop.height } });
  return {
    x: crop.x + seen.x * crop.width,
    y: crop.y + seen.y * crop.height,
    width: seen.width * crop.width,
    height: seen.height * crop.height,
  };
}

const WHOLE: Region = { x: 0, y: 0, width: 1, height: 1 };
