// The custom ops behind paddle_mps.functional: blocks of few bits, and products with them.
//
//   mps_quantize_blockwise(x, points, codes, blocksize) -> codes, absmax
//   mps_dequantize_blockwise(codes, absmax, book, nested..., blocksize, nested_blocksize, dtype, shape)
//   mps_quantized_matmul(x, codes, absmax, book, nested..., bias, blocksize, nested_blocksize, rows, columns,
//   transposed)
//
// nested: absmax2, book2 and offset, all or none. With them absmax is uint8, itself quantised by blocks of
// nested_blocksize, and book2[absmax] * absmax2 + offset is meant. dtype: the number of a phi::DataType.
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

CustomOp g_quantize_blockwise("quantize_blockwise");
CustomOp g_dequantize_blockwise("dequantize_blockwise");
CustomOp g_matmul_4bit("matmul_4bit");

std::vector<Tensor> quantize(const Tensor& x, const Tensor& points, const Tensor& codes, int64_t blocksize) {
  return graph_op(g_quantize_blockwise, x, [&](GraphOp& op) {
    Graph& g = op.record.graph;
    MPS_CHECK(blocksize >= 1, kArgument, "bad blocksize: expected 1 or more, got ", blocksize, ". Take 64, say.");
    if (x.numel() == 0) {
      op.output(g.constant(0, DType::uint8, {0}));
      op.output(g.constant(0, DType::float32, {0}));
      return;
    }
    const Value flat = op.input(x, {x.numel()});
    const Value absmax = graphs::block_absmax(g, flat, blocksize);
    op.output(g.quantize_blockwise(flat, absmax, op.input(points), op.input(codes), blocksize));
    op.output(absmax);
  });
}

struct Nested {
  const Optional &absmax, &book, &offset;
  int64_t blocksize;
};

// The absmax of every block as float32.
Value absmax_of(GraphOp& op, const Tensor& absmax, const Nested& nested) {
  Graph& g = op.record.graph;
  const Value own = op.input(absmax, {absmax.numel()});
  if (!nested.absmax) return own;
  MPS_CHECK(nested.book && nested.offset, kInternal, "a nested absmax has a code book and an offset, got one alone.");
  const Value restored =
      g.dequantize_blockwise(own, op.input(*nested.absmax, {nested.absmax->numel()}), op.input(*nested.book),
                             nested.blocksize, DType::float32, {absmax.numel()});
  return g.addition(restored, op.input(*nested.offset, {}));
}

std::vector<Tensor> dequantize(const Tensor& codes, const Tensor& absmax, const Tensor& book, const Optional& absmax2,
                               const Optional& book2, const Optional& offset, int64_t blocksize,
                               int64_t nested_blocksize, int dtype, const Sizes& shape) {
  return graph_op(g_dequantize_blockwise, codes, [&](GraphOp& op) {
    Graph& g = op.record.graph;
    DType to = DType::float32;
    MPS_CHECK(to_dtype(static_cast<phi::DataType>(dtype), &to), kInternal, "no dtype has the number ", dtype, ".");
    const Shape target(Dims(shape.data(), shape.size()));
    if (element_count(target) == 0) return op.output(g.constant(0, to, target));
    const Value scale = absmax_of(op, absmax, {absmax2, book2, offset, nested_blocksize});
    op.output(g.dequantize_blockwise(op.input(codes, {codes.numel()}), scale, op.input(book), blocksize, to, target));
  });
}

std::vector<Tensor> matmul(const Tensor& x, const Tensor& codes, const Tensor& absmax, const Tensor& book,
                           const Optional& absmax2, const Optional& book2, const Optional& offset, const Optional& bias,
                           int64_t blocksize, int64_t nested_blocksize, int64_t rows, int64_t columns, int transposed) {
  return graph_op(g_matmul_4bit, x, [&](GraphOp& op) {
    Graph& g = op.record.graph;
    const Value scale = absmax_of(op, absmax, {absmax2, book2, offset, nested_blocksize});
    const Graph::QuantizedMatrix matrix{
        op.input(codes, {codes.numel()}), scale, op.input(book), blocksize, rows, columns};
    Value product = g.quantized_matrix_multiplication(op.input(x, rows_of(x)), matrix, transposed != 0);
    if (bias) product = g.addition(product, op.input(*bias));
    op.output(product, with_last(x, transposed != 0 ? rows : columns));
  });
}

// -- for static programs

std::vector<Sizes> quantize_shape(const Sizes& x, const Sizes&, const Sizes& codes, int64_t blocksize) {
  int64_t count = 1;
  for (int64_t size : x) count = size < 0 || count < 0 ? -1 : count * size;
  if (count < 0) return {{-1}, {-1}};
  return {{codes[0] == 16 ? (count + 1) / 2 : count}, {(count + blocksize - 1) / blocksize}};
}
std::vector<phi::DataType> quantize_dtype(phi::DataType, phi::DataType, phi::DataType, int64_t) {
  return {phi::DataType::UINT8, phi::DataType::FLOAT32};
}
std::vector<Sizes> dequantize_shape(const Sizes&, const Sizes&, const Sizes&, const OptionalSizes&,
                                    const OptionalSizes&, const OptionalSizes&, int64_t, int64_t, int,
                                    const Sizes& shape) {
  return {shape};
}
std::vector<phi::DataType> dequantize_dtype(phi::DataType, phi::DataType, phi::DataType, const OptionalDType&,
                                            const OptionalDType&, const OptionalDType&, int64_t, int64_t, int dtype,
                                            const Sizes&) {
  return {static_cast<phi::DataType>(dtype)};
}
std::vector<Sizes> matmul_shape(const Sizes& x, const Sizes&, const Sizes&, const Sizes&, const OptionalSizes&,
                                const OptionalSizes&, const OptionalSizes&, const OptionalSizes&, int64_t, int64_t,
                                int64_t rows, int64_t columns, int transposed) {
  Sizes shape = x;
  shape.back() = transposed != 0 ? rows : columns;
  return {shape};
}
std::vector<phi::DataType> matmul_dtype(phi::DataType x, phi::DataType, phi::DataType, phi::DataType,
                                        const OptionalDType&, const OptionalDType&, const OptionalDType&,
                                        const OptionalDType&, int64_t, int64_t, int64_t, int64_t, int) {
  return {x};
}

}  // namespace
}  // namespace mps::paddle

PD_BUILD_OP(mps_quantize_blockwise)
    .Inputs({"X", "Points", "Codes"})
    .Outputs({"Out", "Absmax"})
    .Attrs({"blocksize: int64_t"})
    .SetKernelFn(PD_KERNEL(mps::paddle::quantize))
    .SetInferShapeFn(PD_INFER_SHAPE(mps::paddle::quantize_shape))
    .SetInferDtypeFn(PD_INFER_DTYPE(mps::paddle::quantize_dtype));

PD_BUILD_OP(mps_dequantize_blockwise)
    .Inputs({"Codes", "Absmax", "Book", paddle::Optional("Absmax2"), paddle::Optional("Book2"),
             paddle::Optional("Offset")})
    .Outputs({"Out"})
    .Attrs({"blocksize: int64_t", "nested_blocksize: int64_t", "dtype: int", "shape: std::vector<int64_t>"})
    .SetKernelFn(PD_KERNEL(mps::paddle::dequantize))
    .SetInferShapeFn(PD_INFER_SHAPE(mps::paddle::dequantize_shape))
    .SetInferDtypeFn(PD_INFER_DTYPE(mps::paddle::dequantize_dtype));

PD_BUILD_OP(mps_quantized_matmul)
    .Inputs({"X", "Codes", "Absmax", "Book", paddle::Optional("Absmax2"), paddle::Optional("Book2"),
             paddle::Optional("Offset"), paddle::Optional("Bias")})
    .Outputs({"Out"})
    .Attrs({"blocksize: int64_t", "nested_blocksize: int64_t", "rows: int64_t", "columns: int64_t", "transposed: int"})
    .SetKernelFn(PD_KERNEL(mps::paddle::matmul))
    .SetInferShapeFn(PD_INFER_SHAPE(mps::paddle::matmul_shape))
    .SetInferDtypeFn(PD_INFER_DTYPE(mps::paddle::matmul_dtype));
