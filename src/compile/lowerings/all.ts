import type { LoweringTable } from '../lowering.js';
import { CONVOLUTIONS } from './convolutions.js';
import { ELEMENT_WISE } from './element-wise.js';
import { MATRICES } from './matrices.js';
import { POOLING } from './pooling.js';
import { REDUCTIONS } from './reductions.js';
import { SHAPING } from './shaping.js';

/** Every tfjs kernel that can be compiled. A new one is a row in the table of its family and a case in its test. */
export const LOWERINGS: LoweringTable = { ...ELEMENT_WISE, ...REDUCTIONS, ...SHAPING, ...MATRICES, ...CONVOLUTIONS, ...POOLING };
