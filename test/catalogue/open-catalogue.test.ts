import { openCatalogue } from '../../src/catalogue/open-catalogue.js';
import { CONTRACT_LIMITS, catalogueContract } from './catalogue-contract.js';
import { withTemporaryFolder } from './temporary-folder.js';

catalogueContract('the durable one', (use) =>
  withTemporaryFolder(async (folder) => {
    const catalogue = await openCatalogue({
      folder,
      encoderId: 'contract',
      ...CONTRACT_LIMITS,
      reserveBytes: 65_536,
    });
    try {
      await use(catalogue);
    } finally {
      await catalogue.close();
    }
  }),
);
