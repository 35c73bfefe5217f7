import { flagOf, SETTINGS, type Setting, type SettingName, variableOf } from './settings.js';

/** docs/settings.md: the table for people. */
export function settingsDocument(): string {
  const byMachine: { readonly [name: string]: string } = { decoders: 'processors', encoderThreads: 'half of the processors' };
  const rows = (Object.keys(SETTINGS) as SettingName[]).map((name) => {
    const setting: Setting = SETTINGS[name];
    const standard = byMachine[name] ?? (setting.default === '' ? 'none' : String(setting.default));
    return `| \`${flagOf(name)}\` | \`${variableOf(name)}\` | ${standard} | ${setting.unit ?? ''} | ${setting.description} |`;
  });
  return `# Settings

Every setting is a flag of \`likeness serve\` and an environment variable; the flag wins. Wrong or unknown settings stop the start, all
faults listed at once. This file is generated from \`src/settings.ts\` (\`node dist/src/cli.js docs\`).

| flag | variable | default | unit | what it sets |
|---|---|---|---|---|
${rows.join('\n')}
`;
}
