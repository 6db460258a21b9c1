// Double gradients: of ops of one tensor from second.def; of add and divide here. Those of log, subtract, multiply and
// matmul Paddle makes of other ops.
#include "kernels/graphs/activation.h"
#include "kernels/graphs/function.h"
#include "kernels/ops/elementwise.h"
#include "paddle/phi/kernels/abs_grad_kernel.h"
#include "paddle/phi/kernels/activation_grad_kernel.h"
#include "paddle/phi/kernels/elementwise_add_grad_kernel.h"
#include "paddle/phi/kernels/elementwise_divide_grad_kernel.h"

namespace mps::paddle {
namespace {

using Optional = ::paddle::optional<DenseTensor>;

// -- ops of one tensor
// ----------------------------------------------------------------------------------------------------

Operands second_operands(Recorder& record, DType compute, const DenseTensor& x, const DenseTensor* dout,
                         const DenseTensor& ddx) {
  return operands(record, compute, &x, &ddx, &x, dout);
}

// A row's kernels, with Paddle's parameter lists for these types of attributes. Without attributes the expressions take
// none.
template <typename Row, typename... Types>
struct Second {
  static void both(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout, const DenseTensor& ddx,
                   Types... attributes, DenseTensor* first, DenseTensor* ddout) {
    Recorder record(ctx);
    const DType compute = graphs::compute_dtype(dtype_of(ddx));
    const Operands o = second_operands(record, compute, x, &dout, ddx);
    [[maybe_unused]] const Attributes<sizeof...(Types)> numbers = {
        Attribute(record, number_of(attributes), compute)...};
    if constexpr (sizeof...(Types) == 0) {
      if (first != nullptr) output_gradient(record, first, Row::first(o));
      if (ddout != nullptr) output_gradient(record, ddout, Row::second(o));
    } else {
      if (first != nullptr) output_gradient(record, first, Row::first(o, numbers));
      if (ddout != nullptr) output_gradient(record, ddout, Row::second(o, numbers));
    }
    record.launch();
  }
  static void linear(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& ddx, Types... attributes,
                     DenseTensor* ddout) {
    if (ddout == nullptr) return;
    Recorder record(ctx);
    const DType compute = graphs::compute_dtype(dtype_of(ddx));
    const Operands o = second_operands(record, compute, x, nullptr, ddx);
    [[maybe_unused]] const Attributes<sizeof...(Types)> numbers = {
        Attribute(record, number_of(attributes), compute)...};
    if constexpr (sizeof...(Types) == 0) {
      output_gradient(record, ddout, Row::second(o));
    } else {
      output_gradient(record, ddout, Row::second(o, numbers));
    }
    record.launch();
  }
};

#define MPS_BIND_DDX [[maybe_unused]] const Operand& ddx = o.y;
#define MPS_SECOND_EXPRESSION(function, expression) \
  MPS_EXPRESSION_IN(MPS_BIND_DDX, function, (const Operands& o), expression)
#define MPS_SECOND_EXPRESSION_WITH(function, types, names, expression) \
  MPS_EXPRESSION_IN(MPS_BIND_DDX MPS_ATTRIBUTES names, function,       \
                    (const Operands& o, const Attributes<MPS_COUNT types>& numbers), expression)

#define MPS_SECOND(name, Phi, first_expression, ddout_expression) \
  struct name##_second : Second<name##_second> {                  \
    MPS_SECOND_EXPRESSION(first, first_expression)                \
    MPS_SECOND_EXPRESSION(second, ddout_expression)               \
  };
#define MPS_SECOND_WITH(name, Phi, types, names, first_expression, ddout_expression) \
  struct name##_second : Second<name##_second, MPS_LIST types> {                     \
    MPS_SECOND_EXPRESSION_WITH(first, types, names, first_expression)                \
    MPS_SECOND_EXPRESSION_WITH(second, types, names, ddout_expression)               \
  };
#define MPS_SECOND_LINEAR(name, Phi, ddout_expression) \
  struct name##_second : Second<name##_second> {       \
    MPS_SECOND_EXPRESSION(second, ddout_expression)    \
  };
#define MPS_SECOND_LINEAR_WITH(name, Phi, types, names, ddout_expression) \
  struct name##_second : Second<name##_second, MPS_LIST types> {          \
    MPS_SECOND_EXPRESSION_WITH(second, types, names, ddout_expression)    \
  };
#include "kernels/second.def"
#undef MPS_SECOND
#undef MPS_SECOND_WITH
#undef MPS_SECOND_LINEAR
#undef MPS_SECOND_LINEAR_WITH

// -- ops of two tensors. What comes in for dx or dy may be absent: then it is 0.
// ---------------------------------------------------------------------------------------------------------------

class Sum {
 public:
  Sum(Graph& g, DType compute) : g_(g), sum_(g.constant(0, compute)) {}
  void add(Value value) { sum_ = is_empty_ ? value : g_.addition(sum_, value), is_empty_ = false; }
  void subtract(Value value) { sum_ = is_empty_ ? g_.negative(value) : g_.subtraction(sum_, value), is_empty_ = false; }
  Value value() const { return sum_; }

 private:
  Graph& g_;
  Value sum_;
  bool is_empty_ = true;
};

// Tensors in the dtype to compute in, and gradients written to theirs.
struct Calculation {
  Calculation(const CustomContext& ctx, const DenseTensor& like)
      : record(ctx), g(record.graph), compute(graphs::compute_dtype(dtype_of(like))) {}
  Value operator()(const DenseTensor& tensor) { return g.cast(record.input(tensor), compute); }
  Value operator()(const Optional& tensor) { return (*this)(tensor.get()); }
  // `value` summed to the tensor's shape, or stretched to it.
  void write(DenseTensor* tensor, Value value) {
    const Shape shape(dims_of(*tensor));
    if (g.elements(value) < element_count(shape)) value = g.broadcast(value, shape);
    output_gradient(record, tensor, value);
  }
  Recorder record;
  Graph& g;
  const DType compute;
};

void add_double_grad(const CustomContext& ctx, const DenseTensor&, const DenseTensor& dout, const Optional& ddx,
                     const Optional& ddy, int, DenseTensor* ddout) {
  if (ddout == nullptr) return;
  Calculation c(ctx, dout);
  Sum sum(c.g, c.compute);
  if (ddx) sum.add(c(ddx));
  if (ddy) sum.add(c(ddy));
  c.write(ddout, sum.value());
  c.record.launch();
}

// With dx = dout / y and dy = -dx out, both of which ddx and ddy meet.
void divide_double_grad(const CustomContext& ctx, const DenseTensor& y, const DenseTensor& out,
                        const DenseTensor& incoming, const Optional& dx, const Optional& ddx, const Optional& ddy, int,
                        DenseTensor* dy, DenseTensor* dout, DenseTensor* ddout) {
  Calculation c(ctx, out);
  Graph& g = c.g;
  const Value divisor = c(y);
  Sum along(g, c.compute);  // ddx - out ddy
  if (ddx) along.add(c(ddx));
  if (ddy) along.subtract(g.multiplication(c(out), c(ddy)));
  if (dy != nullptr || dout != nullptr) {
    // Where x was broadcast, the dx that there may be has been summed.
    const bool is_whole = dx && same_shape(dims_of(dx.get()), dims_of(out));
    const Value slope = is_whole ? c(dx) : g.division(c(incoming), divisor);
    if (dy != nullptr) c.write(dy, g.negative(g.division(g.multiplication(slope, along.value()), divisor)));
    if (dout != nullptr) {
      c.write(dout, ddy ? g.negative(g.multiplication(slope, c(ddy))) : g.constant(0, c.compute));
    }
  }
  if (ddout != nullptr) c.write(ddout, g.division(along.value(), divisor));
  c.record.launch();
}

}  // namespace

#define MPS_SECOND(name, Phi, first_expression, ddout_expression) \
  MPS_KERNEL(name##_double_grad, phi::Phi##DoubleGradKernel, name##_second::both, kFloats)
#define MPS_SECOND_WITH(name, Phi, types, names, first_expression, ddout_expression) \
  MPS_KERNEL(name##_double_grad, phi::Phi##DoubleGradKernel, name##_second::both, kFloats)
#define MPS_SECOND_LINEAR(name, Phi, ddout_expression) \
  MPS_KERNEL(name##_double_grad, phi::Phi##DoubleGradKernel, name##_second::linear, kFloats)
#define MPS_SECOND_LINEAR_WITH(name, Phi, types, names, ddout_expression) \
  MPS_KERNEL(name##_double_grad, phi::Phi##DoubleGradKernel, name##_second::linear, kFloats)
#include "kernels/second.def"
#undef MPS_SECOND
#undef MPS_SECOND_WITH
#undef MPS_SECOND_LINEAR
#undef MPS_SECOND_LINEAR_WITH
MPS_KERNEL(add_double_grad, phi::AddDoubleGradKernel, add_double_grad, kFloats)
MPS_KERNEL(divide_double_grad, phi::DivideDoubleGradKernel, divide_double_grad, kFloats)

}  // namespace mps::paddle
