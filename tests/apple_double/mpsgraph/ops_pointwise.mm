// The methods of MPSGraph that work element by element.
#include "tests/apple_double/base/violation.h"
#include "tests/apple_double/mpsgraph/graph.h"

using namespace apple_double;
using mps::NodeKind;

namespace {

MPSGraphTensor* own_pointwise(Recording& recording, const char* kernel, std::vector<uint32_t> operands, DType dtype) {
  Node node;
  node.kernel = kernel;
  node.dtype = dtype;
  node.shape = recording.broadcast(operands);
  node.operands = std::move(operands);
  node.pointwise = true;
  return recording.own(std::move(node));
}

MPSGraphTensor* unary_host(MPSGraph* graph, SEL method, NodeKind kind, MPSGraphTensor* x, Takes takes) {
  Recording recording(graph, method);
  return recording.host(kind, {recording.operand(x, takes)});
}

MPSGraphTensor* unary_own(MPSGraph* graph, SEL method, const char* kernel, MPSGraphTensor* x, bool gives_bool) {
  Recording recording(graph, method);
  const uint32_t operand = recording.operand(x, Takes::kFloats);
  return own_pointwise(recording, kernel, {operand}, gives_bool ? DType::bool_ : recording.node(operand).dtype);
}

std::vector<uint32_t> pair(Recording& recording, MPSGraphTensor* x, MPSGraphTensor* y, Takes takes) {
  std::vector<uint32_t> operands = {recording.operand(x, takes), recording.operand(y, takes)};
  require(recording.node(operands[0]).dtype == recording.node(operands[1]).dtype, recording.method(), " of ",
          mps::name(recording.node(operands[0]).dtype), " and ", mps::name(recording.node(operands[1]).dtype),
          ": the operands have different types: the process ends.");
  return operands;
}

MPSGraphTensor* binary_host(MPSGraph* graph, SEL method, NodeKind kind, MPSGraphTensor* x, MPSGraphTensor* y,
                            Takes takes) {
  Recording recording(graph, method);
  return recording.host(kind, pair(recording, x, y, takes));
}

MPSGraphTensor* binary_own(MPSGraph* graph, SEL method, const char* kernel, MPSGraphTensor* x, MPSGraphTensor* y,
                           Takes takes) {
  Recording recording(graph, method);
  std::vector<uint32_t> operands = pair(recording, x, y, takes);
  const DType dtype = recording.node(operands[0]).dtype;
  return own_pointwise(recording, kernel, std::move(operands), dtype);
}

// Floats one way, integers another.
MPSGraphTensor* binary_split(MPSGraph* graph, SEL method, const char* floats, const char* integers, MPSGraphTensor* x,
                             MPSGraphTensor* y) {
  Recording recording(graph, method);
  std::vector<uint32_t> operands = pair(recording, x, y, Takes::kNumbers);
  const DType dtype = recording.node(operands[0]).dtype;
  return own_pointwise(recording, mps::is_float(dtype) ? floats : integers, std::move(operands), dtype);
}

}  // namespace

#define APPLE_DOUBLE_UNARY(method, call)                                             \
  -(MPSGraphTensor*)method##WithTensor : (MPSGraphTensor*)x name : (NSString*)name { \
    (void)name;                                                                      \
    return call;                                                                     \
  }
#define UNARY_HOST(method, kind, takes) \
  APPLE_DOUBLE_UNARY(method, unary_host(self, _cmd, NodeKind::kind, x, Takes::takes))
#define UNARY_OWN(method, kernel) APPLE_DOUBLE_UNARY(method, unary_own(self, _cmd, kernel, x, false))
#define UNARY_TEST(method, kernel) APPLE_DOUBLE_UNARY(method, unary_own(self, _cmd, kernel, x, true))

#define APPLE_DOUBLE_BINARY(method, call)                                                                    \
  -(MPSGraphTensor*)method##WithPrimaryTensor : (MPSGraphTensor*)x secondaryTensor : (MPSGraphTensor*)y name \
      : (NSString*)name {                                                                                    \
    (void)name;                                                                                              \
    return call;                                                                                             \
  }
#define BINARY_HOST(method, kind, takes) \
  APPLE_DOUBLE_BINARY(method, binary_host(self, _cmd, NodeKind::kind, x, y, Takes::takes))
#define BINARY_OWN(method, kernel, takes) \
  APPLE_DOUBLE_BINARY(method, binary_own(self, _cmd, kernel, x, y, Takes::takes))
#define BINARY_SPLIT(method, floats, integers) \
  APPLE_DOUBLE_BINARY(method, binary_split(self, _cmd, floats, integers, x, y))

@implementation MPSGraph (Pointwise)

UNARY_HOST(identity, identity, kAny)
UNARY_HOST(negative, negative, kFloats)
UNARY_HOST(absolute, absolute, kFloats)
UNARY_HOST(square, square, kFloats)
UNARY_HOST(reciprocal, reciprocal, kFloats)
UNARY_HOST(squareRoot, square_root, kFloats)
UNARY_HOST(exponent, exponent, kFloats)
UNARY_HOST(logarithm, logarithm, kFloats)
UNARY_HOST(sigmoid, sigmoid, kFloats)
UNARY_HOST(tanh, tanh, kFloats)
UNARY_HOST(not, logical_not, kBool)
UNARY_OWN(sign, "sign")
UNARY_OWN(reLU, "relu")
UNARY_OWN(floor, "floor")
UNARY_OWN(ceil, "ceil")
UNARY_OWN(truncate, "truncate")
UNARY_OWN(rint, "rint")
UNARY_OWN(round, "round")
UNARY_OWN(sin, "sin")
UNARY_OWN(cos, "cos")
UNARY_OWN(tan, "tan")
UNARY_OWN(asin, "asin")
UNARY_OWN(acos, "acos")
UNARY_OWN(atan, "atan")
UNARY_OWN(sinh, "sinh")
UNARY_OWN(cosh, "cosh")
UNARY_OWN(asinh, "asinh")
UNARY_OWN(acosh, "acosh")
UNARY_OWN(atanh, "atanh")
UNARY_OWN(erf, "erf")
UNARY_OWN(exponentBase2, "exponentBase2")
UNARY_OWN(exponentBase10, "exponentBase10")
UNARY_OWN(logarithmBase2, "logarithmBase2")
UNARY_OWN(logarithmBase10, "logarithmBase10")
UNARY_OWN(reverseSquareRoot, "reverseSquareRoot")
UNARY_OWN(reciprocalSquareRoot, "reverseSquareRoot")
UNARY_TEST(isNaN, "isNaN")
UNARY_TEST(isInfinite, "isInfinite")
UNARY_TEST(isFinite, "isFinite")

BINARY_HOST(addition, addition, kNumbers)
BINARY_HOST(subtraction, subtraction, kNumbers)
BINARY_HOST(multiplication, multiplication, kNumbers)
- (MPSGraphTensor*)divisionWithPrimaryTensor:(MPSGraphTensor*)x
                             secondaryTensor:(MPSGraphTensor*)y
                                        name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  if (mps::is_float(recording.node(recording.operand(x, Takes::kNumbers)).dtype)) {
    return binary_host(self, _cmd, NodeKind::division, x, y, Takes::kFloats);
  }
  return binary_own(self, _cmd, "division of integers", x, y, Takes::kIntegers);
}
BINARY_SPLIT(modulo, "modulo", "modulo of integers")
BINARY_OWN(floorModulo, "floorModulo", kFloats)
BINARY_OWN(power, "power", kFloats)
BINARY_OWN(atan2, "atan2", kFloats)
BINARY_SPLIT(maximum, "maximum", "maximum of integers")
BINARY_SPLIT(minimum, "minimum", "minimum of integers")
// `Function isNaN_u8_i8 was not found`: these are for floats.
BINARY_HOST(maximumWithNaNPropagation, maximum, kFloats)
BINARY_HOST(minimumWithNaNPropagation, minimum, kFloats)
BINARY_OWN(bitwiseAND, "bitwiseAND", kIntegers)
BINARY_OWN(bitwiseOR, "bitwiseOR", kIntegers)
BINARY_OWN(bitwiseXOR, "bitwiseXOR", kIntegers)
BINARY_OWN(bitwiseLeftShift, "bitwiseLeftShift", kIntegers)
BINARY_OWN(bitwiseRightShift, "bitwiseRightShift", kIntegers)
BINARY_OWN(logicalAND, "logicalAND", kBool)
BINARY_OWN(logicalOR, "logicalOR", kBool)
BINARY_OWN(logicalXOR, "logicalXOR", kBool)

BINARY_HOST(equal, equal, kNumbers)
BINARY_HOST(notEqual, not_equal, kNumbers)
BINARY_HOST(lessThan, less_than, kNumbers)
BINARY_HOST(lessThanOrEqualTo, less_than_or_equal_to, kNumbers)
BINARY_HOST(greaterThan, greater_than, kNumbers)
BINARY_HOST(greaterThanOrEqualTo, greater_than_or_equal_to, kNumbers)

- (MPSGraphTensor*)selectWithPredicateTensor:(MPSGraphTensor*)predicate
                         truePredicateTensor:(MPSGraphTensor*)x
                        falsePredicateTensor:(MPSGraphTensor*)y
                                        name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  const uint32_t which = recording.operand(predicate, Takes::kBool);
  std::vector<uint32_t> operands = pair(recording, x, y, Takes::kAny);
  operands.insert(operands.begin(), which);
  return recording.host(NodeKind::select, std::move(operands));
}

// "Convert the i8 or u8 tensor to a float tensor": here int8 to float32, without a zero point, is what is lent.
- (MPSGraphTensor*)dequantizeTensor:(MPSGraphTensor*)x
                        scaleTensor:(MPSGraphTensor*)scale
                          zeroPoint:(double)zeroPoint
                           dataType:(MPSDataType)type
                               axis:(NSInteger)axis
                               name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  const uint32_t codes = recording.operand(x, Takes::kAny), factors = recording.operand(scale, Takes::kFloats);
  const Node &from = recording.node(codes), &by = recording.node(factors);
  const size_t along = axis_of(axis, from.shape.size(), recording.method());
  if (from.dtype != DType::int8 || dtype_of(type, "dequantizeTensor:") != DType::float32 || zeroPoint != 0) {
    violation(recording.method() + ": the double lends int8 to float32 without a zero point.");
  }
  if (by.dtype != DType::float32 || by.shape.size() != 1 || by.shape[0] != from.shape[along]) {
    violation(recording.method() + ": the scale is not one number for each place along the axis.");
  }
  return recording.host(NodeKind::dequantize, {codes, factors}, {static_cast<int64_t>(along)});
}

- (MPSGraphTensor*)castTensor:(MPSGraphTensor*)x toType:(MPSDataType)type name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  const uint32_t operand = recording.operand(x, Takes::kAny);
  return own_pointwise(recording, "cast", {operand}, dtype_of(type, "castTensor:"));
}
@end
