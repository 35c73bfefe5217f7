import { HnswIndex } from '../../../src/catalogue/vectors/hnsw-index.js';
import { vectorIndexContract } from './vector-index-contract.js';

vectorIndexContract('hnsw', 0.95, (dimensions) => new HnswIndex({ dimensions, m: 16, efConstruction: 200, ef: 64 }));
