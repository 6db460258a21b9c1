#include "plugin/core/infer.h"

#include <algorithm>
#include <climits>

#include "plugin/core/check.h"
#include "plugin/core/infer_images.h"
#include "plugin/core/infer_quantized.h"
#include "plugin/core/infer_sequences.h"
#include "plugin/core/infer_spectra.h"

namespace mps {
namespace {

const char* describe(NodeDTypes set) {
  switch (set) {
    case NodeDTypes::kAny:
      return "any dtype";
    case NodeDTypes::kNumeric:
      return "a number";
    case NodeDTypes::kFloat:
      return "float32, float16 or bfloat16";
    case NodeDTypes::kFloat32:
      return "float32";
    case NodeDTypes::kInteger:
      return "an integer";
    case NodeDTypes::kBool:
      return "bool";
    case NodeDTypes::kInt32:
      return "int32";
    case NodeDTypes::kInt8:
      return "int8";
  }
  __builtin_unreachable();
}

Inferred infer_binary(const Graph& graph, NodeKind kind, Value x, Value y) {
  const DType dtype = graph.dtype(x);
  check_same_dtype(kind, dtype, graph.dtype(y));
  check_dtype(kind, dtype);
  const bool compares = info(kind).family == NodeFamily::kCompare;
  return {compares ? DType::bool_ : dtype, broadcast_shapes(graph.shape(x), graph.shape(y))};
}

Inferred infer_select(const Graph& graph, Value predicate, Value x, Value y) {
  MPS_CHECK(graph.dtype(predicate) == DType::bool_, kArgument, "wrong dtype of the condition: expected bool, got ",
            name(graph.dtype(predicate)), ". Compare it with 0.");
  check_same_dtype(NodeKind::select, graph.dtype(x), graph.dtype(y));
  const Shape shape = broadcast_shapes(graph.shape(x), graph.shape(y));
  return {graph.dtype(x), broadcast_shapes(graph.shape(predicate), shape)};
}

Inferred infer_transpose(const Graph& graph, Value x, Dims permutation) {
  const Dims from = graph.shape(x);
  bool seen[kMaxRank] = {};
  Shape shape;
  bool valid = permutation.size() == from.size();
  for (size_t i = 0; valid && i < permutation.size(); ++i) {
    const int64_t axis = permutation[i];
    valid = axis >= 0 && axis < static_cast<int64_t>(from.size()) && !seen[axis];
    if (!valid) break;
    seen[axis] = true;
    shape.push_back(from[axis]);
  }
  MPS_CHECK(valid, kArgument, "bad permutation: expected each axis of ", to_string(from), " once, got ",
            to_string(permutation), ". Name every axis once.");
  return {graph.dtype(x), shape};
}

Inferred infer_slice(const Graph& graph, Value x, Dims attributes, Dims target) {
  const Dims from = graph.shape(x);
  MPS_CHECK(target.size() == from.size() && attributes.size() == 2 * from.size(), kInternal,
            "bad slice: expected a start and a step for each axis of ", to_string(from), ", got ", attributes.size(),
            " numbers.");
  for (size_t i = 0; i < from.size(); ++i) {
    const int64_t start = attributes[i], step = attributes[from.size() + i];
    const bool fits = target[i] == 0 || (start >= 0 && start + (target[i] - 1) * step < from[i]);
    MPS_CHECK(step > 0 && fits, kArgument, "slice out of range in axis ", i, ": expected a range inside 0..", from[i],
              ", got start ", start, ", step ", step, ", ", target[i], " elements. Clip the range.");
  }
  return {graph.dtype(x), Shape(target)};
}

Inferred infer_concatenation(const Graph& graph, Span<const Value> operands, Dims attributes) {
  const Value first = operands[0];
  Shape shape(graph.shape(first));
  const size_t axis = static_cast<size_t>(attributes[0]);
  for (size_t i = 1; i < operands.size(); ++i) {
    check_same_dtype(NodeKind::concatenation, graph.dtype(first), graph.dtype(operands[i]));
    const Dims other = graph.shape(operands[i]);
    bool fits = other.size() == shape.size();
    for (size_t d = 0; fits && d < shape.size(); ++d) fits = d == axis || other[d] == shape[d];
    MPS_CHECK(fits, kArgument, "shapes do not concatenate along axis ", axis,
              ": expected equal dimensions elsewhere, got ", to_string(graph.shape(first)), " and ", to_string(other),
              ". Reshape one of them.");
    shape[axis] += other[axis];
  }
  return {graph.dtype(first), shape};
}

// Lowest and highest element that a strided view of this shape touches must lie in the storage.
void check_strided(const Graph& graph, Value storage, Dims shape, Dims attributes) {
  MPS_CHECK(graph.shape(storage).size() == 1 && attributes.size() == shape.size() + 1, kInternal,
            "bad strided view: expected flat storage, an offset and one stride per axis, got ",
            to_string(graph.shape(storage)), " and ", attributes.size(), " numbers.");
  if (element_count(shape) == 0) return;
  int64_t low = attributes[0], high = attributes[0];
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t reach = (shape[i] - 1) * attributes[1 + i];
    (reach < 0 ? low : high) += reach;
  }
  MPS_CHECK(low >= 0 && high < graph.elements(storage), kArgument,
            "strided view outside of its storage: expected elements 0..", graph.elements(storage) - 1, ", got ", low,
            "..", high, ". Check offset, shape and strides.");
}

Inferred infer_reduce(const Graph& graph, NodeKind kind, Value x, Dims axes) {
  check_dtype(kind, graph.dtype(x));
  Shape shape(graph.shape(x));
  for (int64_t axis : axes) {
    MPS_CHECK(axis >= 0 && axis < static_cast<int64_t>(shape.size()), kInternal, "bad reduction axis: expected 0..",
              shape.size() - 1, ", got ", axis, ".");
    shape[axis] = 1;
  }
  return {graph.dtype(x), shape};
}

size_t check_axis(const Graph& graph, NodeKind kind, Value x, int64_t axis) {
  check_dtype(kind, graph.dtype(x));
  const size_t rank = graph.shape(x).size();
  MPS_CHECK(axis >= 0 && axis < static_cast<int64_t>(rank), kInternal, "bad axis of ", info(kind).name,
            ": expected one of ", rank, ", got ", axis, ".");
  return static_cast<size_t>(axis);
}

Inferred infer_arg_reduce(const Graph& graph, NodeKind kind, Value x, int64_t attribute) {
  const size_t axis = check_axis(graph, kind, x, attribute);
  Shape shape(graph.shape(x));
  MPS_CHECK(shape[axis] > 0 || graph.elements(x) == 0, kArgument, "nothing to choose from along axis ", axis, ".");
  shape[axis] = 1;
  return {DType::int32, shape};
}

Inferred infer_coordinate(Dims target, int64_t axis) {
  MPS_CHECK(axis >= 0 && axis < static_cast<int64_t>(target.size()), kInternal,
            "bad axis of coordinate: expected one of ", target.size(), ", got ", axis, ".");
  return {DType::int32, Shape(target)};
}

void check_indices(const Graph& graph, NodeKind kind, Value indices, Value data) {
  const DType dtype = graph.dtype(indices);
  MPS_CHECK(dtype == DType::int32 || dtype == DType::int64, kArgument, "wrong dtype of the indices of ",
            info(kind).name, ": expected int32 or int64, got ", name(dtype), ". Cast them.");
  MPS_CHECK(graph.shape(indices).size() == 1 && graph.shape(data).size() == 3, kInternal, "bad operands of ",
            info(kind).name, ": expected indices [M] and data [B, N, I], got ", to_string(graph.shape(indices)),
            " and ", to_string(graph.shape(data)), ".");
}

Inferred infer_gather(const Graph& graph, Value indices, Value data) {
  check_indices(graph, NodeKind::gather, indices, data);
  const Dims from = graph.shape(data);
  return {graph.dtype(data), {from[0], graph.shape(indices)[0], from[2]}};
}

Inferred infer_scatter(const Graph& graph, Value data, Value indices, Value updates) {
  check_indices(graph, NodeKind::scatter, indices, data);
  check_same_dtype(NodeKind::scatter, graph.dtype(data), graph.dtype(updates));
  const Shape shape(graph.shape(data));
  const Shape wanted{shape[0], graph.shape(indices)[0], shape[2]};
  MPS_CHECK(same_shape(graph.shape(updates), wanted), kInternal, "bad updates of scatter: expected ", to_string(wanted),
            ", got ", to_string(graph.shape(updates)), ".");
  return {graph.dtype(data), shape};
}

Inferred infer_arg_sort(const Graph& graph, Value x, int64_t attribute, Dims target) {
  const size_t axis = check_axis(graph, NodeKind::arg_sort, x, attribute);
  const Dims from = graph.shape(x);
  MPS_CHECK(target[axis] <= from[axis], kArgument, "too many elements asked for along axis ", axis,
            ": expected at most ", from[axis], ", got ", target[axis], ". Ask for fewer.");
  return {DType::int32, Shape(target)};
}

Inferred infer_search_sorted(const Graph& graph, Value sequence, Value values) {
  check_same_dtype(NodeKind::search_sorted, graph.dtype(sequence), graph.dtype(values));
  check_dtype(NodeKind::search_sorted, graph.dtype(values));
  const Dims from = graph.shape(sequence), to = graph.shape(values);
  MPS_CHECK(from.size() == 2 && to.size() == 2 && from[0] == to[0], kInternal,
            "bad operands of search_sorted: expected [B, N] and [B, M], got ", to_string(from), " and ", to_string(to),
            ".");
  return {DType::int32, Shape(to)};
}

Inferred infer_random(const Graph& graph, NodeKind kind, Span<const Value> operands, Dims target) {
  for (Value operand : operands) {
    check_dtype(kind, graph.dtype(operand));
    MPS_CHECK(graph.shape(operand).empty(), kInternal, "bad counter of ", info(kind).name,
              ": expected numbers without dimensions, got ", to_string(graph.shape(operand)), ".");
  }
  return {DType::int32, Shape(target)};
}

Inferred infer_matmul(const Graph& graph, Value x, Value y) {
  const Dims a = graph.shape(x), b = graph.shape(y);
  check_same_dtype(NodeKind::matrix_multiplication, graph.dtype(x), graph.dtype(y));
  check_dtype(NodeKind::matrix_multiplication, graph.dtype(x));
  MPS_CHECK(a.size() >= 2 && b.size() >= 2, kInternal, "bad operands: expected at least two dimensions, got ",
            to_string(a), " and ", to_string(b), ".");
  const int64_t inner_x = a[a.size() - 1], inner_y = b[b.size() - 2];
  MPS_CHECK(inner_x == inner_y, kArgument, "inner dimensions differ: expected [.., M, K] x [.., K, N], got ",
            to_string(a), " and ", to_string(b), " (K is ", inner_x, " and ", inner_y,
            "). Transpose or reshape one of them.");
  Shape shape = broadcast_shapes({a.data(), a.size() - 2}, {b.data(), b.size() - 2});
  shape.push_back(a[a.size() - 2]);
  shape.push_back(b[b.size() - 1]);
  return {graph.dtype(x), shape};
}

}  // namespace

void check_dtype(NodeKind kind, DType dtype) {
  MPS_CHECK(accepts(info(kind).dtypes, dtype), kArgument, "wrong dtype for ", info(kind).name, ": expected ",
            describe(info(kind).dtypes), ", got ", name(dtype), ". Cast the operand.");
}

void check_same_dtype(NodeKind kind, DType x, DType y) {
  MPS_CHECK(x == y, kArgument, "dtypes of ", info(kind).name, " differ: expected one dtype, got ", name(x), " and ",
            name(y), ". Cast one of them.");
}

void check_shape(Dims shape) {
  MPS_CHECK(shape.size() <= kMaxRank, kArgument, "too many dimensions: expected at most ", kMaxRank, ", got ",
            shape.size(), ". Merge some with reshape.");
  constexpr int64_t kTooMany = int64_t{1} << 32;
  int64_t count = 1;
  for (int64_t dim : shape) {
    MPS_CHECK(dim >= 0 && dim <= INT_MAX, kArgument, "bad dimension: expected 0..", INT_MAX, " in ", to_string(shape),
              ", got ", dim, ". Split the tensor.");
    count = std::min(count * dim, kTooMany);  // a later 0 still makes it 0
  }
  MPS_CHECK(count < kTooMany, kArgument, "tensor too large: expected fewer than 2^32 elements, got shape ",
            to_string(shape), ". Split the tensor.");
}

Inferred infer(const Graph& graph, NodeKind kind, Span<const Value> operands, Dims attributes, Dims target) {
  switch (info(kind).family) {
    case NodeFamily::kSource:
      MPS_THROW(kInternal, "sources are not inferred: got ", info(kind).name, ".");
    case NodeFamily::kUnary:
      check_dtype(kind, graph.dtype(operands[0]));
      return {graph.dtype(operands[0]), Shape(graph.shape(operands[0]))};
    case NodeFamily::kBinary:
    case NodeFamily::kCompare:
      return infer_binary(graph, kind, operands[0], operands[1]);
    case NodeFamily::kSelect:
      return infer_select(graph, operands[0], operands[1], operands[2]);
    case NodeFamily::kCast:
      return {static_cast<DType>(attributes[0]), Shape(graph.shape(operands[0]))};
    case NodeFamily::kReshape:
      MPS_CHECK(element_count(target) == graph.elements(operands[0]), kArgument,
                "reshape changes the number of elements: expected ", graph.elements(operands[0]), " as in ",
                to_string(graph.shape(operands[0])), ", got ", to_string(target), ". Correct the new shape.");
      return {graph.dtype(operands[0]), Shape(target)};
    case NodeFamily::kTranspose:
      return infer_transpose(graph, operands[0], attributes);
    case NodeFamily::kBroadcast:
      MPS_CHECK(broadcasts_to(graph.shape(operands[0]), target), kArgument, "shape does not broadcast: expected ",
                to_string(target), " or 1 in each dimension, got ", to_string(graph.shape(operands[0])),
                ". Reshape or unsqueeze it.");
      return {graph.dtype(operands[0]), Shape(target)};
    case NodeFamily::kSlice:
      return infer_slice(graph, operands[0], attributes, target);
    case NodeFamily::kConcatenation:
      return infer_concatenation(graph, operands, attributes);
    case NodeFamily::kStridedView:
      check_strided(graph, operands[0], target, attributes);
      return {graph.dtype(operands[0]), Shape(target)};
    case NodeFamily::kStridedUpdate:
      check_same_dtype(kind, graph.dtype(operands[0]), graph.dtype(operands[1]));
      check_strided(graph, operands[0], graph.shape(operands[1]), attributes);
      return {graph.dtype(operands[0]), Shape(graph.shape(operands[0]))};
    case NodeFamily::kReduce:
      return infer_reduce(graph, kind, operands[0], attributes);
    case NodeFamily::kArgReduce:
      return infer_arg_reduce(graph, kind, operands[0], attributes[0]);
    case NodeFamily::kScan:
      check_axis(graph, kind, operands[0], attributes[0]);
      return {graph.dtype(operands[0]), Shape(graph.shape(operands[0]))};
    case NodeFamily::kCoordinate:
      return infer_coordinate(target, attributes[0]);
    case NodeFamily::kGather:
      return infer_gather(graph, operands[0], operands[1]);
    case NodeFamily::kScatter:
      return infer_scatter(graph, operands[0], operands[1], operands[2]);
    case NodeFamily::kArgSort:
      return infer_arg_sort(graph, operands[0], attributes[0], target);
    case NodeFamily::kSearchSorted:
      return infer_search_sorted(graph, operands[0], operands[1]);
    case NodeFamily::kRandom:
      return infer_random(graph, kind, operands, target);
    case NodeFamily::kMatmul:
      return infer_matmul(graph, operands[0], operands[1]);
    case NodeFamily::kConvolution:
      return infer_convolution(graph, kind, operands[0], operands[1], attributes);
    case NodeFamily::kConvolutionGradient:
      return infer_convolution_gradient(graph, kind, operands[0], operands[1], attributes, target);
    case NodeFamily::kPooling:
      return infer_pooling(graph, kind, operands[0], attributes, target);
    case NodeFamily::kPoolingGradient:
      return infer_pooling_gradient(graph, kind, operands, attributes, target);
    case NodeFamily::kAttention:
      return infer_attention(graph, kind, operands, Attention::of(attributes));
    case NodeFamily::kAlignment:
      return infer_alignment(graph, kind, operands);
    case NodeFamily::kFourier:
      return infer_fourier(graph, kind, operands[0], Fourier::of(attributes));
    case NodeFamily::kQuantized:
      return infer_quantized(graph, kind, operands, attributes, target);
  }
  __builtin_unreachable();
}

}  // namespace mps
