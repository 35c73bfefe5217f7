/**
 * Element-wise operations with ONNX's broadcasting (the same as tfjs's). What is known while tracing is computed;
 * multiplying by one and adding zero vanish, as do the tensors of ones that tfjs's gradients multiply by.
 */
import { broadcastDims, type Graph, sameDims, sizeOf, typedArray, type Value, type ValueType } from '../graph.js';
import { foldElementwise } from './constants.js';
import { alignChannelsFirst, TO_CHANNELS_LAST } from './layout.js';
import { expand, transpose } from './shaping.js';

type Attributes = Readonly<Record<string, number | { readonly float: number }>>;

/** Operators whose answer is a truth. */
const COMPARISONS: ReadonlySet<string> = new Set([
  'Greater',
  'GreaterOrEqual',
  'Less',
  'LessOrEqual',
  'Equal',
  'And',
  'Or',
  'Xor',
  'Not',
  'IsNaN',
  'IsInf',
]);
/** The number that leaves the other operand as it is. */
const RIGHT_NEUTRAL: Readonly<Record<string, number>> = { Add: 0, Sub: 0, Mul: 1, Div: 1 };
const LEFT_NEUTRAL: Readonly<Record<string, number>> = { Add: 0, Mul: 1 };
/** Constants up to this size are computed while tracing; folded weights of an exported encoder are a few megabytes. */
const FOLDED_SIZE_MAX = 2 ** 24;

/**
 * One of ONNX's element-wise operators on one, two or three values. Comparisons give bool, Where its branches' type,
 * others the first's.
 */
export function elementwise(graph: Graph, op: string, operands: readonly Value[], attributes: Attributes = {}): Value {
  const dims = operands.map((value) => value.dims).reduce(broadcastDims);
  const type = typeOf(op, operands);
  const folded = fold(graph, { op, operands, dims, type });
  if (folded !== undefined) return folded;
  const neutral = simplify(graph, { op, operands, dims });
  if (neutral !== undefined) return neutral;
  const repeated = whollyRepeated(graph, { op, operands, dims }, attributes);
  if (repeated !== undefined) return repeated;
  const inputs = operands.map((value, index) => withoutExpand(value, operands, index, dims));
  const aligned = alignChannelsFirst(graph, inputs, dims);
  if (aligned === undefined) return graph.emitOne({ op, inputs, type, dims, attributes });
  const result = graph.emitOne({
    op,
    inputs: aligned,
    type,
    dims: aligned.map((value) => value.dims).reduce(broadcastDims),
    attributes,
  });
  return transpose(graph, result, TO_CHANNELS_LAST);
}

/** x in another type. Numbers become bool by being other than zero; floats become integers by truncation. */
export function cast(graph: Graph, x: Value, type: ValueType): Value {
  if (x.type === type) return x;
  if (x.constant !== undefined) {
    const values = Float64Array.from({ length: x.constant.length }, (_, index) => Number(x.constant![index]));
    const converted =
      type === 'bool'
        ? values.map((value) => (value === 0 ? 0 : 1))
        : type === 'float32'
          ? values
          : values.map(Math.trunc);
    return graph.constant(type, x.dims, typedArray(type, converted));
  }
  const to = { float32: 1, int32: 6, int64: 7, bool: 9 }[type];
  const aligned = alignChannelsFirst(graph, [x], x.dims);
  if (aligned === undefined) return graph.emitOne({ op: 'Cast', inputs: [x], type, dims: x.dims, attributes: { to } });
  const result = graph.emitOne({ op: 'Cast', inputs: aligned, type, dims: aligned[0]!.dims, attributes: { to } });
  return transpose(graph, result, TO_CHANNELS_LAST);
}

/** The number a constant holds throughout; undefined for other values. */
function uniformConstant(value: Value): number | undefined {
  if (value.producer?.op === 'Expand') return uniformConstant(value.producer.inputs[0]!);
  const { constant } = value;
  if (constant === undefined || constant.length === 0) return undefined;
  for (let i = 1; i < constant.length; i++) if (!Object.is(constant[i], constant[0])) return undefined;
  return Number(constant[0]);
}

function typeOf(op: string, operands: readonly Value[]): ValueType {
  if (COMPARISONS.has(op)) return 'bool';
  return operands[op === 'Where' ? 1 : 0]!.type;
}

type Operation = { readonly op: string; readonly operands: readonly Value[]; readonly dims: readonly number[] };

function fold(graph: Graph, { op, operands, dims, type }: Operation & { readonly type: ValueType }): Value | undefined {
  if (sizeOf(dims) > FOLDED_SIZE_MAX || (op === 'Div' && type !== 'float32')) return undefined;
  const known = operands.flatMap((value) =>
    value.constant === undefined ? [] : [{ data: value.constant, dims: value.dims }],
  );
  if (known.length < operands.length) return undefined;
  const values = foldElementwise(op, known, dims);
  return values === undefined ? undefined : graph.constant(type, dims, typedArray(type, values));
}

/**
 * x + 0, x - 0, x * 1, x / 1; and division by a number as multiplication by its reciprocal, which is several times
 * as fast.
 */
function simplify(graph: Graph, { op, operands, dims }: Operation): Value | undefined {
  const [a, b] = operands;
  if (a === undefined || b === undefined || operands.length !== 2) return undefined;
  const left = uniformConstant(a);
  const right = uniformConstant(b);
  if (right !== undefined && right === RIGHT_NEUTRAL[op]) return expand(graph, a, dims);
  if (left !== undefined && left === LEFT_NEUTRAL[op]) return expand(graph, b, dims);
  if (op === 'Div' && right !== undefined && a.type === 'float32' && b.dims.length <= dims.length) {
    const reciprocal = graph.scalar('float32', 1 / right);
    return elementwise(graph, 'Mul', [sameDims(a.dims, dims) ? a : expand(graph, a, dims), reciprocal]);
  }
  return undefined;
}

/** An operation on repeated values alone is done on the short ones and its result repeated. */
function whollyRepeated(graph: Graph, { op, operands, dims }: Operation, attributes: Attributes): Value | undefined {
  const sources = operands.map((value) => (value.producer?.op === 'Expand' ? value.producer.inputs[0]! : value));
  const reached = sources.map((value) => value.dims).reduce(broadcastDims);
  if (sizeOf(reached) === sizeOf(dims)) return undefined;
  return expand(graph, elementwise(graph, op, sources, attributes), dims);
}

/**
 * An operand without its Expand, where another operand has the whole shape and the operation itself repeats this one.
 */
function withoutExpand(value: Value, operands: readonly Value[], index: number, dims: readonly number[]): Value {
  if (value.producer?.op !== 'Expand') return value;
  const source = value.producer.inputs[0]!;
  const others = operands.filter((_, other) => other !== index).map((other) => other.dims);
  const reached = [source.dims, ...others].reduce(broadcastDims);
  return others.length > 0 && sameDims(reached, dims) ? source : value;
}
