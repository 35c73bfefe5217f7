import protobuf from 'protobufjs';

/**
 * The ONNX format as protobuf reflection. Field numbers and names are those of the published schema (onnx/onnx,
 * onnx/onnx.proto); messages of which nothing is read are declared as bytes, so that an edited model keeps them. What
 * is not listed (documentation, training) is skipped when reading, as protobuf prescribes. /
 */
const ONNX_SCHEMA = `
syntax = "proto3";
package onnx;
message ModelProto {
  int64 ir_version = 1;
  string producer_name = 2;
  string producer_version = 3;
  string domain = 4;
  int64 model_version = 5;
  GraphProto graph = 7;
  repeated OperatorSetIdProto opset_import = 8;
  repeated StringStringEntryProto metadata_props = 14;
  repeated bytes functions = 25;
}
message OperatorSetIdProto { string domain = 1; int64 version = 2; }
message StringStringEntryProto { string key = 1; string value = 2; }
message GraphProto {
  repeated NodeProto node = 1;
  string name = 2;
  repeated TensorProto initializer = 5;
  repeated ValueInfoProto input = 11;
  repeated ValueInfoProto output = 12;
  repeated bytes value_info = 13;
  repeated bytes quantization_annotation = 14;
  repeated bytes sparse_initializer = 15;
}
message NodeProto {
  repeated string input = 1;
  repeated string output = 2;
  string name = 3;
  string op_type = 4;
  repeated AttributeProto attribute = 5;
  string domain = 7;
  string overload = 8;
}
message AttributeProto {
  string name = 1;
  float f = 2;
  int64 i = 3;
  bytes s = 4;
  TensorProto t = 5;
  GraphProto g = 6;
  repeated float floats = 7;
  repeated int64 ints = 8;
  repeated bytes strings = 9;
  repeated bytes tensors = 10;
  repeated GraphProto graphs = 11;
  bytes tp = 14;
  repeated bytes type_protos = 15;
  int32 type = 20;
  string ref_attr_name = 21;
  bytes sparse_tensor = 22;
  repeated bytes sparse_tensors = 23;
}
message TensorProto {
  repeated int64 dims = 1;
  int32 data_type = 2;
  repeated float float_data = 4;
  repeated int32 int32_data = 5;
  repeated bytes string_data = 6;
  repeated int64 int64_data = 7;
  string name = 8;
  bytes raw_data = 9;
  repeated double double_data = 10;
  repeated uint64 uint64_data = 11;
  repeated StringStringEntryProto external_data = 13;
  int32 data_location = 14;
}
message ValueInfoProto { string name = 1; TypeProto type = 2; }
message TypeProto {
  message Tensor { int32 elem_type = 1; TensorShapeProto shape = 2; }
  Tensor tensor_type = 1;
}
message TensorShapeProto {
  message Dimension { int64 dim_value = 1; string dim_param = 2; }
  repeated Dimension dim = 1;
}`;

/**
 * The protobuf type of a whole ONNX model. Built anew at each call (a few milliseconds): the writer and the reader
 * share no state.
 */
export function onnxModelType(): protobuf.Type {
  return protobuf.parse(ONNX_SCHEMA, { keepCase: true }).root.lookupType('onnx.ModelProto');
}

/**
 * Element types of tensors with their codes in TensorProto.DataType and the typed array that holds each. float16
 * travels as raw bits.
 */
export const ELEMENT_TYPES = {
  float32: { code: 1, array: Float32Array },
  uint8: { code: 2, array: Uint8Array },
  int32: { code: 6, array: Int32Array },
  int64: { code: 7, array: BigInt64Array },
  bool: { code: 9, array: Uint8Array },
  float16: { code: 10, array: Uint16Array },
  float64: { code: 11, array: Float64Array },
} as const;

/** AttributeProto.AttributeType: the kinds of attribute that are written and read. */
export const ATTRIBUTE_TYPES = { float: 1, int: 2, string: 3, tensor: 4, floats: 6, ints: 7 } as const;
