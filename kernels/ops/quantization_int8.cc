// The custom ops behind LLM.int8 (Dettmers and others, 2022) and BitNet b1.58 (Ma and others, 2024): rows of int8, and
// exact products of them.
//
//   mps_int8_quantize(x, axis, threshold) -> q, stats, outliers     q = rint(x * 127 / stats), stats along axis 0 or 1
//   mps_int8_matmul(x, w) -> int32     x [.., K], w [N, K]
//   mps_int8_mm_dequant(sums, rows, columns, bias, dtype)     sums * rows * columns / 127^2 + bias
//   mps_int8_linear(x, w, stats, bias)     the three in one, without outliers
//   mps_ternary_matmul(x, packed, rows) -> int32     packed as graph.h says
//   mps_bitnet_linear(x, packed, scale, norm, bias, rows, epsilon)     y = q w / (a * scale) + bias, where
//     a = 127 * (1 / max(greatest |x| of the row, 1e-5)) and q = clip(rint(x * a), -128, 127); x is normalised first
//     (x / sqrt(mean(x^2) + epsilon) * norm) if there is a norm. Each of these is rounded to x's dtype
#include <utility>
#include <vector>

#include "kernels/graphs/quantized.h"
#include "plugin/paddle/custom_op.h"

namespace mps::paddle {
namespace {

using ::paddle::Tensor;
using Optional = ::paddle::optional<Tensor>;
using Sizes = std::vector<int64_t>;
using OptionalSizes = ::paddle::optional<Sizes>;
using OptionalDType = ::paddle::optional<phi::DataType>;

CustomOp g_int8_vectorwise_quant("int8_vectorwise_quant");
CustomOp g_int8_linear_matmul("int8_linear_matmul");
CustomOp g_int8_mm_dequant("int8_mm_dequant");
CustomOp g_int8_linear("int8_linear");
CustomOp g_ternary_matmul("ternary_matmul");
CustomOp g_bitnet_linear("bitnet_linear");

constexpr double kMostFloat16 = 65504;

Value with_bias(GraphOp& op, Value product, const Optional& bias) {
  if (!bias) return product;
  return op.record.graph.addition(product, op.record.graph.cast(op.input(*bias), DType::float32));
}

std::vector<Tensor> quantize(const Tensor& x, int axis, float threshold) {
  return graph_op(g_int8_vectorwise_quant, x, [&](GraphOp& op) {
    Graph& g = op.record.graph;
    const Shape shape = rows_of(x);
    if (x.numel() == 0) {
      op.output(g.constant(0, DType::int8, with_last(x, shape[1])));
      op.output(g.constant(0, DType::float32, {axis == 1 ? shape[0] : shape[1]}));
      op.output(g.constant(0, DType::int32, {shape[1]}));
      return;
    }
    const graphs::Int8 found = graphs::quantize_int8(g, op.input(x, shape), axis, threshold);
    op.output(found.numbers, with_last(x, shape[1]));
    op.output(found.stats, {g.elements(found.stats)});
    op.output(threshold > 0 ? found.outliers : g.constant(0, DType::int32, {shape[1]}), {shape[1]});
  });
}

std::vector<Tensor> matmul(const Tensor& x, const Tensor& w) {
  return graph_op(g_int8_linear_matmul, x, [&](GraphOp& op) {
    const Value product = op.record.graph.int8_matrix_multiplication(op.input(x, rows_of(x)), op.input(w));
    op.output(product, with_last(x, w.shape()[0]));
  });
}

std::vector<Tensor> mm_dequant(const Tensor& sums, const Tensor& rows, const Tensor& columns, const Optional& bias,
                               int dtype) {
  return graph_op(g_int8_mm_dequant, sums, [&](GraphOp& op) {
    Graph& g = op.record.graph;
    DType to = DType::float32;
    MPS_CHECK(to_dtype(static_cast<phi::DataType>(dtype), &to), kInternal, "no dtype has the number ", dtype, ".");
    const Value by_row = op.input(rows, {rows.numel(), 1}), by_column = op.input(columns, {1, columns.numel()});
    const Value product = graphs::dequantize_product(g, op.input(sums, rows_of(sums)), by_row, by_column);
    op.output(g.cast(with_bias(op, product, bias), to), with_last(sums, columns.numel()));
  });
}

std::vector<Tensor> linear(const Tensor& x, const Tensor& w, const Tensor& stats, const Optional& bias) {
  return graph_op(g_int8_linear, x, [&](GraphOp& op) {
    Graph& g = op.record.graph;
    const Value activations = op.input(x, rows_of(x));
    const DType dtype = g.dtype(activations);
    if (x.numel() == 0) return op.output(g.constant(0, dtype, with_last(x, w.shape()[0])));
    const graphs::Int8 q = graphs::quantize_int8(g, activations, 1, 0);
    const Value sums = g.int8_matrix_multiplication(q.numbers, op.input(w));
    const Value product = graphs::dequantize_product(g, sums, q.stats, op.input(stats, {1, stats.numel()}));
    op.output(g.cast(with_bias(op, product, bias), dtype), with_last(x, w.shape()[0]));
  });
}

std::vector<Tensor> ternary_matmul(const Tensor& x, const Tensor& packed, int64_t rows) {
  return graph_op(g_ternary_matmul, x, [&](GraphOp& op) {
    const Value product =
        op.record.graph.ternary_matrix_multiplication(op.input(x, rows_of(x)), op.input(packed), rows);
    op.output(product, with_last(x, rows));
  });
}

std::vector<Tensor> bitnet_linear(const Tensor& x, const Tensor& packed, const Tensor& scale, const Optional& norm,
                                  const Optional& bias, int64_t rows, float epsilon) {
  return graph_op(g_bitnet_linear, x, [&](GraphOp& op) {
    Graph& g = op.record.graph;
    const Value activations = op.input(x, rows_of(x));
    const DType dtype = g.dtype(activations);
    if (x.numel() == 0) return op.output(g.constant(0, dtype, with_last(x, rows)));
    const auto number = [&](double value) { return g.constant(value, DType::float32); };
    const auto rounded = [&](Value value) { return g.cast(g.cast(value, dtype), DType::float32); };
    Value wide = g.cast(activations, DType::float32);
    if (norm) {
      const Value mean = g.division(g.reduction_sum(g.square(wide), {1}), number(static_cast<double>(rows_of(x)[1])));
      const Value normal = g.division(wide, g.square_root(g.addition(mean, number(static_cast<double>(epsilon)))));
      wide = rounded(g.multiplication(normal, g.cast(op.input(*norm), DType::float32)));
    }
    const Value greatest = g.reduction(NodeKind::reduction_maximum, g.absolute(wide), {1});
    const auto finite = [&](Value value) {  // those of a row of zeros are beyond float16
      return rounded(dtype == DType::float16 ? g.minimum(value, number(kMostFloat16)) : value);
    };
    const Value inverse = finite(g.division(number(1), g.maximum(greatest, number(1e-5f))));
    const Value factor = finite(g.multiplication(inverse, number(127)));
    const Value whole = g.rint(rounded(g.multiplication(wide, factor)));
    const Value q = g.cast(g.minimum(g.maximum(whole, number(-128)), number(127)), DType::int8);
    const Value sums = g.cast(g.ternary_matrix_multiplication(q, op.input(packed), rows), DType::float32);
    const Value product = g.division(sums, g.multiplication(factor, g.cast(op.input(scale, {}), DType::float32)));
    op.output(g.cast(with_bias(op, product, bias), dtype), with_last(x, rows));
  });
}

// -- for static programs

Sizes last_replaced(Sizes shape, int64_t last) {
  shape.back() = last;
  return shape;
}
std::vector<Sizes> quantize_shape(const Sizes& x, int axis, float) {
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < x.size(); ++i) rows = x[i] < 0 || rows < 0 ? -1 : rows * x[i];
  return {x, {axis == 1 ? rows : x.back()}, {x.back()}};
}
std::vector<phi::DataType> quantize_dtype(phi::DataType, int, float) {
  return {phi::DataType::INT8, phi::DataType::FLOAT32, phi::DataType::INT32};
}
std::vector<Sizes> matmul_shape(const Sizes& x, const Sizes& w) { return {last_replaced(x, w[0])}; }
std::vector<phi::DataType> matmul_dtype(phi::DataType, phi::DataType) { return {phi::DataType::INT32}; }
std::vector<Sizes> mm_dequant_shape(const Sizes& sums, const Sizes&, const Sizes&, const OptionalSizes&, int) {
  return {sums};
}
std::vector<phi::DataType> mm_dequant_dtype(phi::DataType, phi::DataType, phi::DataType, const OptionalDType&,
                                            int dtype) {
  return {static_cast<phi::DataType>(dtype)};
}
std::vector<Sizes> linear_shape(const Sizes& x, const Sizes& w, const Sizes&, const OptionalSizes&) {
  return {last_replaced(x, w[0])};
}
std::vector<phi::DataType> linear_dtype(phi::DataType x, phi::DataType, phi::DataType, const OptionalDType&) {
  return {x};
}
std::vector<Sizes> ternary_shape(const Sizes& x, const Sizes&, int64_t rows) { return {last_replaced(x, rows)}; }
std::vector<phi::DataType> ternary_dtype(phi::DataType, phi::DataType, int64_t) { return {phi::DataType::INT32}; }
std::vector<Sizes> bitnet_shape(const Sizes& x, const Sizes&, const Sizes&, const OptionalSizes&, const OptionalSizes&,
                                int64_t rows, float) {
  return {last_replaced(x, rows)};
}
std::vector<phi::DataType> bitnet_dtype(phi::DataType x, phi::DataType, phi::DataType, const OptionalDType&,
                                        const OptionalDType&, int64_t, float) {
  return {x};
}

}  // namespace
}  // namespace mps::paddle

PD_BUILD_OP(mps_int8_quantize)
    .Inputs({"X"})
    .Outputs({"Out", "Stats", "Outliers"})
    .Attrs({"axis: int", "threshold: float"})
    .SetKernelFn(PD_KERNEL(mps::paddle::quantize))
    .SetInferShapeFn(PD_INFER_SHAPE(mps::paddle::quantize_shape))
    .SetInferDtypeFn(PD_INFER_DTYPE(mps::paddle::quantize_dtype));

PD_BUILD_OP(mps_int8_matmul)
    .Inputs({"X", "W"})
    .Outputs({"Out"})
    .SetKernelFn(PD_KERNEL(mps::paddle::matmul))
    .SetInferShapeFn(PD_INFER_SHAPE(mps::paddle::matmul_shape))
    .SetInferDtypeFn(PD_INFER_DTYPE(mps::paddle::matmul_dtype));

PD_BUILD_OP(mps_int8_mm_dequant)
    .Inputs({"Sums", "Rows", "Columns", paddle::Optional("Bias")})
    .Outputs({"Out"})
    .Attrs({"dtype: int"})
    .SetKernelFn(PD_KERNEL(mps::paddle::mm_dequant))
    .SetInferShapeFn(PD_INFER_SHAPE(mps::paddle::mm_dequant_shape))
    .SetInferDtypeFn(PD_INFER_DTYPE(mps::paddle::mm_dequant_dtype));

PD_BUILD_OP(mps_int8_linear)
    .Inputs({"X", "W", "Stats", paddle::Optional("Bias")})
    .Outputs({"Out"})
    .SetKernelFn(PD_KERNEL(mps::paddle::linear))
    .SetInferShapeFn(PD_INFER_SHAPE(mps::paddle::linear_shape))
    .SetInferDtypeFn(PD_INFER_DTYPE(mps::paddle::linear_dtype));

PD_BUILD_OP(mps_ternary_matmul)
    .Inputs({"X", "Packed"})
    .Outputs({"Out"})
    .Attrs({"rows: int64_t"})
    .SetKernelFn(PD_KERNEL(mps::paddle::ternary_matmul))
    .SetInferShapeFn(PD_INFER_SHAPE(mps::paddle::ternary_shape))
    .SetInferDtypeFn(PD_INFER_DTYPE(mps::paddle::ternary_dtype));

PD_BUILD_OP(mps_bitnet_linear)
    .Inputs({"X", "Packed", "Scale", paddle::Optional("Norm"), paddle::Optional("Bias")})
    .Outputs({"Out"})
    .Attrs({"rows: int64_t", "epsilon: float"})
    .SetKernelFn(PD_KERNEL(mps::paddle::bitnet_linear))
    .SetInferShapeFn(PD_INFER_SHAPE(mps::paddle::bitnet_shape))
    .SetInferDtypeFn(PD_INFER_DTYPE(mps::paddle::bitnet_dtype));
