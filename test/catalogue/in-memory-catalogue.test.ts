import { CONTRACT_LIMITS, catalogueContract } from './catalogue-contract.js';
import { inMemoryCatalogue } from './in-memory-catalogue.js';

catalogueContract('the in-memory reference', async (use) => {
  const catalogue = inMemoryCatalogue(CONTRACT_LIMITS);
  await use(catalogue);
  await catalogue.close();
});
