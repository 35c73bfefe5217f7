import { writeFile } from 'node:fs/promises';
import { errorsDocument } from '../server/error-answers.js';
import { generateOpenApiDocument } from '../server/generate-openapi.js';
import { settingsDocument } from '../settings.js';

/**
 * Writes the documents that are generated from the code, into the repository's root. Tests compare them. Returns the
 * exit code.
 */
export async function runDocs(): Promise<number> {
  await writeFile('docs/settings.md', settingsDocument());
  await writeFile('docs/errors.md', errorsDocument());
  await writeFile('openapi.yaml', await generateOpenApiDocument());
  return 0;
}
