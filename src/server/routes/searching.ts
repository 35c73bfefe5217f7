import type { FastifyPluginAsyncTypebox, Static } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { SearchError } from '../../errors.js';
import { isJson } from '../http-headers.js';
import { maxBodyBytes, type ReceivedFile, readUpload } from '../ingest/upload.js';
import { imagesOf, quotaOf, searchCost } from '../limits/read-cost.js';
import type { RequestScope } from '../limits/request-tracker.js';
import {
  SearchBody,
  type SearchBodyOptions,
  SearchForm,
  type SearchOptions,
  SearchQuery,
  SearchResponse,
} from '../schemas/search-schemas.js';
import { createSearch } from '../search/search.js';
import { type ParsedSearch, parseSearch } from '../search/search-request.js';
import type { ServerContext } from '../server-context.js';
import { refuseInfinite } from '../validation-messages.js';

const MAX_PICTURES = 8;
/** Form field of negative pictures. */
const NEGATIVE_FIELD = 'negative';
const LISTS = ['id', 'negativeId'] as const;

type Answer = Static<typeof SearchResponse>;
type Search = {
  readonly request: FastifyRequest;
  readonly scope: RequestScope;
  readonly options: ParsedSearch;
  readonly files?: readonly ReceivedFile[];
  readonly vector?: Float32Array | undefined;
};

/** POST and GET /search: pictures, stored images or a vector in, the nearest stored images out. */
export const searchingRoutes: FastifyPluginAsyncTypebox<ServerContext> = async (app, context) => {
  const { settings, encoder, scopeOf, monitoring, tenancy, uploadMemory, pictureUrls, admit, admitRead, spendQuota } =
    context;
  const search = createSearch(context);

  app.get(
    '/search',
    {
      config: { access: 'read' },
      schema: {
        tags: ['search'],
        summary: 'Find the stored images nearest to stored ones, or to a picture by its URL',
        description: 'The search of POST /search as a link: id, negativeId and url name the examples.',
        querystring: SearchQuery,
        response: { 200: SearchResponse },
      },
    },
    async (request): Promise<Answer> => {
      const options = parseSearch(request.query);
      return findStored({ request, scope: scopeOf(request), options });
    },
  );

  app.post(
    '/search',
    {
      config: {
        access: 'read',
        maxBodyBytes: maxBodyBytes(settings.maxUploadBytes, MAX_PICTURES),
        form: SearchForm,
        raw: ['image/*'],
        json: SearchBody,
      },
      schema: {
        tags: ['search'],
        summary: 'Find the stored images nearest to pictures, stored images or a vector',
        description:
          'Pictures are file parts of a multipart form or the raw body; ids and options stand in the query or in fields of the form. A JSON body takes ids, options, a vector, and the URL of a picture.',
        querystring: SearchQuery,
        body: { content: { 'application/json': { schema: SearchBody } } },
        response: { 200: SearchResponse },
      },
    },
    async (request): Promise<Answer> => {
      const scope = scopeOf(request);
      if (isJson(request)) return findStored({ request, scope, ...readBody(request) });
      admit(request);
      const files: ReceivedFile[] = [];
      try {
        const options = await readForm(request, scope, files);
        spendQuota(request, Math.max(0, quotaOf(options) - 1)); // admit charged one
        const answer = await find({ request, scope, options, files });
        monitoring.countImage('searched');
        return answer;
      } catch (error) {
        monitoring.countImage('failed');
        throw error;
      } finally {
        for (const file of files) if ('bytes' in file) file.release();
      }
    },
  );

  async function findStored(search: Search): Promise<Answer> {
    if (imagesOf(search.options) > 0) admit(search.request, quotaOf(search.options));
    else admitRead(search.request, searchCost(search.options));
    return find(search);
  }

  async function find({ request, scope, options, files = [], vector }: Search): Promise<Answer> {
    const collection = tenancy.collectionFor(request, options.collection);
    const { url } = options;
    const fetched = url === undefined ? undefined : await pictureUrls.fetch(scope, url);
    try {
      const bytesOf = (isWanted: (file: ReceivedFile) => boolean): Buffer[] =>
        files.filter(isWanted).map((file) => {
          if ('error' in file) throw file.error;
          return file.bytes;
        });
      const pictures = bytesOf(({ field }) => field !== NEGATIVE_FIELD);
      const page = await search(scope, options, {
        collection,
        pictures: fetched === undefined ? pictures : [...pictures, fetched.bytes],
        negativePictures: bytesOf(({ field }) => field === NEGATIVE_FIELD),
        vector,
      });
      if (page.results.length === 0) await scope.race(tenancy.requireExisting(request, collection));
      return page;
    } catch (error) {
      return await tenancy.rethrow(request, collection, error);
    } finally {
      fetched?.release();
    }
  }

  function readBody(request: FastifyRequest): Pick<Search, 'options' | 'vector'> {
    const { embedding, encoderId, ...options } = request.body as SearchBodyOptions; // validated by the schema
    if ((embedding === undefined) !== (encoderId === undefined)) {
      throw new SearchError(
        'INVALID_REQUEST',
        '"embedding" and "encoderId" (the encoder that made the embedding) belong together: send both or neither.',
      );
    }
    const running = encoder.description.id;
    if (encoderId !== undefined && encoderId !== running) {
      throw new SearchError(
        'WRONG_ENCODER',
        `The embedding was made by encoder ${encoderId.slice(0, 100)}; this service runs ${running}.`,
      );
    }
    const parsed = parseSearch(joined(request.query as SearchOptions, options));
    return { options: parsed, vector: embedding === undefined ? undefined : Float32Array.from(embedding) };
  }

  /** Adds the pictures to `files`; returns the options of query and form. */
  async function readForm(request: FastifyRequest, scope: RequestScope, files: ReceivedFile[]): Promise<ParsedSearch> {
    const receive = async (file: ReceivedFile): Promise<void> => {
      files.push(file);
      if (files.length > 1) spendQuota(request, 1);
    };
    const lists: { [name: string]: string[] } = {};
    const fields = await readUpload({
      request,
      scope,
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
    const options: SearchOptions = joined(request.query as SearchOptions, { ...Object.fromEntries(fields), ...lists });
    refuseInfinite(options, SearchQuery);
    // The validator converts the text of fields to numbers, as it does for a query.
    if (!request.validateInput(options, SearchQuery)) {
      throw new SearchError(
        'INVALID_REQUEST',
        `A field of the form is wrong; known are ${Object.keys(SearchQuery.properties).join(', ')}.`,
      );
    }
    return parseSearch(options);
  }
};

/** Query and body as one set of options. */
function joined<Options extends object>(query: SearchOptions, body: Options): SearchOptions & Options {
  for (const name of Object.keys(body)) {
    if (name in query)
      throw new SearchError('INVALID_REQUEST', `"${name}" stands in the query and in the body; send it once.`);
  }
  return { ...query, ...body };
}
