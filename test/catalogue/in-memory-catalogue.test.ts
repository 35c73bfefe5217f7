import { CONTRACT_DIMENSIONS, catalogueContract } from './catalogue-contract.js';
import { inMemoryCatalogue } from './in-memory-catalogue.js';

catalogueContract('the in-memory reference', async (use) => {
  const catalogue = inMemoryCatalogue(CONTRACT_DIMENSIONS);
  await use(catalogue);
  await catalogue.close();
});
