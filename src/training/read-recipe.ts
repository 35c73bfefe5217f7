import { readFile } from 'node:fs/promises';
import { SearchError } from '../errors.js';
import { checkedRecipe, type Recipe } from './recipe.js';
import { RECIPES } from './recipes.js';

/**
 * The recipe of that name, or of that JSON file. A file holds a whole recipe, or {"base": "seed", ...} with what differs: objects are merged
 * key by key, all else replaces. INVALID_SETTINGS lists every fault with its key.
 */
export async function readRecipe(nameOrFile: string): Promise<Recipe> {
  const named = recipeNamed(nameOrFile);
  if (named !== undefined) return checkedRecipe(named, nameOrFile);
  const names = Object.keys(RECIPES).join(', ');
  const text = await readFile(nameOrFile, 'utf8').catch((cause: unknown) => {
    throw new SearchError('INVALID_SETTINGS', `There is no recipe ${nameOrFile}: give ${names}, or a JSON file that can be read.`, {
      cause,
    });
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SearchError('INVALID_SETTINGS', `Recipe ${nameOrFile} is not JSON: ${reason}.`, { cause });
  }
  if (!isRecord(value) || value.base === undefined) return checkedRecipe(value, nameOrFile);
  const { base, ...changes } = value;
  const recipe = typeof base === 'string' ? recipeNamed(base) : undefined;
  if (recipe === undefined) throw new SearchError('INVALID_SETTINGS', `Recipe ${nameOrFile}: base is no recipe; give one of ${names}.`);
  return checkedRecipe(changed(recipe, changes), nameOrFile);
}

/** Keys that say which kind of thing an object is; the settings of one kind mean nothing to another. */
const TAGS = ['kind', 'draw'] as const;

/** A recipe with changes laid over it, unchecked: objects are merged key by key; one of another `kind` or `draw`, and anything else, replaces. */
export function changed(recipe: unknown, changes: unknown): unknown {
  if (!isRecord(recipe) || !isRecord(changes) || TAGS.some((tag) => tag in changes && changes[tag] !== recipe[tag])) return changes;
  const keys = new Set([...Object.keys(recipe), ...Object.keys(changes)]);
  return Object.fromEntries([...keys].map((key) => [key, key in changes ? changed(recipe[key], changes[key]) : recipe[key]]));
}

function recipeNamed(name: string): Recipe | undefined {
  return Object.hasOwn(RECIPES, name) ? RECIPES[name as keyof typeof RECIPES] : undefined; // By the line's own check.
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
