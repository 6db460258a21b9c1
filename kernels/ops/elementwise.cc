// Paddle's elementwise kernels, all from elementwise.def.
#include "kernels/graphs/activation.h"
#include "kernels/graphs/broadcast.h"
#include "paddle/phi/kernels/abs_grad_kernel.h"
#include "paddle/phi/kernels/abs_kernel.h"
#include "paddle/phi/kernels/activation_grad_kernel.h"
#include "paddle/phi/kernels/activation_kernel.h"
#include "paddle/phi/kernels/elementwise_add_grad_kernel.h"
#include "paddle/phi/kernels/elementwise_add_kernel.h"
#include "paddle/phi/kernels/elementwise_divide_grad_kernel.h"
#include "paddle/phi/kernels/elementwise_divide_kernel.h"
#include "paddle/phi/kernels/elementwise_multiply_grad_kernel.h"
#include "paddle/phi/kernels/elementwise_multiply_kernel.h"
#include "paddle/phi/kernels/elementwise_subtract_grad_kernel.h"
#include "paddle/phi/kernels/elementwise_subtract_kernel.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

// A tensor that an expression of the table may name, in the dtype to compute in. It becomes an
// input of the graph when it is first used: gradients must not read operands they do not need,
// whose memory Paddle may have released.
class Operand {
 public:
  Operand(Recorder& record, const DenseTensor* tensor, DType compute)
      : record_(record), tensor_(tensor), compute_(compute) {}

  operator Value() const {  // NOLINT: expressions use operands as values
    if (!recorded_) {
      MPS_CHECK(tensor_ != nullptr, kInternal, "the table names an operand that this kernel does not get.");
      value_ = record_.graph.cast(record_.input(*tensor_), compute_);
      recorded_ = true;
    }
    return value_;
  }

 private:
  Recorder& record_;
  const DenseTensor* tensor_;
  DType compute_;
  mutable Value value_;
  mutable bool recorded_ = false;
};

struct Operands {
  Graph& g;
  Operand x, y, out, dout;
};

Operands operands(Recorder& record, DType compute, const DenseTensor* x, const DenseTensor* y, const DenseTensor* out,
                  const DenseTensor* dout) {
  return {record.graph, {record, x, compute}, {record, y, compute}, {record, out, compute}, {record, dout, compute}};
}

template <typename Row>
void forward(const CustomContext& ctx, const DenseTensor* x, const DenseTensor* y, DenseTensor* out) {
  Recorder record(ctx);
  const DType to = dtype_of(*out);
  const Value result = Row::forward(operands(record, graphs::compute_dtype(to), x, y, nullptr, nullptr));
  if (is_float(record.graph.dtype(result)) && !is_float(to)) {
    // exp of integers is float32, which Paddle leaves to the kernel to say.
    phi::DenseTensorMeta meta = out->meta();
    meta.dtype = phi::DataType::FLOAT32;
    out->set_meta(meta);
  }
  record.output(out, record.graph.cast(result, dtype_of(*out)));
  record.launch();
}

template <typename Row>
void unary(const CustomContext& ctx, const DenseTensor& x, DenseTensor* out) {
  forward<Row>(ctx, &x, nullptr, out);
}

template <typename Row>
void binary(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, DenseTensor* out) {
  forward<Row>(ctx, &x, &y, out);
}

// A gradient is summed to the operand's shape where the operand was broadcast.
void output_gradient(Recorder& record, DenseTensor* gradient, Value value) {
  const Value summed = graphs::sum_to_shape(record.graph, value, dims_of(*gradient));
  record.output(gradient, record.graph.cast(summed, dtype_of(*gradient)));
}

template <typename Row>
void unary_grad(const CustomContext& ctx, const DenseTensor* x, const DenseTensor* out, const DenseTensor& dout,
                DenseTensor* dx) {
  if (dx == nullptr) return;
  Recorder record(ctx);
  const DType compute = graphs::compute_dtype(dtype_of(*dx));
  output_gradient(record, dx, Row::gradient(operands(record, compute, x, nullptr, out, &dout)));
  record.launch();
}

// Paddle's three parameter lists for the gradient of a unary op.
template <typename Row>
void x_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout, DenseTensor* dx) {
  unary_grad<Row>(ctx, &x, nullptr, dout, dx);
}

template <typename Row>
void out_grad(const CustomContext& ctx, const DenseTensor& out, const DenseTensor& dout, DenseTensor* dx) {
  unary_grad<Row>(ctx, nullptr, &out, dout, dx);
}

template <typename Row>
void x_out_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& out, const DenseTensor& dout,
                DenseTensor* dx) {
  unary_grad<Row>(ctx, &x, &out, dout, dx);
}

template <typename Row>
void binary_grads(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, const DenseTensor* out,
                  const DenseTensor& dout, int axis, DenseTensor* dx, DenseTensor* dy) {
  MPS_CHECK(axis == -1, kUnsupported, "broadcasting along an axis is not available: expected axis -1, got ", axis,
            ". Unsqueeze the smaller operand.");
  if (dx == nullptr && dy == nullptr) return;
  Recorder record(ctx);
  const Operands o = operands(record, graphs::compute_dtype(dtype_of(dout)), &x, &y, out, &dout);
  if (dx != nullptr) output_gradient(record, dx, Row::gradient_x(o));
  if (dy != nullptr) output_gradient(record, dy, Row::gradient_y(o));
  record.launch();
}

// Paddle's two parameter lists for the gradient of a binary op.
template <typename Row>
void plain_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, const DenseTensor& dout, int axis,
                DenseTensor* dx, DenseTensor* dy) {
  binary_grads<Row>(ctx, x, y, nullptr, dout, axis, dx, dy);
}

template <typename Row>
void with_out_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, const DenseTensor& out,
                   const DenseTensor& dout, int axis, DenseTensor* dx, DenseTensor* dy) {
  binary_grads<Row>(ctx, x, y, &out, dout, axis, dx, dy);
}

// An expression of the table as a function.
#define MPS_EXPRESSION(function, expression)                                                           \
  static Value function(const Operands& o) {                                                           \
    Graph& g = o.g;                                                                                    \
    [[maybe_unused]] const Operand &x = o.x, &y = o.y, &out = o.out, &dout = o.dout;                   \
    [[maybe_unused]] const auto like = [&](Value of, Scalar c) { return g.constant(c, g.dtype(of)); }; \
    [[maybe_unused]] const auto as_float = [&](Value v) {                                              \
      return g.cast(v, is_float(g.dtype(v)) ? g.dtype(v) : DType::float32);                            \
    };                                                                                                 \
    using namespace graphs; /* the table may call graph functions */                                   \
    return expression;                                                                                 \
  }

#define MPS_UNARY_OP(name, Phi, dtypes, forward_expression, gradient_dtypes, operand, gradient_expression) \
  struct name##_op {                                                                                       \
    MPS_EXPRESSION(forward, forward_expression)                                                            \
    MPS_EXPRESSION(gradient, gradient_expression)                                                          \
  };
#define MPS_BINARY_OP(name, Phi, dtypes, forward_expression, signature, x_expression, y_expression) \
  struct name##_op {                                                                                \
    MPS_EXPRESSION(forward, forward_expression)                                                     \
    MPS_EXPRESSION(gradient_x, x_expression)                                                        \
    MPS_EXPRESSION(gradient_y, y_expression)                                                        \
  };
#include "kernels/elementwise.def"
#undef MPS_UNARY_OP
#undef MPS_BINARY_OP

}  // namespace

// Gradients of binary ops take numbers only: a bool has none.
#define MPS_UNARY_OP(name, Phi, dtypes, forward_expression, gradient_dtypes, operand, gradient_expression) \
  MPS_KERNEL(name, phi::Phi##Kernel, unary<name##_op>, dtypes)                                             \
  MPS_KERNEL(name##_grad, phi::Phi##GradKernel, operand##_grad<name##_op>, gradient_dtypes)
#define MPS_BINARY_OP(name, Phi, dtypes, forward_expression, signature, x_expression, y_expression) \
  MPS_KERNEL(name, phi::Phi##Kernel, binary<name##_op>, dtypes)                                     \
  MPS_KERNEL(name##_grad, phi::Phi##GradKernel, signature##_grad<name##_op>, kNumbers)
#include "kernels/elementwise.def"

}  // namespace mps::paddle
