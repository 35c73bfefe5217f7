import type { Neighbour } from '../../src/catalogue/catalogue.js';
import { CatalogueEngine, type EngineOptions } from '../../src/catalogue/catalogue-engine.js';
import type { ReadRequest } from '../../src/catalogue/catalogue-requests.js';

/** Elements of an embedding in tests of the engine. */
export const ENGINE_DIMENSIONS = 16;

/**
 * An engine on this thread, with small graphs that are quick to build; `warnings` gathers what an operator would
 * be told.
 */
export function openTestEngine(
  folder: string,
  given: Partial<EngineOptions> = {},
): { readonly engine: CatalogueEngine; readonly warnings: string[] } {
  const warnings: string[] = [];
  const engine = new CatalogueEngine({
    ...{ folder, encoderId: 'test', settings: { dimensions: ENGINE_DIMENSIONS, m: 8, efConstruction: 60, ef: 64 } },
    ...{
      collectionsMax: 10,
      maxMetadataBytes: 65_536,
      saveEveryChanges: 1e9,
      lockTimeoutMs: 0,
      reserveBytes: 65_536,
      now: Date.now,
    },
    ...{
      onCommit: () => undefined,
      onWarning: (message: string) => warnings.push(message),
      collectGarbage: () => undefined,
    },
    ...given,
  });
  return { engine, warnings };
}

/** The nearest images of a query by the engine. */
export function nearest(engine: CatalogueEngine, embedding: Float32Array, k = 1): readonly Neighbour[] {
  return readNow(engine, { method: 'neighbours', args: [{ collection: 'default', embedding, k }] });
}

/** Runs all steps of a read at once; `Value` is what its method returns. */
export function readNow<Value>(engine: CatalogueEngine, request: ReadRequest): Value {
  const steps = engine.read(request);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value as Value;
  }
}
