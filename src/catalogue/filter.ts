/** A scalar that metadata may hold and a filter may name. */
export type FilterScalar = string | number | boolean | null;

/**
 * The filter language on metadata. A field is a dotted path into the metadata (`shop.brand`); a path that ends in an array matches where
 * any element does. Parsed by a schema, never evaluated.
 */
export type Filter =
  | { readonly and: readonly Filter[] }
  | { readonly or: readonly Filter[] }
  | { readonly not: Filter }
  | { readonly field: string; readonly equals: FilterScalar }
  | { readonly field: string; readonly in: readonly FilterScalar[] }
  | { readonly field: string; readonly range: { readonly gt?: Bound; readonly gte?: Bound; readonly lt?: Bound; readonly lte?: Bound } }
  | { readonly field: string; readonly exists: boolean };

type Bound = string | number;
