import { readFile } from 'node:fs/promises';
import { SearchError } from '../errors.js';
import { ADAPT_DEFAULTS, type AdaptRecipe, adaptOptions } from './adapt/adapt-options.js';
import { CLOSED_FORM_RECIPES, type ClosedFormRecipe, changedClosedForm } from './closed-form/closed-form-recipes.js';
import { checkedRecipe, type Recipe } from './recipe.js';
import { RECIPES } from './recipes.js';

/** The recipe that learns on top of another encoder. */
const ADAPT = 'adapt';
/** Every name that `--recipe` takes. */
const RECIPE_NAMES: readonly string[] = [ADAPT, ...Object.keys(CLOSED_FORM_RECIPES), ...Object.keys(RECIPES)];

/** A recipe of any method: on top of a backbone, fitted in closed form, or trained by gradients. */
export type AnyRecipe =
  | { readonly method: 'backbone'; readonly recipe: AdaptRecipe }
  | { readonly method: 'closed form'; readonly recipe: ClosedFormRecipe }
  | { readonly method: 'gradients'; readonly recipe: Recipe };

/**
 * The recipe of that name, or of that JSON file. A file holds a whole gradient recipe, or `{"base": NAME, ...}` with
 * what differs from a named one: objects are merged key by key, anything else replaces. INVALID_SETTINGS lists every
 * fault with its key.
 */
export async function readRecipe(nameOrFile: string): Promise<AnyRecipe> {
  const named = recipeNamed(nameOrFile);
  if (named !== undefined) return named;
  const names = RECIPE_NAMES.join(', ');
  const text = await readFile(nameOrFile, 'utf8').catch((cause: unknown) => {
    const message = `There is no recipe ${nameOrFile}. Give one of ${names}, or a JSON file that can be read.`;
    throw new SearchError('INVALID_SETTINGS', message, { cause });
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SearchError('INVALID_SETTINGS', `Recipe ${nameOrFile} is not JSON: ${reason}.`, { cause });
  }
  if (!isRecord(value) || value.base === undefined)
    return { method: 'gradients', recipe: checkedRecipe(value, nameOrFile) };
  const { base: baseName, ...changes } = value;
  const base = typeof baseName === 'string' ? recipeNamed(baseName) : undefined;
  if (base === undefined)
    throw new SearchError('INVALID_SETTINGS', `Recipe ${nameOrFile}: base is not a recipe; give one of ${names}.`);
  if (base.method === 'backbone')
    return { method: base.method, recipe: { options: adaptOptions(changes, nameOrFile) } };
  return base.method === 'closed form'
    ? { method: base.method, recipe: changedClosedForm(base.recipe, changes, nameOrFile) }
    : { method: base.method, recipe: checkedRecipe(changed(base.recipe, changes), nameOrFile) };
}

/** A recipe that is trained by gradients, as {@link readRecipe}; INVALID_SETTINGS for one in closed form. */
export async function readGradientRecipe(nameOrFile: string): Promise<Recipe> {
  const { method, recipe } = await readRecipe(nameOrFile);
  if (method === 'gradients') return recipe;
  const message = `Recipe ${nameOrFile} is not trained by gradients. Give one of ${Object.keys(RECIPES).join(', ')}.`;
  throw new SearchError('INVALID_SETTINGS', message);
}

/** Keys that name the kind of an object: the settings of one kind mean nothing to another. */
const TAGS = ['kind', 'draw'] as const;

/**
 * A recipe with changes, unchecked: objects are merged key by key; one of another `kind` or `draw`, and anything
 * else, replaces.
 */
export function changed(recipe: unknown, changes: unknown): unknown {
  if (!isRecord(recipe) || !isRecord(changes) || TAGS.some((tag) => tag in changes && changes[tag] !== recipe[tag]))
    return changes;
  const keys = new Set([...Object.keys(recipe), ...Object.keys(changes)]);
  return Object.fromEntries(
    [...keys].map((key) => [key, key in changes ? changed(recipe[key], changes[key]) : recipe[key]]),
  );
}

function recipeNamed(name: string): AnyRecipe | undefined {
  if (name === ADAPT) return { method: 'backbone', recipe: { options: ADAPT_DEFAULTS } };
  const recipe = ownValue<Recipe>(RECIPES, name);
  if (recipe !== undefined) return { method: 'gradients', recipe };
  const closedForm = ownValue(CLOSED_FORM_RECIPES, name);
  return closedForm && { method: 'closed form', recipe: closedForm };
}

function ownValue<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
