import type {
  CastAttrs,
  ClipByValueAttrs,
  EluInputs,
  FusedConv2DAttrs,
  LeakyReluAttrs,
  StepAttrs,
} from '@tensorflow/tfjs-core';
import type { Graph, Value, ValueType } from '../graph.js';
import { type Lowering, type LoweringTable, lowering } from '../lowering.js';
import { cast, elementwise } from '../operators/arithmetic.js';

const unary = (op: string): Lowering => lowering<'x'>((graph, { x }) => elementwise(graph, op, [x]));
const binary = (op: string): Lowering => lowering<'a' | 'b'>((graph, { a, b }) => elementwise(graph, op, [a, b]));
/** Near the largest float32. Only subnormal numbers (below 1e-38) times it stay below 1. */
const STEEPEST = 1e38;
const number = (graph: Graph, like: Value, value: number): Value => graph.scalar(like.type, value);

/** Kernels that treat each element by itself (or each pair of elements, broadcast). */
export const ELEMENT_WISE: LoweringTable = {
  Abs: unary('Abs'),
  Ceil: unary('Ceil'),
  Cos: unary('Cos'),
  Elu: lowering<keyof EluInputs & string>((graph, { x }) => elementwise(graph, 'Elu', [x])),
  Erf: unary('Erf'),
  Exp: unary('Exp'),
  Floor: unary('Floor'),
  IsInf: unary('IsInf'),
  IsNan: unary('IsNaN'),
  IsFinite: lowering<'x'>((graph, { x }) => {
    const infinite = elementwise(graph, 'IsInf', [x]);
    return elementwise(graph, 'Not', [elementwise(graph, 'Or', [infinite, elementwise(graph, 'IsNaN', [x])])]);
  }),
  Log: unary('Log'),
  Log1p: lowering<'x'>((graph, { x }) =>
    elementwise(graph, 'Log', [elementwise(graph, 'Add', [x, number(graph, x, 1)])]),
  ),
  LogicalNot: unary('Not'),
  Neg: unary('Neg'),
  Reciprocal: unary('Reciprocal'),
  Relu: unary('Relu'),
  // tfjs and ONNX both round halves to even.
  Round: unary('Round'),
  Rsqrt: lowering<'x'>((graph, { x }) => elementwise(graph, 'Reciprocal', [elementwise(graph, 'Sqrt', [x])])),
  Sigmoid: unary('Sigmoid'),
  Sign: unary('Sign'),
  Sin: unary('Sin'),
  Softplus: unary('Softplus'),
  Sqrt: unary('Sqrt'),
  Square: lowering<'x'>((graph, { x }) => elementwise(graph, 'Mul', [x, x])),
  Tanh: unary('Tanh'),
  LeakyRelu: lowering<'x', LeakyReluAttrs>((graph, { x }, { alpha }) =>
    elementwise(graph, 'LeakyRelu', [x], { alpha: { float: alpha } }),
  ),
  Prelu: lowering<'x' | 'alpha'>((graph, { x, alpha }) => {
    const zero = graph.scalar('float32', 0);
    const below = elementwise(graph, 'Mul', [elementwise(graph, 'Min', [x, zero]), alpha]);
    return elementwise(graph, 'Add', [elementwise(graph, 'Max', [x, zero]), below]);
  }),
  ClipByValue: lowering<'x', ClipByValueAttrs>((graph, { x }, { clipValueMin, clipValueMax }) => {
    const raised = elementwise(graph, 'Max', [x, number(graph, x, clipValueMin)]);
    return elementwise(graph, 'Min', [raised, number(graph, x, clipValueMax)]);
  }),
  Relu6: lowering<'x'>((graph, { x }) =>
    elementwise(graph, 'Min', [elementwise(graph, 'Relu', [x]), number(graph, x, 6)]),
  ),
  // HardSigmoid is clip(slope * x, 0, 1): at the steepest slope 0 or 1, in one pass instead of a comparison and a cast.
  Step: lowering<'x', StepAttrs>((graph, { x }, { alpha }) => {
    const positive = elementwise(graph, 'HardSigmoid', [cast(graph, x, 'float32')], {
      alpha: { float: STEEPEST },
      beta: { float: 0 },
    });
    if (alpha > 0 && alpha < 1) return elementwise(graph, 'Max', [positive, graph.scalar('float32', alpha)]);
    if (alpha === undefined || alpha === 0) return positive;
    const rest = elementwise(graph, 'Mul', [
      elementwise(graph, 'Sub', [graph.scalar('float32', 1), positive]),
      graph.scalar('float32', alpha),
    ]);
    return elementwise(graph, 'Add', [positive, rest]);
  }),
  Cast: lowering<'x', CastAttrs>((graph, { x }, { dtype }) => cast(graph, x, valueType(dtype))),
  Identity: lowering<'x'>((_graph, { x }) => x),

  Add: binary('Add'),
  AddN: lowering<string>((graph, inputs) =>
    Object.values(inputs).reduce((sum, value) => elementwise(graph, 'Add', [sum, value])),
  ),
  Sub: binary('Sub'),
  Multiply: binary('Mul'),
  // tfjs divides integers as floats.
  RealDiv: lowering<'a' | 'b'>((graph, { a, b }) =>
    elementwise(graph, 'Div', [cast(graph, a, 'float32'), cast(graph, b, 'float32')]),
  ),
  Maximum: binary('Max'),
  Minimum: binary('Min'),
  Pow: binary('Pow'),
  SquaredDifference: lowering<'a' | 'b'>((graph, { a, b }) => {
    const difference = elementwise(graph, 'Sub', [a, b]);
    return elementwise(graph, 'Mul', [difference, difference]);
  }),
  Greater: binary('Greater'),
  GreaterEqual: binary('GreaterOrEqual'),
  Less: binary('Less'),
  LessEqual: binary('LessOrEqual'),
  Equal: binary('Equal'),
  NotEqual: lowering<'a' | 'b'>((graph, { a, b }) => elementwise(graph, 'Not', [elementwise(graph, 'Equal', [a, b])])),
  LogicalAnd: binary('And'),
  LogicalOr: binary('Or'),
  Select: lowering<'condition' | 't' | 'e'>((graph, { condition, t, e }) =>
    elementwise(graph, 'Where', [condition, t, e]),
  ),
};

/** What a fused kernel does after its convolution or product: adds the bias, applies the activation. */
export function finish(
  graph: Graph,
  y: Value,
  { bias, preluActivationWeights: alpha }: { readonly bias?: Value; readonly preluActivationWeights?: Value },
  { activation, leakyreluAlpha }: Pick<FusedConv2DAttrs, 'activation' | 'leakyreluAlpha'>,
): Value {
  const x = bias === undefined ? y : elementwise(graph, 'Add', [y, bias]);
  if (activation === undefined || activation === null || activation === 'linear') return x;
  const kernel = FUSED_ACTIVATIONS[activation];
  if (kernel === undefined) throw new Error(`The fused activation ${activation} has no lowering.`);
  const result = ELEMENT_WISE[kernel]!(graph, alpha === undefined ? { x } : { x, alpha }, { alpha: leakyreluAlpha });
  return result as Value; // kernels of activations have one output
}

const FUSED_ACTIVATIONS: { readonly [activation: string]: keyof typeof ELEMENT_WISE } = {
  relu: 'Relu',
  relu6: 'Relu6',
  elu: 'Elu',
  prelu: 'Prelu',
  leakyrelu: 'LeakyRelu',
  sigmoid: 'Sigmoid',
};

/** A tfjs dtype as the type of a graph value; throws for the two that tensors of numbers never have. */
export function valueType(dtype: string): ValueType {
  if (dtype === 'float32' || dtype === 'int32' || dtype === 'bool') return dtype;
  throw new Error(`Tensors of ${dtype} cannot be compiled; use float32, int32 or bool.`);
}
