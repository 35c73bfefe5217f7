import type { FastifyPluginAsyncTypebox, Static } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import type { ImageId } from '../../catalogue/catalogue.js';
import { SearchError } from '../../errors.js';
import type { Sketch } from '../../images/sketch.js';
import { judgeCopy, verdictAliases } from '../../matching/copy-verdict.js';
import { cosineOf } from '../../matching/nearest-rows.js';
import { isJson } from '../http-headers.js';
import { maxBodyBytes, type ReceivedFile, readUpload } from '../ingest/upload.js';
import type { RequestScope } from '../limits/request-tracker.js';
import { parseImageId } from '../names.js';
import { CompareBody, CompareForm, CompareQuery, CompareResponse } from '../schemas/compare-schemas.js';
import { createRegionFinder } from '../search/compared-regions.js';
import { hashBits, hashDistance, hashOf, isFlat, NEAR_HASH_BITS, type QualifiedHash } from '../search/hash-evidence.js';
import { type MappedPicture, mappedPicture } from '../search/query-examples.js';
import { boundedCosine } from '../search/search.js';
import type { ServerContext } from '../server-context.js';
import { imageNotFound, type OpenCollection } from '../tenancy.js';

const SIDES = ['a', 'b'] as const;
type SideName = (typeof SIDES)[number];
/** A picture in the request, or the id of a stored one. */
type Asked = { readonly bytes: Buffer } | { readonly id: ImageId };
type Side = MappedPicture & {
  readonly embedding: Float32Array;
  readonly perceptualHash: QualifiedHash;
  readonly sha256: Uint8Array;
  readonly sketch: Sketch | undefined;
  readonly thumbnail: Uint8Array | undefined;
};

/** POST /compare: how alike two pictures are, sent or stored, what that means, and where. */
export const comparingRoutes: FastifyPluginAsyncTypebox<ServerContext> = async (app, context) => {
  const { settings, encoder, scopeOf, monitoring, tenancy, catalogue, encodeImage, comparisons, scores } = context;
  const regionFinder = createRegionFinder(context);

  app.post(
    '/compare',
    {
      config: {
        access: 'read',
        maxBodyBytes: maxBodyBytes(settings.maxUploadBytes, SIDES.length),
        form: CompareForm,
        json: CompareBody,
      },
      schema: {
        tags: ['search'],
        summary: 'Compare two pictures',
        description:
          'Pictures are the file parts a and b of a form; aId and bId name stored ones instead. A JSON body names two stored ones.',
        querystring: CompareQuery,
        body: { content: { 'application/json': { schema: CompareBody } } },
        response: { 200: CompareResponse },
      },
    },
    async (request): Promise<Static<typeof CompareResponse>> => {
      const collection = tenancy.collectionFor(request, request.query.collection);
      context.admit(request, SIDES.length);
      const scope = scopeOf(request);
      const files: ReceivedFile[] = [];
      try {
        const asked = await readSides(request, scope, files);
        const [a, b] = await Promise.all(SIDES.map((side) => readSide(scope, collection, asked[side])));
        const answer = await compare(scope, collection, [a!, b!]); // one for each of SIDES
        if (files.length > 0) monitoring.countImage('searched');
        return answer;
      } catch (error) {
        if (files.length > 0) monitoring.countImage('failed');
        return await tenancy.rethrow(request, collection, error);
      } finally {
        for (const file of files) if ('bytes' in file) file.release();
      }
    },
  );

  async function compare(
    scope: RequestScope,
    collection: OpenCollection,
    [a, b]: readonly [Side, Side],
  ): Promise<Static<typeof CompareResponse>> {
    const { name, id } = encoder.description;
    const similarity = boundedCosine(cosineOf(a.embedding, b.embedding));
    const distance = hashDistance(a.perceptualHash, b.perceptualHash);
    const [alignment] =
      a.sketch === undefined || b.thumbnail === undefined
        ? []
        : await comparisons.align(scope, a.sketch, [
            { sequence: undefined, thumbnail: b.thumbnail, view: 'original' as const },
          ]);
    const agreement = alignment === null ? null : alignment?.agreement;
    const hasSameBytes = Buffer.compare(a.sha256, b.sha256) === 0;
    const rules = { model: scores.modelOf(collection), hashThreshold: NEAR_HASH_BITS };
    const flat = isFlat(a.perceptualHash.quality) || isFlat(b.perceptualHash.quality);
    const verdict = judgeCopy({ hasSameBytes, distance, similarity, agreement, isFlat: flat }, rules);
    return {
      encoder: { name, id },
      score: similarity,
      ...verdict,
      complete: alignment !== undefined,
      ...verdictAliases(verdict),
      hashes: { distance: hashBits(a.perceptualHash.hash, b.perceptualHash.hash) ?? null, threshold: NEAR_HASH_BITS },
      regions: await regionFinder.compare(scope, a, b),
    };
  }

  /**
   * A stored picture keeps its embedding, hash and digest; its thumbnail is encoded for the sketch and the features.
   */
  async function readSide(scope: RequestScope, collection: OpenCollection, asked: Asked): Promise<Side> {
    const wishes = { scope, thumbnail: true, copyFeatures: true, features: true };
    if ('bytes' in asked) {
      const encoded = await encodeImage(asked.bytes, wishes);
      const { image, embedding } = encoded;
      const { sha256, thumbnail } = image;
      return {
        ...mappedPicture(encoded),
        embedding,
        perceptualHash: hashOf(image),
        sha256,
        thumbnail,
        sketch: image.copyFeatures?.sketch,
      };
    }
    const { id } = asked;
    const [record, embedding, thumbnail] = await scope.race(
      Promise.all([
        catalogue.get(collection, id),
        catalogue.embedding(collection, id),
        catalogue.thumbnail(collection, id),
      ]),
    );
    if (record === undefined || embedding === undefined || thumbnail === undefined) throw imageNotFound(id);
    const { image, features } = await encodeImage(thumbnail, { ...wishes, thumbnail: false });
    const { sha256, width, height } = record;
    const { sketch } = image.copyFeatures ?? {};
    return { width, height, features, embedding, perceptualHash: hashOf(record), sha256, thumbnail, sketch };
  }

  async function readSides(
    request: FastifyRequest,
    scope: RequestScope,
    files: ReceivedFile[],
  ): Promise<Readonly<Record<SideName, Asked>>> {
    if (isJson(request)) {
      const { a, b } = request.body as Static<typeof CompareBody>; // validated by the schema
      return { a: { id: parseImageId(a.id) }, b: { id: parseImageId(b.id) } };
    }
    const fields = await readUpload({
      request,
      scope,
      memory: context.uploadMemory,
      settings,
      maxFiles: SIDES.length,
      fieldNames: SIDES.map((side) => `${side}Id`),
      isFileOptional: true,
      receive: async (file) => void files.push(file),
    });
    const sideOf = (side: SideName): Asked => {
      const sent = files.filter(({ field }) => field === side);
      const id = fields.get(`${side}Id`);
      if (sent.length + (id === undefined ? 0 : 1) !== 1 || files.some(({ field }) => field !== 'a' && field !== 'b')) {
        throw new SearchError(
          'INVALID_REQUEST',
          'A comparison takes two pictures: file a or field aId, and file b or field bId.',
        );
      }
      const [file] = sent;
      if (file === undefined) return { id: parseImageId(id ?? '') };
      if ('error' in file) throw file.error;
      return { bytes: file.bytes };
    };
    return { a: sideOf('a'), b: sideOf('b') };
  }
};
