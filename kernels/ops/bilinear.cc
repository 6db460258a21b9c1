// bilinear: a number for every pair of elements of x and y, weighted and added up.
#include "kernels/graphs/lines.h"
#include "kernels/ops/wide.h"
#include "paddle/phi/kernels/bilinear_grad_kernel.h"
#include "paddle/phi/kernels/bilinear_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using OptionalTensor = ::paddle::optional<DenseTensor>;

// x [rows, I], y [rows, J], weight [O, I, J]: float32.
struct Operands {
  Operands(Recorder& record, const DenseTensor& x_in, const DenseTensor& y_in, const DenseTensor& weight_in) {
    const Dims xs = dims_of(x_in), ys = dims_of(y_in), ws = dims_of(weight_in);
    MPS_CHECK(xs.size() == 2 && ys.size() == 2 && ws.size() == 3 && xs[0] == ys[0] && xs[1] == ws[1] && ys[1] == ws[2],
              kArgument, "shapes do not fit: expected x [rows, I], y [rows, J] and weight [O, I, J], got ",
              to_string(xs), ", ", to_string(ys), " and ", to_string(ws), ".");
    rows = xs[0], outputs = ws[0], left = xs[1], right = ys[1];
    x = wide(record, x_in);
    y = wide(record, y_in);
    weight = wide(record, weight_in);
  }
  // [rows, O, J]: sum over i of x[row, i] weight[o, i, j].
  Value x_weight(Graph& g) const {
    const Value by_left = g.reshape(g.transpose(weight, {1, 0, 2}), {left, outputs * right});
    return g.reshape(g.matrix_multiplication(x, by_left), {rows, outputs, right});
  }
  // [rows, O, I]: sum over j of y[row, j] weight[o, i, j].
  Value y_weight(Graph& g) const {
    const Value by_right = g.reshape(g.transpose(weight, {2, 0, 1}), {right, outputs * left});
    return g.reshape(g.matrix_multiplication(y, by_right), {rows, outputs, left});
  }
  int64_t rows, outputs, left, right;
  Value x{}, y{}, weight{};
};

void bilinear(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, const DenseTensor& weight,
              const OptionalTensor& bias, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Operands of(record, x, y, weight);
  const Value column = g.reshape(of.y, {of.rows, of.right, 1});
  Value sum = g.reshape(g.matrix_multiplication(of.x_weight(g), column), {of.rows, of.outputs});
  if (bias) sum = g.addition(sum, wide(record, *bias, {1, of.outputs}));
  write(record, out, sum);
  record.launch();
}

void bilinear_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, const DenseTensor& weight,
                   const DenseTensor& dout, DenseTensor* dx, DenseTensor* dy, DenseTensor* dweight,
                   DenseTensor* dbias) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Operands of(record, x, y, weight);
  const Value incoming = wide(record, dout, {of.rows, of.outputs});
  const Value row = g.reshape(incoming, {of.rows, 1, of.outputs});
  if (dx != nullptr) write(record, dx, g.matrix_multiplication(row, of.y_weight(g)));
  if (dy != nullptr) write(record, dy, g.matrix_multiplication(row, of.x_weight(g)));
  if (dweight != nullptr) {
    // [rows, O I] by columns times [rows, J]
    const Value products =
        g.multiplication(g.reshape(incoming, {of.rows, of.outputs, 1}), g.reshape(of.x, {of.rows, 1, of.left}));
    const Value flat = g.transpose(g.reshape(products, {of.rows, of.outputs * of.left}), {1, 0});
    write(record, dweight, g.matrix_multiplication(flat, of.y));
  }
  if (dbias != nullptr) write(record, dbias, g.reduction_sum(incoming, {0}));
  record.launch();
}

}  // namespace

MPS_KERNEL(bilinear, phi::BilinearKernel, bilinear, kFloats)
MPS_KERNEL(bilinear_grad, phi::BilinearGradKernel, bilinear_grad, kFloats)

}  // namespace mps::paddle
