/**
 * Settings from flags and environment variables, read once at the start. This is the only file that reads
 * the environment.
 */
import { SearchError } from './errors.js';
import { findInPackage } from './package-files.js';
import { flagOf, SETTINGS, type Setting, type SettingName, type Settings, variableOf } from './settings.js';

/**
 * The settings: a flag takes precedence over its variable, both over the default. `flags` are those given, by the names
 * of the settings. Throws INVALID_SETTINGS with all faults at once; an unknown LIKENESS_ variable is one, so that a
 * typing error does not silently select a default.
 */
export function readSettings(
  flags: { readonly [name: string]: unknown } = {},
  environment: NodeJS.ProcessEnv = process.env,
  onWarning: (message: string) => void = () => {},
): Settings {
  const faults: string[] = [];
  const links = Object.keys(environment).filter((name) => isServiceLink(name, environment[name] ?? ''));
  if (links.length > 0)
    onWarning(
      `ignored ${links.join(', ')}, which Kubernetes or Docker sets for a service of this name (enableServiceLinks: false avoids this).`,
    );
  const values: Record<string, string | number | boolean> = {};
  for (const name of Object.keys(SETTINGS) as SettingName[]) {
    const flag = flags[name];
    const variable = links.includes(variableOf(name)) ? undefined : environment[variableOf(name)];
    const given = flag ?? variable;
    const source = flag === undefined ? variableOf(name) : flagOf(name);
    const value = given === undefined ? SETTINGS[name].default : parseSetting(SETTINGS[name], given);
    if (value === undefined) faults.push(`${source}=${String(given)}: ${expectation(SETTINGS[name])}`);
    else values[name] = value;
  }
  const known = new Set([
    ...(Object.keys(SETTINGS) as SettingName[]).map(variableOf),
    'LIKENESS_URL',
    'LIKENESS_API_KEY',
  ]);
  for (const variable of Object.keys(environment)) {
    if (variable.startsWith('LIKENESS_') && !known.has(variable) && !links.includes(variable))
      faults.push(`${variable}: no such setting`);
  }
  if (Number(values.headersTimeoutMs) >= Number(values.requestTimeoutMs)) {
    faults.push(
      `${flagOf('headersTimeoutMs')} must be less than ${flagOf('requestTimeoutMs')}; otherwise Node.js ignores the latter`,
    );
  }
  if (faults.length > 0) throw new SearchError('INVALID_SETTINGS', `Invalid settings:\n  ${faults.join('\n  ')}`);
  values.model = findInPackage(String(values.model));
  // The loop above set every setting to a value of its kind.
  return Object.freeze(values) as unknown as Settings;
}

/** True for the variables that Kubernetes and Docker set for a service whose name begins with "likeness". */
function isServiceLink(name: string, value: string): boolean {
  if (!name.startsWith('LIKENESS_')) return false;
  if (/_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?|ENV_\w+)$/.test(name))
    return true;
  if (/_PORT$/.test(name)) return /^(tcp|udp|sctp):\/\//.test(value);
  return /_NAME$/.test(name) && value.startsWith('/');
}

/**
 * Address and key of the running service for import, search and snapshot: flags, then LIKENESS_URL and
 * LIKENESS_API_KEY, then loopback.
 */
export function readServiceAddress(
  flags: { readonly url?: string; readonly apiKey?: string },
  environment: NodeJS.ProcessEnv = process.env,
): { readonly url: string; readonly apiKey: string | undefined } {
  const url = flags.url ?? environment.LIKENESS_URL ?? `http://${SETTINGS.host.default}:${SETTINGS.port.default}`;
  if (!/^https?:\/\//i.test(url) || !URL.canParse(url)) {
    const source = flags.url === undefined ? 'LIKENESS_URL' : '--url';
    throw new SearchError('INVALID_SETTINGS', `${source}=${url} is not an http(s) URL, such as http://127.0.0.1:8080.`);
  }
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
