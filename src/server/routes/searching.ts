import { performance } from 'node:perf_hooks';
import type { FastifyPluginAsyncTypebox, Static } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { SearchError } from '../../errors.js';
import { createNeighbourSearch, tookMs } from '../neighbour-search.js';
import { createExampleReader } from '../query-examples.js';
import type { RequestLife } from '../request-ledger.js';
import { errorAnswers } from '../schemas.js';
import { type ParsedSearch, parseSearch } from '../search-request.js';
import { SearchAnswer, SearchBody, type SearchBodyOptions, SearchForm, type SearchOptions, SearchQuery } from '../search-schemas.js';
import type { ServerContext } from '../server-context.js';
import type { OpenCollection } from '../tenancy.js';
import { maxBodyBytes, type ReceivedFile, readUpload } from '../upload.js';

/** Most pictures in one search. */
const MAX_PICTURES = 8;
/** Form field of pictures that the results shall not be like. */
const NEGATIVE_FIELD = 'negative';
/** Fields that may be repeated. */
const LISTS = ['id', 'negativeId'] as const;

type Answer = Static<typeof SearchAnswer>;
type Asked = {
  readonly request: FastifyRequest;
  readonly search: ParsedSearch;
  readonly files: readonly ReceivedFile[];
  readonly vector: Float32Array | undefined;
};

type Received = Omit<Asked, 'request'> & { readonly collection: OpenCollection; readonly fetched: readonly Buffer[] };

/** POST and GET /search: pictures, stored images or a vector in, the nearest stored images out. */
export const searchingRoutes: FastifyPluginAsyncTypebox<ServerContext> = async (app, context) => {
  const { settings, encoder, ledger, monitoring, tenancy, uploadMemory, pictureUrls, refuseWhenFull, spendQuota } = context;
  const findNeighbours = createNeighbourSearch(context);
  const readExamples = createExampleReader(context);

  app.get(
    '/search',
    {
      config: { access: 'read' },
      schema: {
        tags: ['search'],
        summary: 'Find the stored images nearest to stored ones, or to a picture by its URL',
        description: 'The search of POST /search as a link: id, negativeId and url name the examples.',
        querystring: SearchQuery,
        response: { 200: SearchAnswer, ...errorAnswers },
      },
    },
    async (request): Promise<Answer> => {
      const search = parseSearch(request.query);
      // A crop of a stored picture is decoded and encoded like any other.
      if (search.url !== undefined || search.crop !== undefined || search.views.length > 0) spendQuota(request, 1);
      return find(ledger.lifeOf(request), { request, search, files: [], vector: undefined });
    },
  );

  app.post(
    '/search',
    {
      config: { access: 'read', maxBodyBytes: maxBodyBytes(settings.maxUploadBytes, MAX_PICTURES), form: SearchForm, json: SearchBody },
      schema: {
        tags: ['search'],
        summary: 'Find the stored images nearest to pictures, stored images or a vector',
        description:
          'Pictures are file parts of a multipart form or the raw body; ids and options stand in the query or in fields of the form. A JSON body takes ids, options, a vector, and the URL of a picture.',
        querystring: SearchQuery,
        body: { content: { 'application/json': { schema: SearchBody } } },
        response: { 200: SearchAnswer, ...errorAnswers },
      },
    },
    async (request): Promise<Answer> => {
      spendQuota(request, 1);
      const isPictured = !isJson(request);
      if (isPictured) refuseWhenFull(request); // First of all: a refusal is to cost next to nothing.
      const life = ledger.lifeOf(request);
      const search = parseSearch(request.query); // Before the body is read, so that a wrong query costs nothing.
      if (search.collection !== undefined) tenancy.collectionFor(request, search.collection);
      const files: ReceivedFile[] = [];
      try {
        // Only a JSON body has been read by now; its schema has checked it.
        const body = isPictured ? undefined : (request.body as SearchBodyOptions);
        const asked = body === undefined ? await readForm(request, search, files) : readBody(request, body);
        const answer = await find(life, { request, ...asked, files });
        if (isPictured) monitoring.countImage('searched');
        return answer;
      } catch (error) {
        if (isPictured) monitoring.countImage('failed');
        throw error;
      } finally {
        for (const file of files) if ('bytes' in file) file.release();
      }
    },
  );

  async function find(life: RequestLife, asked: Asked): Promise<Answer> {
    const collection = tenancy.collectionFor(asked.request, asked.search.collection); // before anything is fetched
    const { url } = asked.search;
    if (url !== undefined) refuseWhenFull(asked.request);
    const fetched = url === undefined ? undefined : await pictureUrls.fetch(life, url);
    try {
      return await findReceived(life, { ...asked, collection, fetched: fetched === undefined ? [] : [fetched.bytes] });
    } finally {
      fetched?.release();
    }
  }

  async function findReceived(life: RequestLife, { search, files, vector, collection, fetched }: Received): Promise<Answer> {
    const receivedAt = performance.now();
    const bytesOf = (file: ReceivedFile): Buffer => {
      if ('error' in file) throw file.error;
      return file.bytes;
    };
    const { positiveIds, negativeIds, crop, views } = search;
    const isNegative = ({ field }: ReceivedFile): boolean => field === NEGATIVE_FIELD;
    const asked = await readExamples(life, {
      collection,
      pictures: [...files.filter((file) => !isNegative(file)).map(bytesOf), ...fetched],
      negativePictures: files.filter(isNegative).map(bytesOf),
      positiveIds,
      negativeIds,
      embedding: vector,
      crop,
      views,
      traits: search.groups,
      features: search.includesRegions,
    });
    const { searchMs, ...page } = await findNeighbours(life, search, {
      collection,
      query: asked,
      without: [...positiveIds, ...negativeIds],
    });
    const { name, id } = encoder.description;
    const totalMs = performance.now() - receivedAt;
    return { encoder: { name, id }, tookMs: tookMs({ ...asked.times, searchMs, totalMs }), ...page };
  }

  function readBody(request: FastifyRequest, body: SearchBodyOptions): Omit<Asked, 'files' | 'request'> {
    const { embedding, encoderId, ...options } = body;
    if ((embedding === undefined) !== (encoderId === undefined)) {
      throw new SearchError('INVALID_REQUEST', 'An embedding travels with the encoderId of the encoder that made it: send both or none.');
    }
    const running = encoder.description.id;
    if (encoderId !== undefined && encoderId !== running) {
      throw new SearchError('WRONG_ENCODER', `The embedding was made by encoder ${encoderId.slice(0, 100)}; this service runs ${running}.`);
    }
    const search = parseSearch(joined(request.query as SearchOptions, options));
    return { search, vector: embedding === undefined ? undefined : Float32Array.from(embedding) };
  }

  async function readForm(request: FastifyRequest, search: ParsedSearch, files: ReceivedFile[]): Promise<Omit<Asked, 'files' | 'request'>> {
    const receive = async (file: ReceivedFile): Promise<void> => {
      files.push(file);
      if (files.length > 1) spendQuota(request, 1);
    };
    const lists: { [name: string]: string[] } = {};
    const fields = await readUpload({
      request,
      life: ledger.lifeOf(request),
      memory: uploadMemory,
      settings,
      maxFiles: MAX_PICTURES,
      fieldNames: Object.keys(SearchQuery.properties),
      lists: {
        names: LISTS,
        receive: (name, value) => {
          lists[name] = [...(lists[name] ?? []), value];
        },
      },
      isFileOptional: true,
      receive,
    });
    if (fields.size === 0 && Object.keys(lists).length === 0) return { search, vector: undefined };
    const options: SearchOptions = joined(request.query as SearchOptions, { ...Object.fromEntries(fields), ...lists });
    // A form's fields are text; the validator turns them into numbers as it does with a query.
    if (!request.validateInput(options, SearchQuery)) {
      throw new SearchError(
        'INVALID_REQUEST',
        `A field of the form is wrong; known are ${Object.keys(SearchQuery.properties).join(', ')}.`,
      );
    }
    return { search: parseSearch(options), vector: undefined };
  }
};

function isJson(request: FastifyRequest): boolean {
  return /^application\/json/i.test(request.headers['content-type'] ?? '');
}

/** Query and body as one set of options. */
function joined<Options extends object>(query: SearchOptions, body: Options): SearchOptions & Options {
  for (const name of Object.keys(body)) {
    if (name in query) throw new SearchError('INVALID_REQUEST', `"${name}" stands in the query and in the body; send it once.`);
  }
  return { ...query, ...body };
}
