/**
 * fetch as a client would use it, which remembers every route it met and checks every JSON answer against openapi.yaml.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Check, Errors } from 'typebox/schema';
import { parse } from 'yaml';
import { resolvedReferences } from '../server/resolved-references.js';

type Operation = {
  readonly responses: {
    readonly [status: string]: { readonly content?: { readonly [type: string]: { schema: object } } };
  };
};
type Document = { readonly paths: { readonly [path: string]: { readonly [method: string]: Operation } } };

/** The routes of openapi.yaml, and the ones met so far, as "GET /images/{id}". */
export type RecordedFetch = {
  readonly routes: ReadonlySet<string>;
  readonly met: ReadonlySet<string>;
  readonly fetch: (url: URL, init: RequestInit) => Promise<Response>;
};

/** Reads openapi.yaml of the repository. */
export function createRecordedFetch(): RecordedFetch {
  const text = readFileSync(new URL('../../../openapi.yaml', import.meta.url), 'utf8');
  const { paths } = resolvedReferences(parse(text) as Document);
  const routes = new Set(
    Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => nameOf(method, path))),
  );
  const met = new Set<string>();
  return {
    routes,
    met,
    async fetch(url, init) {
      const response = await fetch(url, init);
      const method = (init.method ?? 'GET').toLowerCase();
      // A path without parameters goes before one with: /search before /{anything}.
      const known = Object.keys(paths).toSorted((a, b) => a.split('{').length - b.split('{').length);
      const path = known.find((one) => new RegExp(`^${one.replace(/\{[^}]+\}/g, '[^/]+')}$`).test(url.pathname));
      const operation = path === undefined ? undefined : paths[path]![method];
      assert.ok(path !== undefined && operation !== undefined, `${method} ${url.pathname} is not in openapi.yaml`);
      met.add(nameOf(method, path));
      if (response.headers.get('content-type')?.startsWith('application/json')) {
        const documented =
          operation.responses[response.status] ?? operation.responses[`${Math.floor(response.status / 100)}XX`];
        const schema = documented?.content?.['application/json']?.schema;
        assert.ok(schema, `${nameOf(method, path)} answers ${response.status}, which is not described`);
        const value: unknown = await response.clone().json();
        assert.ok(Check(schema, value), `${nameOf(method, path)}: ${JSON.stringify(Errors(schema, value))}`);
      }
      return response;
    },
  };
}

function nameOf(method: string, path: string): string {
  return `${method.toUpperCase()} ${path}`;
}
