// The methods of MPSGraph that make, move and gather elements.
#include "plugin/core/scalar.h"
#include "tests/apple_double/mpsgraph/graph.h"

using namespace apple_double;
using mps::NodeKind;

namespace {

std::vector<char> element(double value, DType dtype) {
  const uint64_t bits = mps::is_integer(dtype) && std::abs(value) < 9e18
                            ? mps::Scalar(static_cast<int64_t>(value)).bits(dtype)
                            : mps::Scalar(value).bits(dtype);
  const char* const first = reinterpret_cast<const char*>(&bits);
  return {first, first + mps::size_of(dtype)};
}

std::vector<int64_t> list(NSArray<NSNumber*>* numbers) {
  std::vector<int64_t> found;
  for (NSNumber* number in numbers) found.push_back([number longLongValue]);
  return found;
}

MPSGraphTensor* transpose(Recording& recording, MPSGraphTensor* x, std::vector<int64_t> permutation) {
  return recording.host(NodeKind::transpose, {recording.operand(x, Takes::kAny)}, std::move(permutation));
}

MPSGraphTensor* reshape(Recording& recording, MPSGraphTensor* x, const Shape& shape) {
  return recording.host(NodeKind::reshape, {recording.operand(x, Takes::kAny)}, {}, DType::float32, shape);
}

// Indices are int32, or int64 where there are kernels for it.
uint32_t indices(Recording& recording, MPSGraphTensor* tensor) { return recording.operand(tensor, Takes::kIntegers); }

// Gathers of bytes of these types fail (pytorch/pytorch#82305).
uint32_t gathered(Recording& recording, MPSGraphTensor* tensor) {
  const uint32_t operand = recording.operand(tensor, Takes::kAny);
  const DType dtype = recording.node(operand).dtype;
  require(dtype != DType::bool_ && dtype != DType::uint8, recording.method(), " of ", mps::name(dtype),
          ": such gathers fail (pytorch/pytorch#82305).");
  return operand;
}

}  // namespace

@implementation MPSGraph (Movement)

- (MPSGraphTensor*)placeholderWithShape:(MPSShape*)shape dataType:(MPSDataType)type name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  Node node;
  node.kernel = "placeholder";
  node.dtype = dtype_of(type, "placeholderWithShape:");
  node.shape = shape_of(shape, "placeholderWithShape:");
  return recording.own(std::move(node));
}
- (MPSGraphTensor*)placeholderWithShape:(MPSShape*)shape name:(NSString*)name {
  return [self placeholderWithShape:shape dataType:MPSDataTypeFloat32 name:name];
}

- (MPSGraphTensor*)constantWithScalar:(double)value shape:(MPSShape*)shape dataType:(MPSDataType)type {
  Recording recording(self, _cmd);
  Node node;
  node.kernel = "constant";
  node.dtype = dtype_of(type, "constantWithScalar:");
  require(node.dtype != DType::bool_ && node.dtype != DType::uint8, "constantWithScalar: of ", mps::name(node.dtype),
          ": such constants come out wrong (pytorch/pytorch#82427, #83692). Cast one of int32.");
  node.shape = shape_of(shape, "constantWithScalar:");
  node.bytes = element(value, node.dtype);
  return recording.own(std::move(node));
}
- (MPSGraphTensor*)constantWithScalar:(double)value dataType:(MPSDataType)type {
  return [self constantWithScalar:value shape:@[ @1 ] dataType:type];
}
- (MPSGraphTensor*)constantWithData:(NSData*)data shape:(MPSShape*)shape dataType:(MPSDataType)type {
  Recording recording(self, _cmd);
  Node node;
  node.kernel = "constant";
  node.dtype = dtype_of(type, "constantWithData:");
  node.shape = shape_of(shape, "constantWithData:");
  const size_t wanted = static_cast<size_t>(mps::element_count(node.shape)) * mps::size_of(node.dtype);
  require([data length] == wanted, "constantWithData: ", [data length], " bytes for ", describe(node.dtype, node.shape),
          ": expected ", wanted, ".");
  const char* const first = static_cast<const char*>([data bytes]);
  node.bytes.assign(first, first + wanted);
  return recording.own(std::move(node));
}

- (MPSGraphTensor*)reshapeTensor:(MPSGraphTensor*)x withShape:(MPSShape*)shape name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  return reshape(recording, x, shape_of(shape, "reshapeTensor:"));
}
- (MPSGraphTensor*)expandDimsOfTensor:(MPSGraphTensor*)x axis:(NSInteger)axis name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  const Shape& from = recording.node(x).shape;
  const size_t at = axis_of(axis, from.size() + 1, recording.method());
  Shape shape;
  for (size_t i = 0; i <= from.size(); ++i) {
    if (i == at) shape.push_back(1);
    if (i < from.size()) shape.push_back(from[i]);
  }
  return reshape(recording, x, shape);
}
- (MPSGraphTensor*)squeezeTensor:(MPSGraphTensor*)x axis:(NSInteger)axis name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  const Shape& from = recording.node(x).shape;
  const size_t at = axis_of(axis, from.size(), recording.method());
  require(from[at] == 1, recording.method(), ": axis ", at, " of ", mps::to_string(from), " is not 1.");
  Shape shape;
  for (size_t i = 0; i < from.size(); ++i) {
    if (i != at) shape.push_back(from[i]);
  }
  return reshape(recording, x, shape);
}

- (MPSGraphTensor*)transposeTensor:(MPSGraphTensor*)x
                         dimension:(NSUInteger)first
                     withDimension:(NSUInteger)second
                              name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  const size_t rank = recording.node(x).shape.size();
  std::vector<int64_t> permutation;
  for (size_t i = 0; i < rank; ++i) permutation.push_back(static_cast<int64_t>(i));
  std::swap(permutation[axis_of(static_cast<int64_t>(first), rank, recording.method())],
            permutation[axis_of(static_cast<int64_t>(second), rank, recording.method())]);
  return transpose(recording, x, std::move(permutation));
}
- (MPSGraphTensor*)transposeTensor:(MPSGraphTensor*)x
                       permutation:(NSArray<NSNumber*>*)permutation
                              name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  return transpose(recording, x, list(permutation));
}

- (MPSGraphTensor*)broadcastTensor:(MPSGraphTensor*)x toShape:(MPSShape*)shape name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  return recording.host(NodeKind::broadcast, {recording.operand(x, Takes::kAny)}, {}, DType::float32,
                        shape_of(shape, "broadcastTensor:"));
}

- (MPSGraphTensor*)sliceTensor:(MPSGraphTensor*)x
                        starts:(NSArray<NSNumber*>*)starts
                          ends:(NSArray<NSNumber*>*)ends
                       strides:(NSArray<NSNumber*>*)strides
                          name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  const size_t rank = recording.node(x).shape.size();
  std::vector<int64_t> numbers;
  for (NSArray<NSNumber*>* part : {starts, ends, strides}) {
    require([part count] == rank, recording.method(), ": ", [part count], " numbers for ", rank, " axes.");
    for (int64_t number : list(part)) {
      require(number >= 0, recording.method(), ": ", number, ": what negative numbers mean is not documented.");
      numbers.push_back(number);
    }
  }
  return recording.host(NodeKind::slice, {recording.operand(x, Takes::kAny)}, std::move(numbers));
}
- (MPSGraphTensor*)sliceTensor:(MPSGraphTensor*)x
                     dimension:(NSUInteger)dimension
                         start:(NSInteger)start
                        length:(NSInteger)length
                          name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  const Shape& from = recording.node(x).shape;
  const size_t axis = axis_of(static_cast<int64_t>(dimension), from.size(), recording.method());
  std::vector<int64_t> starts(from.size(), 0), ends(from.begin(), from.end()), steps(from.size(), 1);
  starts[axis] = start;
  ends[axis] = start + length;
  starts.insert(starts.end(), ends.begin(), ends.end());
  starts.insert(starts.end(), steps.begin(), steps.end());
  return recording.host(NodeKind::slice, {recording.operand(x, Takes::kAny)}, std::move(starts));
}

- (MPSGraphTensor*)concatTensors:(NSArray<MPSGraphTensor*>*)tensors
                       dimension:(NSInteger)dimension
                            name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  std::vector<uint32_t> operands;
  for (MPSGraphTensor* tensor in tensors) operands.push_back(recording.operand(tensor, Takes::kAny));
  require(!operands.empty(), recording.method(), ": no tensors.");
  require(recording.node(operands[0]).dtype != DType::bool_, recording.method(),
          " of bool: not known to work. Concatenate int8.");
  const size_t rank = recording.node(operands[0]).shape.size();
  return recording.host(NodeKind::concatenation, std::move(operands),
                        {static_cast<int64_t>(axis_of(dimension, rank, recording.method()))});
}
- (MPSGraphTensor*)concatTensor:(MPSGraphTensor*)x
                     withTensor:(MPSGraphTensor*)y
                      dimension:(NSInteger)dimension
                           name:(NSString*)name {
  return [self concatTensors:@[ x, y ] dimension:dimension name:name];
}

- (MPSGraphTensor*)reverseTensor:(MPSGraphTensor*)x axes:(NSArray<NSNumber*>*)axes name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  const uint32_t operand = recording.operand(x, Takes::kAny);
  Node node = {"reverse", "", recording.node(operand).dtype, recording.node(operand).shape, {operand}, {}, {}, false};
  for (int64_t axis : list(axes)) {
    node.numbers.push_back(static_cast<int64_t>(axis_of(axis, node.shape.size(), recording.method())));
  }
  return recording.own(std::move(node));
}

- (MPSGraphTensor*)gatherAlongAxis:(NSInteger)axis
                 withUpdatesTensor:(MPSGraphTensor*)from
                     indicesTensor:(MPSGraphTensor*)at
                              name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  const uint32_t operands[] = {gathered(recording, from), indices(recording, at)};
  const Shape &shape = recording.node(operands[0]).shape, &result = recording.node(operands[1]).shape;
  require(shape.size() == result.size(), recording.method(), ": updates and indices have different ranks.");
  const size_t along = axis_of(axis, shape.size(), recording.method());
  for (size_t i = 0; i < shape.size(); ++i) {
    require(i == along || shape[i] == result[i], recording.method(), ": ", mps::to_string(shape), " and ",
            mps::to_string(result), " differ beside axis ", along, ".");
  }
  return recording.own({"gatherAlongAxis",
                        "",
                        recording.node(operands[0]).dtype,
                        result,
                        {operands[0], operands[1]},
                        {static_cast<int64_t>(along)},
                        {},
                        false});
}

- (MPSGraphTensor*)gatherWithUpdatesTensor:(MPSGraphTensor*)from
                             indicesTensor:(MPSGraphTensor*)at
                                      axis:(NSUInteger)axis
                           batchDimensions:(NSUInteger)batch
                                      name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  const uint32_t operands[] = {gathered(recording, from), indices(recording, at)};
  const Shape &shape = recording.node(operands[0]).shape, &positions = recording.node(operands[1]).shape;
  const size_t along = axis_of(static_cast<int64_t>(axis), shape.size(), recording.method());
  require(batch <= along && batch <= positions.size(), recording.method(), ": too many batch axes.");
  Shape result;
  for (size_t i = 0; i < along; ++i) result.push_back(shape[i]);
  for (size_t i = batch; i < positions.size(); ++i) result.push_back(positions[i]);
  for (size_t i = along + 1; i < shape.size(); ++i) result.push_back(shape[i]);
  return recording.own({"gather",
                        "",
                        recording.node(operands[0]).dtype,
                        result,
                        {operands[0], operands[1]},
                        {static_cast<int64_t>(along), static_cast<int64_t>(batch)},
                        {},
                        false});
}

- (MPSGraphTensor*)gatherNDWithUpdatesTensor:(MPSGraphTensor*)from
                               indicesTensor:(MPSGraphTensor*)at
                             batchDimensions:(NSUInteger)batch
                                        name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  const uint32_t operands[] = {gathered(recording, from), indices(recording, at)};
  const Shape &shape = recording.node(operands[0]).shape, &positions = recording.node(operands[1]).shape;
  require(
      !positions.empty() && batch + static_cast<size_t>(positions.back()) <= shape.size() && batch < positions.size(),
      recording.method(), ": indices ", mps::to_string(positions), " do not fit updates ", mps::to_string(shape), ".");
  Shape result;
  for (size_t i = 0; i + 1 < positions.size(); ++i) result.push_back(positions[i]);
  for (size_t i = batch + static_cast<size_t>(positions.back()); i < shape.size(); ++i) result.push_back(shape[i]);
  return recording.own({"gatherND",
                        "",
                        recording.node(operands[0]).dtype,
                        result,
                        {operands[0], operands[1]},
                        {static_cast<int64_t>(batch)},
                        {},
                        false});
}

- (MPSGraphTensor*)scatterAlongAxis:(NSInteger)axis
                     withDataTensor:(MPSGraphTensor*)data
                      updatesTensor:(MPSGraphTensor*)updates
                      indicesTensor:(MPSGraphTensor*)at
                               mode:(MPSGraphScatterMode)mode
                               name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  require(mode == MPSGraphScatterModeSet, recording.method(), ": the double knows MPSGraphScatterModeSet only.");
  const std::vector<uint32_t> operands = {gathered(recording, data), gathered(recording, updates),
                                          indices(recording, at)};
  const Shape& shape = recording.node(operands[0]).shape;
  require(mps::same_shape(recording.node(operands[1]).shape, recording.node(operands[2]).shape), recording.method(),
          ": updates and indices have different shapes.");
  return recording.own({"scatterAlongAxis",
                        "",
                        recording.node(operands[0]).dtype,
                        shape,
                        operands,
                        {static_cast<int64_t>(axis_of(axis, shape.size(), recording.method()))},
                        {},
                        false});
}

// Slices of updates [..., M, ...] combined into data [..., N, ...] at indices [M] along an axis.
- (MPSGraphTensor*)scatterWithDataTensor:(MPSGraphTensor*)data
                           updatesTensor:(MPSGraphTensor*)updates
                           indicesTensor:(MPSGraphTensor*)at
                                    axis:(NSInteger)axis
                                    mode:(MPSGraphScatterMode)mode
                                    name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  const std::vector<uint32_t> operands = {recording.operand(data, Takes::kNumbers),
                                          recording.operand(updates, Takes::kNumbers), indices(recording, at)};
  const DType dtype = recording.node(operands[0]).dtype;
  require(dtype == DType::float32 || dtype == DType::int32, recording.method(), " of ", mps::name(dtype),
          ": comes out wrong (pytorch/pytorch#88542). Scatter float32 or int32.");
  require(recording.node(operands[1]).dtype == dtype, recording.method(), ": data of ", mps::name(dtype),
          " and updates of ", mps::name(recording.node(operands[1]).dtype), ".");
  const Shape &shape = recording.node(operands[0]).shape, &positions = recording.node(operands[2]).shape;
  const auto along = axis_of(axis, shape.size(), recording.method());
  require(positions.size() == 1, recording.method(), ": the double knows indices of one axis only.");
  Shape wanted = shape;
  wanted[along] = positions[0];
  require(mps::same_shape(recording.node(operands[1]).shape, wanted), recording.method(), ": expected updates of ",
          mps::to_string(wanted), ", got ", mps::to_string(recording.node(operands[1]).shape), ".");
  return recording.own(
      {"scatter", "", dtype, shape, operands, {static_cast<int64_t>(along), static_cast<int64_t>(mode)}, {}, false});
}

- (MPSGraphTensor*)coordinateAlongAxis:(NSInteger)axis withShape:(MPSShape*)shape name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  const Shape result = shape_of(shape, "coordinateAlongAxis:");
  const auto along = static_cast<int64_t>(axis_of(axis, result.size(), recording.method()));
  return recording.own({"coordinateAlongAxis", "", DType::int32, result, {}, {along}, {}, false});
}

- (MPSGraphTensor*)tileTensor:(MPSGraphTensor*)x withMultiplier:(MPSShape*)multiplier name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  const uint32_t operand = recording.operand(x, Takes::kAny);
  Shape shape = recording.node(operand).shape;
  const Shape times = shape_of(multiplier, "tileTensor:");
  require(times.size() == shape.size(), recording.method(), ": ", times.size(), " numbers for ", shape.size(),
          " axes.");
  for (size_t i = 0; i < shape.size(); ++i) shape[i] *= times[i];
  return recording.own({"tile", "", recording.node(operand).dtype, shape, {operand}, {}, {}, false});
}

- (MPSGraphTensor*)padTensor:(MPSGraphTensor*)x
             withPaddingMode:(MPSGraphPaddingMode)mode
                 leftPadding:(MPSShape*)left
                rightPadding:(MPSShape*)right
               constantValue:(double)value
                        name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  require(mode == MPSGraphPaddingModeConstant || mode == MPSGraphPaddingModeZero, recording.method(),
          ": the double pads with constants only.");
  const uint32_t operand = recording.operand(x, Takes::kAny);
  Shape shape = recording.node(operand).shape;
  const std::vector<int64_t> before = list(left), behind = list(right);
  require(before.size() == shape.size() && behind.size() == shape.size(), recording.method(), ": wrong rank.");
  for (size_t i = 0; i < shape.size(); ++i) {
    require(before[i] >= 0 && behind[i] >= 0, recording.method(), ": negative padding is not documented.");
    shape[i] += before[i] + behind[i];
  }
  const DType dtype = recording.node(operand).dtype;
  return recording.own(
      {"pad", "", dtype, shape, {operand}, before, element(mode == MPSGraphPaddingModeZero ? 0 : value, dtype), false});
}

- (MPSGraphTensor*)reinterpretCastTensor:(MPSGraphTensor*)x toType:(MPSDataType)type name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  const uint32_t operand = recording.operand(x, Takes::kAny);
  const DType dtype = dtype_of(type, "reinterpretCastTensor:");
  require(mps::size_of(dtype) == mps::size_of(recording.node(operand).dtype), recording.method(),
          ": the double knows types of one size only.");
  return recording.own({"reinterpretCast", "", dtype, recording.node(operand).shape, {operand}, {}, {}, true});
}
@end
