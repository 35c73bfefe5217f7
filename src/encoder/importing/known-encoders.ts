/** Encoders that `likeness encoder add` knows by name, and those that it does not offer, with the reason. */

/** A model on the hub. `megabytes`: of its image program in 32 bits; `operations`: multiply-adds a picture, in 10^9. */
export type KnownEncoder = {
  readonly name: string;
  readonly repository: string;
  readonly licence: string;
  readonly megabytes: number;
  readonly dimensions: number;
  readonly operations: number;
  readonly goodAt: string;
};

/**
 * Operations by the shapes of the networks: layers x (12 D^2 T + 2 D T^2) and the patches, of T tokens of D values.
 * Sizes as exporters state them; none was fetched here.
 */
export const KNOWN_ENCODERS: readonly KnownEncoder[] = [
  {
    name: 'dinov2-small',
    repository: 'Xenova/dinov2-small',
    licence: 'Apache-2.0',
    megabytes: 88,
    dimensions: 384,
    operations: 6.1,
    goodAt: 'what a picture shows; the first to try',
  },
  {
    name: 'dinov2-base',
    repository: 'Xenova/dinov2-base',
    licence: 'Apache-2.0',
    megabytes: 347,
    dimensions: 768,
    operations: 23,
    goodAt: 'the same, finer',
  },
  {
    name: 'siglip2-base',
    repository: 'onnx-community/siglip2-base-patch16-224-ONNX',
    licence: 'Apache-2.0',
    megabytes: 372,
    dimensions: 768,
    operations: 17,
    goodAt: 'what things are called: products, scenes',
  },
  {
    name: 'clip-base',
    repository: 'Xenova/clip-vit-base-patch32',
    licence: 'MIT (code); the weights came without a licence of their own',
    megabytes: 352,
    dimensions: 512,
    operations: 4.4,
    goodAt: 'broad topics; what many compare with',
  },
];

/** Asked for, and not offered: a copy may still be imported by whoever may use it. */
export const REFUSED_ENCODERS: readonly { readonly pattern: RegExp; readonly reason: string }[] = [
  {
    pattern: /dinov3/i,
    reason: "Meta's DINOv3 licence must travel with the weights, restricts their use and asks for an indemnity",
  },
  {
    pattern: /mobileclip/i,
    reason: 'its weights are licensed "for the sole purpose of scientific research"',
  },
];
