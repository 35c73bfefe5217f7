/** Convolutions and pooling, channels-first as ONNX has them: x [N, C, H, W], filters [O, C, h, w]. */
import type { Graph, Value } from '../graph.js';

/** Zero rows and columns around the image. */
type Pads = { readonly top: number; readonly left: number; readonly bottom: number; readonly right: number };

/** Window of a convolution or pooling: its size, its steps, its pads, and the size of the result. */
export type Window = {
  readonly size: readonly [number, number];
  readonly strides: readonly [number, number];
  readonly dilations?: readonly [number, number];
  readonly pads: Pads;
  readonly output: readonly [number, number];
};

/**
 * Convolution (correlation) of x with filters; `bias` is one number per filter. group: channels are split among that
 * many groups.
 */
export function convolve(
  graph: Graph,
  x: Value,
  filters: Value,
  options: { readonly window: Window; readonly group?: number; readonly bias?: Value },
): Value {
  const { window, group = 1, bias } = options;
  return graph.emitOne({
    op: 'Conv',
    inputs: bias === undefined ? [x, filters] : [x, filters, bias],
    type: x.type,
    dims: [x.dims[0]!, filters.dims[0]!, ...window.output],
    attributes: { ...windowAttributes(window), dilations: [...(window.dilations ?? [1, 1])], group },
  });
}

/**
 * The adjoint of {@link convolve}: x [N, O, ...] back to [N, C, ...window.output] through filters [O, C / group, h, w].
 */
export function convolveTransposed(
  graph: Graph,
  x: Value,
  filters: Value,
  options: { readonly window: Window; readonly group?: number },
): Value {
  const { window, group = 1 } = options;
  const { size, strides, pads, output, dilations = [1, 1] } = window;
  const covered = (axis: 0 | 1, before: number, after: number): number =>
    (x.dims[2 + axis]! - 1) * strides[axis] + (size[axis] - 1) * dilations[axis] + 1 - before - after;
  const outputPadding = [output[0] - covered(0, pads.top, pads.bottom), output[1] - covered(1, pads.left, pads.right)];
  return graph.emitOne({
    op: 'ConvTranspose',
    inputs: [x, filters],
    type: x.type,
    dims: [x.dims[0]!, filters.dims[1]! * group, ...output],
    attributes: { ...windowAttributes(window), dilations: [...dilations], group, output_padding: outputPadding },
  });
}

/** Largest value in each window, and where it stands in x as one flat array (int64, the first of equals). */
export function maxPool(graph: Graph, x: Value, window: Window): { readonly largest: Value; readonly places: Value } {
  const dims = [x.dims[0]!, x.dims[1]!, ...window.output];
  const [largest, places] = graph.emit({
    op: 'MaxPool',
    inputs: [x],
    outputs: [
      { type: x.type, dims },
      { type: 'int64', dims },
    ],
    attributes: windowAttributes(window),
  });
  return { largest: largest!, places: places! };
}

/** Mean of each window, padding not counted. */
export function averagePool(graph: Graph, x: Value, window: Window): Value {
  const dims = [x.dims[0]!, x.dims[1]!, ...window.output];
  return graph.emitOne({
    op: 'AveragePool',
    inputs: [x],
    type: x.type,
    dims,
    attributes: { ...windowAttributes(window), count_include_pad: 0 },
  });
}

function windowAttributes({ size, strides, pads }: Window): Readonly<Record<string, readonly number[]>> {
  return { kernel_shape: [...size], strides: [...strides], pads: [pads.top, pads.left, pads.bottom, pads.right] };
}
