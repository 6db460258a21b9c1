// weight_quantize, weight_dequantize: weights as whole numbers of 8 or 4 bits, in the orders of Paddle's CUDA kernels.
#include "kernels/graphs/quantize.h"
#include "kernels/ops/packed_weights.h"
#include "paddle/phi/kernels/apply_per_channel_scale_kernel.h"
#include "paddle/phi/kernels/weight_dequantize_kernel.h"
#include "paddle/phi/kernels/weight_quantize_kernel.h"

namespace mps::paddle {
namespace {

struct Algorithm {
  int bits;
  bool is_plain;  // no order of its own, a float32 scale
};

Algorithm algorithm(const std::string& name) {
  if (name == "weight_only_int8") return {8, false};
  if (name == "weight_only_int4") return {4, false};
  MPS_CHECK(name == "llm.int8", kUnsupported, "bad algo: expected weight_only_int8, weight_only_int4 or llm.int8, got ",
            name, ".");
  return {8, true};
}

// The greatest magnitude over the greatest whole number, for each group of rows: [groups, columns] in the dtype that it
// is stored in.
Value scales(Graph& g, Value x, int64_t each, double most, DType stored) {
  const Shape shape(g.shape(x));
  const int64_t rows = shape[0], columns = shape[1];
  const auto greatest = [&](Value part, int64_t groups) {
    const Value lines = g.reshape(part, {groups, g.elements(part) / groups / columns, columns});
    return g.reshape(graphs::greatest_magnitude(g, lines, {1}), {groups, columns});
  };
  const int64_t whole = rows / each * each;
  SmallVector<Value, 2> parts;
  if (whole != 0) parts.push_back(greatest(graphs::slice_axis(g, x, 0, 0, whole), rows / each));
  if (whole != rows) parts.push_back(greatest(graphs::slice_axis(g, x, 0, whole, rows - whole), 1));
  const Value all = parts.size() == 1 ? parts[0] : g.concatenation({parts[0], parts[1]}, 0);
  return g.cast(g.division(all, graphs::number(g, all, most)), stored);
}

// A column of zeros has the scale 0, and 0 / 0 becomes what it becomes on Paddle's CPU device; times 0 it is 0 again.
Value codes(Graph& g, Value x, Value scale, int64_t each, double most) {
  const Shape shape(g.shape(x));
  const int64_t groups = g.shape(scale)[0], rows = shape[0], columns = shape[1];
  const Value repeated = g.broadcast(g.reshape(scale, {groups, 1, columns}), {groups, each, columns});
  const Value divisor = graphs::slice_axis(g, g.reshape(repeated, {groups * each, columns}), 0, 0, rows);
  const Value ratio = g.division(x, divisor);
  const Value whole = graphs::round_away(g, ratio);
  const auto number = [&](double value) { return graphs::number(g, whole, value); };
  const Value clipped = g.minimum(g.maximum(whole, number(-most)), number(most));
  const Value of_nothing = number(most == 127 ? 127 : -7);
  return g.cast(g.select(g.equal(ratio, ratio), clipped, of_nothing), DType::int32);
}

void weight_quantize(const CustomContext& ctx, const DenseTensor& x, const std::string& algo, const int32_t arch,
                     const int32_t group_size, DenseTensor* out, DenseTensor* scale) {
  const Algorithm how = algorithm(algo);
  const Dims shape = dims_of(x);
  MPS_CHECK(shape.size() == 2, kArgument, "bad weight: expected two dimensions, got ", shape.size(), ".");
  MPS_CHECK(!how.is_plain || group_size == -1, kArgument, "bad group_size: expected -1 for llm.int8, got ", group_size,
            ".");
  const PackedWeight weight =
      packed_weight(how.is_plain ? WeightOrder::kPlain : order_of(arch), how.bits, shape[0], shape[1]);
  const int64_t each = group_rows(group_size, weight.rows);
  const double most = how.bits == 8 ? 127 : 7;
  set_dtype(out, phi::DataType::INT8);
  set_dtype(scale, how.is_plain ? phi::DataType::FLOAT32 : x.dtype());
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value numbers = g.cast(record.input(x), DType::float32);
  const Value stored = scales(g, numbers, each, most, dtype_of(*scale));
  const Value whole = codes(g, numbers, g.cast(stored, DType::float32), each, most);
  record.output(out, g.reshape(graphs::pack(g, whole, weight), dims_of(*out)));
  record.output(scale, g.reshape(stored, dims_of(*scale)));
  record.launch();
}

// There is no argument for the architecture: the order is that of 75 to 100.
void weight_dequantize(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& scale,
                       const std::string& algo, int32_t group_size, DenseTensor* out) {
  const Algorithm how = algorithm(algo);
  const PackedWeight weight = packed_weight(x, how.is_plain ? WeightOrder::kPlain : WeightOrder::kTurned, how.bits);
  out->Resize(phi::make_ddim({weight.rows, weight.columns}));
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value all = g.cast(graphs::codes_of(g, record.input(x), weight, 0, weight.columns), DType::float32);
  const Value numbers = graphs::by_group(g, all, scales_of(record, scale, weight, group_size), weight, weight.columns);
  const Value lines = graphs::from_order_of(g, numbers, weight, weight.columns);
  record.output(out, g.cast(g.transpose(lines, {1, 0}), dtype_of(*out)));
  record.launch();
}

void apply_per_channel_scale(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& scales,
                             DenseTensor* out) {
  const Dims shape = dims_of(x);
  MPS_CHECK(!shape.empty() && scales.numel() == shape[shape.size() - 1], kArgument,
            "bad scales: expected one for each ", "channel, the last axis of x, got ", scales.numel(), ".");
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value factors = g.cast(record.input(scales, {scales.numel()}), DType::float32);
  const Value scaled = g.multiplication(g.cast(record.input(x), DType::float32), factors);
  record.output(out, g.cast(scaled, dtype_of(*out)));
  record.launch();
}

constexpr DTypes kHalves = {phi::DataType::FLOAT16, phi::DataType::BFLOAT16};
void give_int8(const phi::KernelKey& key, phi::Kernel* kernel) {
  kernel->OutputAt(0).SetDataType(phi::DataType::INT8);
  kernel->OutputAt(1).SetDataType(phi::DataType::UNDEFINED);
  static_cast<void>(key);
}

}  // namespace

MPS_KERNEL_WITH_DEFINE(weight_quantize, phi::WeightQuantizeKernel, weight_quantize, kHalves, give_int8)
MPS_KERNEL_KEYED(weight_dequantize, phi::WeightDequantizeKernel, weight_dequantize, kFloats, 1)
MPS_KERNEL(apply_per_channel_scale, phi::ApplyPerChannelScaleKernel, apply_per_channel_scale, kFloats)

}  // namespace mps::paddle
