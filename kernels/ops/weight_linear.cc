// weight_only_linear with its gradient, llm_int8_linear: products with weights of 8 or 4 bits, which are unpacked some
// columns at a time. Sums are float32.
#include "kernels/graphs/quantize.h"
#include "kernels/ops/packed_weights.h"
#include "paddle/phi/kernels/llm_int8_linear_kernel.h"
#include "paddle/phi/kernels/weight_only_linear_grad_kernel.h"
#include "paddle/phi/kernels/weight_only_linear_kernel.h"

namespace mps::paddle {
namespace {

int bits_of(const std::string& weight_dtype) {
  MPS_CHECK(weight_dtype == "int8" || weight_dtype == "int4", kArgument,
            "bad weight_dtype: expected int8 or int4, got ", weight_dtype, ".");
  return weight_dtype == "int8" ? 8 : 4;
}

// float32 [lines, rows of the weight].
Value lines_of(Recorder& record, const DenseTensor& x, int64_t width) {
  const Dims shape = dims_of(x);
  MPS_CHECK(!shape.empty() && shape[shape.size() - 1] == width, kArgument, "bad shape of x: expected a last axis of ",
            width, " elements, as the weight has rows, got ", to_string(shape), ".");
  const int64_t lines = width == 0 ? 0 : x.numel() / width;
  return record.graph.cast(record.input(x, {lines, width}), DType::float32);
}

// A single line is multiplied with the columns as they are unpacked, which then never are in memory.
Value product(Graph& g, Value lines, Value columns) {
  if (g.shape(lines)[0] == 1) {
    return g.reshape(g.reduction_sum(g.multiplication(columns, lines), {1}), {1, g.shape(columns)[0]});
  }
  return g.matrix_multiplication(lines, g.transpose(columns, {1, 0}));
}

void write_with_bias(Recorder& record, DenseTensor* out, const SmallVector<Value, 16>& blocks,
                     const OptionalTensor& bias) {
  Graph& g = record.graph;
  Value all = blocks.size() == 1 ? blocks[0] : g.concatenation(blocks, 1);
  if (bias) all = g.addition(all, g.cast(record.input(*bias, {1, bias->numel()}), DType::float32));
  record.output(out, g.reshape(g.cast(all, dtype_of(*out)), dims_of(*out)));
}

// The columns of a weight in float32, with the scales where those differ by row.
Value unpacked(Graph& g, Value bytes, const PackedWeight& weight, Value scales, int64_t first, int64_t count) {
  const Value codes = g.cast(graphs::codes_of(g, bytes, weight, first, count), DType::float32);
  if (g.shape(scales)[0] == 1) return codes;
  return graphs::by_group(g, codes, graphs::slice_axis(g, scales, 1, first, count), weight, count);
}

// Scales that do not differ by row come after the product.
Value scaled(Graph& g, Value x, Value scales, int64_t first, int64_t count) {
  return g.shape(scales)[0] == 1 ? g.multiplication(x, graphs::slice_axis(g, scales, 1, first, count)) : x;
}

void weight_only_linear(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& weight,
                        const OptionalTensor& bias, const DenseTensor& weight_scale, const std::string& weight_dtype,
                        const int32_t arch, const int32_t group_size, DenseTensor* out) {
  const PackedWeight packed = packed_weight(weight, order_of(arch), bits_of(weight_dtype));
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value given = lines_of(record, x, packed.rows);
  const Value lines = graphs::in_order_of(g, given, packed, g.shape(given)[0]);
  const Value bytes = record.input(weight), scales = scales_of(record, weight_scale, packed, group_size);
  SmallVector<Value, 16> blocks;
  each_block(packed, [&](int64_t first, int64_t count) {
    const Value columns = unpacked(g, bytes, packed, scales, first, count);
    blocks.push_back(scaled(g, product(g, lines, columns), scales, first, count));
  });
  write_with_bias(record, out, blocks, bias);
  record.launch();
}

void weight_only_linear_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& weight,
                             const OptionalTensor&, const DenseTensor& weight_scale, const DenseTensor& out_grad,
                             const std::string& weight_dtype, const int32_t arch, const int32_t group_size,
                             DenseTensor* x_grad) {
  if (x_grad == nullptr) return;
  const PackedWeight packed = packed_weight(weight, order_of(arch), bits_of(weight_dtype));
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value incoming = lines_of(record, out_grad, packed.columns);
  const Value bytes = record.input(weight), scales = scales_of(record, weight_scale, packed, group_size);
  const int64_t lines = g.shape(incoming)[0];
  Value sum = graphs::zeros(g, DType::float32, {lines, packed.rows});
  each_block(packed, [&](int64_t first, int64_t count) {
    const Value part = graphs::slice_axis(g, incoming, 1, first, count);
    const Value columns = unpacked(g, bytes, packed, scales, first, count);
    sum = g.addition(sum, g.matrix_multiplication(scaled(g, part, scales, first, count), columns));
  });
  const Value dx = graphs::from_order_of(g, sum, packed, lines);
  record.output(x_grad, g.reshape(g.cast(dx, dtype_of(*x_grad)), dims_of(x)));
  record.launch();
}

// -- llm.int8 ---------------------------------------------------------------------------------------------------------

// Sums of products of numbers up to 127 are exact in float32 as long as they are less than 2^24: 1040 of them.
constexpr int64_t kExactTerms = 1024;

Value exact_product(Graph& g, Value lines, Value columns, int64_t rows) {
  Value sum;
  for (int64_t first = 0; first < rows; first += kExactTerms) {
    const int64_t count = std::min(kExactTerms, rows - first);
    const Value part =
        product(g, graphs::slice_axis(g, lines, 1, first, count), graphs::slice_axis(g, columns, 1, first, count));
    const Value whole = g.cast(part, DType::int32);
    sum = first == 0 ? whole : g.addition(sum, whole);
  }
  return g.cast(sum, DType::float32);
}

// Lines in whole numbers on a scale of their own; columns of x with a number beyond the threshold stay what they are.
struct Split {
  Value whole, range;  // [lines, rows], [lines, 1]
  Value outliers;      // [lines, rows], 0 elsewhere
};

Split split_outliers(Recorder& record, Value x, float threshold) {
  Graph& g = record.graph;
  const Value magnitude = g.absolute(x), zero = graphs::number(g, x, 0);
  const Value beyond = g.greater_than(magnitude, record.scalar(threshold, DType::float32));
  const Value flagged = g.reduction(NodeKind::reduction_maximum, beyond, {0});
  Split split;
  split.range = g.reduction(NodeKind::reduction_maximum, g.select(beyond, zero, magnitude), {1});
  const Value most = graphs::number(g, x, 127);
  const Value ratio = g.division(g.multiplication(x, most), split.range);
  const Value whole = graphs::round_away(g, g.maximum(g.minimum(ratio, most), g.negative(most)));
  const Value is_zero = g.addition(flagged, g.equal(split.range, zero));
  split.whole = g.select(is_zero, zero, whole);
  split.outliers = g.select(flagged, x, zero);
  return split;
}

void llm_int8_linear(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& weight,
                     const OptionalTensor& bias, const DenseTensor& weight_scale, const float threshold,
                     DenseTensor* out) {
  const PackedWeight packed = packed_weight(weight, WeightOrder::kPlain, 8);
  Recorder record(ctx);
  Graph& g = record.graph;
  const Split split = split_outliers(record, lines_of(record, x, packed.rows), threshold);
  const Value bytes = record.input(weight), scales = scales_of(record, weight_scale, packed, -1);
  const Value step = g.division(split.range, graphs::number(g, split.range, 127));
  SmallVector<Value, 16> blocks;
  each_block(packed, [&](int64_t first, int64_t count) {
    const Value columns = unpacked(g, bytes, packed, scales, first, count);
    const Value near = g.multiplication(exact_product(g, split.whole, columns, packed.rows), step);
    const Value all = g.addition(near, product(g, split.outliers, columns));
    blocks.push_back(scaled(g, all, scales, first, count));
  });
  write_with_bias(record, out, blocks, bias);
  record.launch();
}

}  // namespace

MPS_KERNEL(weight_only_linear, phi::WeightOnlyLinearKernel, weight_only_linear, kFloats)
MPS_KERNEL(weight_only_linear_grad, phi::WeightOnlyLinearGradKernel, weight_only_linear_grad, kFloats)
MPS_KERNEL(llm_int8_linear, phi::LLMInt8LinearKernel, llm_int8_linear, kFloats)

}  // namespace mps::paddle
