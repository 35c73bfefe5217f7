import type { Neighbour } from '../../src/catalogue/catalogue.js';
import { CatalogueEngine } from '../../src/catalogue/catalogue-engine.js';
import type { EngineOptions } from '../../src/catalogue/engine-options.js';

/** Elements of an embedding in tests of the engine. */
export const ENGINE_DIMENSIONS = 16;

/** An engine on this thread, with small graphs that are quick to build; `warnings` gathers what an operator would be told. */
export function openTestEngine(
  folder: string,
  given: Partial<EngineOptions> = {},
): { readonly engine: CatalogueEngine; readonly warnings: string[] } {
  const warnings: string[] = [];
  const engine = new CatalogueEngine({
    ...{ folder, encoderId: 'test', settings: { dimensions: ENGINE_DIMENSIONS, m: 8, efConstruction: 60, ef: 64 } },
    ...{ collectionsMax: 10, saveEveryChanges: 1e9, lockTimeoutMs: 0, reserveBytes: 65_536, now: Date.now },
    ...{ onCommit: () => undefined, onWarning: (message: string) => warnings.push(message), collectGarbage: () => undefined },
    ...given,
  });
  return { engine, warnings };
}

/** The nearest images of a query by the engine. */
export function nearest(engine: CatalogueEngine, embedding: Float32Array, k = 1): readonly Neighbour[] {
  return engine.read({ method: 'neighbours', args: [{ collection: 'default', embedding, k }] }) as readonly Neighbour[]; // what this method answers
}
