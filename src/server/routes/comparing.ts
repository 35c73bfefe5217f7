import type { FastifyPluginAsyncTypebox, Static } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import type { ImageId } from '../../catalogue/catalogue.js';
import { SearchError } from '../../errors.js';
import type { Sketch } from '../../images/sketch.js';
import { matchKind } from '../../matching/match-kind.js';
import { bandOf } from '../../matching/score-model.js';
import { CompareAnswer, CompareBody, CompareForm, CompareQuery } from '../compare-schemas.js';
import { comparedRegions } from '../compared-regions.js';
import { distanceOf, HASH_LIMITS, speaks } from '../hash-evidence.js';
import { type MappedPicture, mappedPicture } from '../mapped-picture.js';
import { parseImageId } from '../names.js';
import type { RequestLife } from '../request-ledger.js';
import { errorAnswers } from '../schemas.js';
import type { ServerContext } from '../server-context.js';
import type { OpenCollection } from '../tenancy.js';
import { maxBodyBytes, type ReceivedFile, readUpload } from '../upload.js';

const SIDES = ['a', 'b'] as const;
type SideName = (typeof SIDES)[number];
/** A picture that was sent, or the id of a stored one. */
type Asked = { readonly bytes: Buffer } | { readonly id: ImageId };
/** One side, ready to be compared. */
type Side = MappedPicture & {
  readonly embedding: Float32Array;
  readonly perceptualHash: Uint8Array;
  readonly hashQuality: number | null;
  readonly sha256: Uint8Array;
  readonly sketch: Sketch | undefined;
  readonly thumbnail: Uint8Array | undefined;
};

/** POST /compare: two pictures, sent or stored: how alike, what that means, and where. */
export const comparingRoutes: FastifyPluginAsyncTypebox<ServerContext> = async (app, context) => {
  const {
    settings,
    encoder,
    ledger,
    monitoring,
    tenancy,
    uploadMemory,
    refuseWhenFull,
    spendQuota,
    catalogue,
    encodeImage,
    verifier,
    scores,
  } = context;

  app.post(
    '/compare',
    {
      config: { access: 'read', maxBodyBytes: maxBodyBytes(settings.maxUploadBytes, SIDES.length), form: CompareForm, json: CompareBody },
      schema: {
        tags: ['search'],
        summary: 'Compare two pictures',
        description:
          'Pictures are the file parts a and b of a form; aId and bId name stored ones instead. A JSON body names two stored ones.',
        querystring: CompareQuery,
        body: { content: { 'application/json': { schema: CompareBody } } },
        response: { 200: CompareAnswer, ...errorAnswers },
      },
    },
    async (request): Promise<Static<typeof CompareAnswer>> => {
      const collection = tenancy.collectionFor(request, request.query.collection);
      spendQuota(request, SIDES.length);
      refuseWhenFull(request);
      const life = ledger.lifeOf(request);
      const files: ReceivedFile[] = [];
      try {
        const asked = await readSides(request, life, files);
        const [a, b] = await Promise.all(SIDES.map((side) => readSide(life, collection, asked[side])));
        const answer = await compare(life, collection, [a!, b!]); // two sides, two pictures
        if (files.length > 0) monitoring.countImage('searched');
        return answer;
      } catch (error) {
        if (files.length > 0) monitoring.countImage('failed');
        throw error;
      } finally {
        for (const file of files) if ('bytes' in file) file.release();
      }
    },
  );

  async function compare(
    life: RequestLife,
    collection: OpenCollection,
    [a, b]: readonly [Side, Side],
  ): Promise<Static<typeof CompareAnswer>> {
    const { name, id } = encoder.description;
    const similarity = a.embedding.reduce((sum, value, at) => sum + value * b.embedding[at]!, 0);
    const qualities = [a.hashQuality, b.hashQuality];
    const distance = distanceOf(a.perceptualHash, b.perceptualHash);
    const [alignment] =
      a.sketch === undefined || b.thumbnail === undefined
        ? []
        : await life.bound(verifier.verify(a.sketch, [{ sequence: undefined, thumbnail: b.thumbnail }]));
    const agreement = alignment === undefined ? undefined : (alignment?.agreement ?? 0);
    const hasSameBytes = Buffer.compare(a.sha256, b.sha256) === 0;
    const match = matchKind({ hasSameBytes, distance, qualities, similarity, agreement }, HASH_LIMITS);
    const evidence = { match, similarity, agreement, distance: speaks(qualities) ? distance : undefined };
    return {
      encoder: { name, id },
      score: similarity,
      band: bandOf(evidence, scores.modelOf(collection)),
      match,
      hashes: { distance: distance ?? null, threshold: HASH_LIMITS.hashThreshold },
      regions: comparedRegions(a, b, encoder.description),
    };
  }

  /** A stored side keeps its own embedding, hash and digest; its picture, or the thumbnail where that is all, is encoded for what is not stored. */
  async function readSide(life: RequestLife, collection: OpenCollection, asked: Asked): Promise<Side> {
    const wishes = { life, thumbnail: true, traits: true, features: true };
    if ('bytes' in asked) {
      const encoded = await encodeImage(asked.bytes, wishes);
      const { image, embedding } = encoded;
      const { perceptualHash, perceptualHashQuality: hashQuality, sha256, thumbnail } = image;
      return { ...mappedPicture(encoded), embedding, perceptualHash, hashQuality, sha256, thumbnail, sketch: image.traits?.sketch };
    }
    const { id } = asked;
    const [record, embedding, thumbnail] = await life.bound(
      Promise.all([catalogue.get(collection, id), catalogue.embedding(collection, id), catalogue.thumbnail(collection, id)]),
    );
    if (record === undefined || embedding === undefined || thumbnail === undefined) {
      throw new SearchError('NOT_FOUND', `There is no image "${id}" in this collection.`);
    }
    const encoded = await encodeImage(thumbnail, { ...wishes, thumbnail: false });
    const { perceptualHash, perceptualHashQuality = null, sha256, width, height } = record;
    const { features } = encoded;
    return {
      width,
      height,
      features,
      embedding,
      perceptualHash,
      hashQuality: perceptualHashQuality,
      sha256,
      thumbnail,
      sketch: encoded.image.traits?.sketch,
    };
  }

  async function readSides(request: FastifyRequest, life: RequestLife, files: ReceivedFile[]): Promise<Readonly<Record<SideName, Asked>>> {
    if (/^application\/json/i.test(request.headers['content-type'] ?? '')) {
      const { a, b } = request.body as Static<typeof CompareBody>; // Its schema has checked it.
      return { a: { id: parseImageId(a.id) }, b: { id: parseImageId(b.id) } };
    }
    const fields = await readUpload({
      request,
      life,
      memory: uploadMemory,
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
        throw new SearchError('INVALID_REQUEST', 'A comparison takes two pictures: file a or field aId, and file b or field bId.');
      }
      const [file] = sent;
      if (file === undefined) return { id: parseImageId(id ?? '') };
      if ('error' in file) throw file.error;
      return { bytes: file.bytes };
    };
    return { a: sideOf('a'), b: sideOf('b') };
  }
};
