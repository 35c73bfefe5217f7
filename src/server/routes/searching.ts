import { performance } from 'node:perf_hooks';
import type { FastifyPluginAsyncTypebox, Static } from '@fastify/type-provider-typebox';
import { SearchError } from '../../errors.js';
import { createNeighbourSearch, tookMs } from '../neighbour-search.js';
import { errorAnswers, SearchAnswer, SearchForm, type SearchOptions, SearchQuery } from '../schemas.js';
import type { ServerContext } from '../server-context.js';
import { maxBodyBytes, type ReceivedFile, readUpload } from '../upload.js';

/** POST /search: one picture in, its nearest stored images out. */
export const searchingRoutes: FastifyPluginAsyncTypebox<ServerContext> = async (app, context) => {
  const { settings, encoder, encodeImage, ledger, monitoring, uploadMemory, spendQuota } = context;
  const findNeighbours = createNeighbourSearch(context);

  app.post(
    '/search',
    {
      config: { access: 'read', maxBodyBytes: maxBodyBytes(settings.maxUploadBytes, 1), form: SearchForm },
      schema: {
        tags: ['search'],
        summary: 'Find the stored images nearest to a picture',
        description: 'The picture is a file part of a multipart form or the raw body. Options stand in the query or in fields of the form.',
        querystring: SearchQuery,
        response: { 200: SearchAnswer, ...errorAnswers },
      },
    },
    async (request): Promise<Static<typeof SearchAnswer>> => {
      spendQuota(request, 1);
      const life = ledger.lifeOf(request);
      let query = findNeighbours.parse(request.query); // Before the body is read, so that a wrong query costs nothing.
      const files: ReceivedFile[] = [];
      const receive = async (file: ReceivedFile): Promise<void> => {
        files.push(file);
      };
      try {
        const fieldNames = Object.keys(SearchQuery.properties);
        const fields = await readUpload({ request, life, memory: uploadMemory, settings, maxFiles: 1, fieldNames, receive });
        const receivedAt = performance.now();
        if (fields.size > 0)
          query = findNeighbours.parse(withFields(request.query, fields, (input) => request.validateInput(input, SearchQuery)));
        const [file] = files;
        if (file === undefined) throw new Error('An upload was read and no file received. This is a bug.');
        if ('error' in file) throw file.error;
        const { embedding, queueMs, decodeMs, encodeMs } = await encodeImage(file.bytes, { life, thumbnail: false });
        const { results, searchMs } = await findNeighbours.run(life, embedding, query);
        monitoring.countImage('searched');
        const { name, id } = encoder.description;
        const totalMs = performance.now() - receivedAt;
        return { encoder: { name, id }, tookMs: tookMs({ queueMs, decodeMs, encodeMs, searchMs, totalMs }), results };
      } catch (error) {
        monitoring.countImage('failed');
        throw error;
      } finally {
        for (const file of files) if ('bytes' in file) file.release();
      }
    },
  );
};

/** Query and form fields as one set of options. A form's fields are text; the validator turns them into numbers as it does with a query. */
function withFields(query: SearchOptions, fields: ReadonlyMap<string, string>, validate: (input: unknown) => boolean): SearchOptions {
  if (fields.size === 0) return query;
  for (const name of fields.keys()) {
    if (name in query) throw new SearchError('INVALID_REQUEST', `"${name}" stands in the query and in the form; send it once.`);
  }
  const options: SearchOptions = { ...query, ...Object.fromEntries(fields) };
  if (!validate(options))
    throw new SearchError('INVALID_REQUEST', `A field of the form is wrong; known are ${Object.keys(SearchQuery.properties).join(', ')}.`);
  return options;
}
