/** How far V8 lets its heap grow before it looks through all of it again. */
import { setFlagsFromString } from 'node:v8';

/** The flag of V8. What V8 does not know it passes over in silence, so a test asks it. */
export const HEAP_GROWTH_FLAG = 'heap-growing-percent';
/** Of what was live after the last full collection: three times as much. */
const GROWTH_PERCENT = 200;

/**
 * Lets the heap treble before the next full collection. A service makes garbage slowly, and of a slow program V8 wants its heap small: some 28 MB of live objects
 * grew by 10 MB, or by the buffers of 120 pictures, and all of it was marked again, 1.3 times a second, 20 ms of them at a stretch. Now it is once in seven
 * seconds, the young are collected between, and with 16 clients searching the whole heap stays under 60 MB. For the process as a whole, so only an entry point
 * that owns the process may call it.
 */
export function letHeapGrow(): void {
  setFlagsFromString(`--${HEAP_GROWTH_FLAG}=${GROWTH_PERCENT}`);
}
