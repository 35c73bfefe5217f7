/** openapi.yaml: generated from the route schemas, so that the description cannot differ from what the service does. */
import type { SwaggerTransform } from '@fastify/swagger';
import { Type } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';

/** The OpenAPI document of an application whose plugins are loaded, as YAML. */
export function openApiDocument(app: Pick<FastifyInstance, 'swagger'>): string {
  return app.swagger({ yaml: true });
}

/** The frame of the document; the routes fill it. */
export const openApiFrame = (version: string) => ({
  openapi: '3.1.0',
  info: {
    title: 'Likeness',
    version,
    description: 'Self-hosted reverse image search. docs/api.md tells how to use it, docs/errors.md lists the error codes.',
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
  tags: [
    { name: 'search', description: 'Find images like a picture.' },
    { name: 'images', description: 'Store, list, look at and remove images.' },
    { name: 'imports', description: 'Store many pictures in the background.' },
    { name: 'snapshots', description: 'Back up all collections while the service runs.' },
    { name: 'health', description: 'Probes and metrics.' },
    { name: 'documents', description: 'What this service is.' },
  ],
  components: {
    securitySchemes: {
      apiKey: { type: 'apiKey' as const, in: 'header' as const, name: 'x-api-key' },
      bearer: { type: 'http' as const, scheme: 'bearer' },
    },
  },
});

/** Writes into the document what Fastify's schemas cannot hold: who may use a route, and bodies that routes read by themselves. */
export const describeRoute: SwaggerTransform = ({ schema, url, route }) => {
  const { access, form, json } = route.config ?? {};
  const described = { ...schema };
  if (access !== undefined && access !== 'open') {
    described.security = [{ apiKey: [] }, { bearer: [] }];
    described.description = [schema?.description, `Where keys are set: a key of role ${access}.`].filter(Boolean).join(' ');
  }
  if (form !== undefined) {
    const raw = Type.Unsafe<Uint8Array>({ type: 'string', format: 'binary', description: 'One picture.' });
    const others = json === undefined ? {} : { 'application/json': { schema: json } };
    described.body = { content: { 'multipart/form-data': { schema: form }, 'image/*': { schema: raw }, ...others } };
  }
  return { schema: described, url };
};
