import type { Static } from '@fastify/type-provider-typebox';
import type { ImageId } from '../../catalogue/catalogue.js';
import { SearchError } from '../../errors.js';
import type { Preprocessing } from '../../images/preprocessing.js';
import { pictureRegion, type Region } from '../../images/region.js';
import type { RequestScope } from '../limits/request-tracker.js';
import type { RegionsAnswer } from '../schemas/search-schemas.js';
import type { ServerContext } from '../server-context.js';
import type { OpenCollection } from '../tenancy.js';
import type { MappedPicture, Query } from './query-examples.js';

type Regions = Static<typeof RegionsAnswer>;

/** Finds the parts of pictures that look alike to the encoder, computed in the comparison threads. */
export type RegionFinder = {
  /** Corresponding parts of two pictures, in fractions of each upright picture, or why there are none. */
  compare(scope: RequestScope, a: MappedPicture, b: MappedPicture): Promise<Regions>;
  /**
   * The same of the query and each result of a page, by id; a result that was removed meanwhile is not in it. Each
   * result is encoded again, {@link ENCODED_AT_ONCE} at a time. Throws INVALID_REQUEST where the query is not
   * one picture.
   */
  ofPage(
    scope: RequestScope,
    of: {
      readonly query: Query;
      readonly collection: OpenCollection;
      readonly page: readonly { readonly id: ImageId }[];
    },
  ): Promise<ReadonlyMap<ImageId, Regions>>;
};

/** Of the slots that all requests share, one request takes no more at once. */
const ENCODED_AT_ONCE = 4;

export function createRegionFinder(
  context: Pick<ServerContext, 'catalogue' | 'encoder' | 'encodeImage' | 'comparisons'>,
): RegionFinder {
  const { catalogue, encoder, encodeImage, comparisons } = context;
  const { name, preprocessing } = encoder.description;

  const compare: RegionFinder['compare'] = async (scope, a, b) => {
    if (a.features === undefined || b.features === undefined) {
      const reason = `Encoder ${name} has no local feature map; closed-form and Deep InfoMax encoders have one.`;
      return { available: false, reason };
    }
    const pairs = await comparisons.matchRegions(scope, a.features, b.features);
    return {
      available: true,
      pairs: pairs.map((pair) => ({
        a: inWhole(pair.a, a, preprocessing),
        b: inWhole(pair.b, b, preprocessing),
        similarity: pair.similarity,
      })),
    };
  };

  return {
    compare,
    async ofPage(scope, { query: { mapped }, collection, page }) {
      if (mapped === undefined)
        throw new SearchError('INVALID_REQUEST', 'Regions need a query of exactly one picture, sent or stored.');
      const found = new Map<ImageId, Regions>();
      const waiting = [...page];
      const lane = async (): Promise<void> => {
        for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
          const { id } = next;
          // Nothing needs to be encoded where the encoder has no feature map.
          const thumbnail =
            mapped.features === undefined ? undefined : await scope.race(catalogue.thumbnail(collection, id));
          if (mapped.features !== undefined && thumbnail === undefined) continue;
          const stored = thumbnail && (await encodeImage(thumbnail, { scope, thumbnail: false, features: true }));
          const { width = 1, height = 1 } = stored?.image ?? {};
          found.set(id, await compare(scope, mapped, { width, height, features: stored?.features }));
        }
      };
      await Promise.all(Array.from({ length: ENCODED_AT_ONCE }, lane));
      return found;
    },
  };
}

/** A region of the encoder's input as one of the whole upright picture. */
function inWhole(region: Region, { width, height, crop = WHOLE }: MappedPicture, preprocessing: Preprocessing): Region {
  const seen = pictureRegion(region, {
    preprocessing,
    picture: { width: width * crop.width, height: height * crop.height },
  });
  return {
    x: crop.x + seen.x * crop.width,
    y: crop.y + seen.y * crop.height,
    width: seen.width * crop.width,
    height: seen.height * crop.height,
  };
}

const WHOLE: Region = { x: 0, y: 0, width: 1, height: 1 };
