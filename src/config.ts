/** Settings from the command line and the environment: a flag wins. Read once at the start, frozen, passed down; the only file that reads the environment. */
import { SearchError } from './errors.js';
import { flagOf, SETTINGS, type Setting, type SettingName, type Settings, variableOf } from './settings.js';

/**
 * Settings from flags over environment over defaults. `flags` holds what the command line gave, under the names of the table. Throws
 * INVALID_SETTINGS with every fault at once, unknown LIKENESS_ variables included, so that a typing mistake is not a silent default.
 */
export function readSettings(flags: { readonly [name: string]: unknown } = {}, environment: NodeJS.ProcessEnv = process.env): Settings {
  const faults: string[] = [];
  const values: Record<string, string | number | boolean> = {};
  for (const name of Object.keys(SETTINGS) as SettingName[]) {
    const flag = flags[name];
    const given = flag ?? environment[variableOf(name)];
    const source = flag === undefined ? variableOf(name) : flagOf(name);
    const value = given === undefined ? SETTINGS[name].default : parseSetting(SETTINGS[name], given);
    if (value === undefined) faults.push(`${source}=${String(given)}: ${expectation(SETTINGS[name])}`);
    else values[name] = value;
  }
  const known = new Set([...(Object.keys(SETTINGS) as SettingName[]).map(variableOf), 'LIKENESS_URL', 'LIKENESS_API_KEY']);
  for (const variable of Object.keys(environment)) {
    if (variable.startsWith('LIKENESS_') && !known.has(variable)) faults.push(`${variable}: no such setting`);
  }
  if (Number(values.headersTimeoutMs) >= Number(values.requestTimeoutMs)) {
    faults.push(`${flagOf('headersTimeoutMs')} must be less than ${flagOf('requestTimeoutMs')}, or Node ignores the latter`);
  }
  if (faults.length > 0) throw new SearchError('INVALID_SETTINGS', `Settings are wrong:\n  ${faults.join('\n  ')}`);
  // The loop above gave every name of the table a value of its kind.
  return Object.freeze(values) as unknown as Settings;
}

/** Where the client commands (import, search, export) find a running service: flags over LIKENESS_URL and LIKENESS_API_KEY over loopback. */
export function readServiceAddress(
  flags: { readonly url?: string; readonly apiKey?: string },
  environment: NodeJS.ProcessEnv = process.env,
): { readonly url: string; readonly apiKey: string | undefined } {
  const url = flags.url ?? environment.LIKENESS_URL ?? `http://${SETTINGS.host.default}:${SETTINGS.port.default}`;
  return { url, apiKey: flags.apiKey ?? environment.LIKENESS_API_KEY };
}

function parseSetting(setting: Setting, given: unknown): string | number | boolean | undefined {
  if (setting.kind === 'switch') {
    if (given === true || given === 'true' || given === '1') return true;
    return given === false || given === 'false' || given === '0' ? false : undefined;
  }
  if (setting.kind === 'integer') {
    const value = typeof given === 'number' ? given : /^\d+$/.test(String(given).trim()) ? Number(given) : Number.NaN;
    return Number.isInteger(value) && value >= setting.min && value <= setting.max ? value : undefined;
  }
  const value = String(given);
  return setting.choices === undefined || setting.choices.includes(value) ? value : undefined;
}

function expectation(setting: Setting): string {
  if (setting.kind === 'switch') return 'takes true or false';
  if (setting.kind === 'integer') return `takes a whole number from ${setting.min} to ${setting.max}`;
  return `takes one of ${setting.choices?.join(', ') ?? 'any text'}`;
}
