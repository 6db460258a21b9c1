// What makes kernels of the rows of elementwise.def and its like; expand_rows.h goes over the rows.
//
// Everything has internal linkage: each file that expands a table has rows of its own.
#pragma once

#include <array>
#include <tuple>

#include "kernels/graphs/broadcast.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"
#include "plugin/paddle/scalar.h"

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

  DType dtype() const { return dtype_of(*tensor_); }  // its own, not that to compute in
  operator Value() const {                            // NOLINT: expressions use operands as values
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

// A number that an op is called with. Each value is a feed of its own, so that calls with other numbers run the same
// graph; what shapes the graph asks for value().
class Attribute {
 public:
  Attribute(Recorder& record, Scalar scalar, DType compute) : record_(record), scalar_(scalar), compute_(compute) {}

  double value() const { return scalar_.to_double(); }
  // A feed of a number calculated from attributes.
  Value feed(double number) const { return record_.scalar(number, compute_); }
  operator Value() const {  // NOLINT: expressions use attributes as values
    if (!recorded_) value_ = record_.scalar(scalar_, compute_);
    recorded_ = true;
    return value_;
  }

 private:
  Recorder& record_;
  Scalar scalar_;
  DType compute_;
  mutable Value value_;
  mutable bool recorded_ = false;
};

template <size_t kCount>
using Attributes = std::array<Attribute, kCount>;

inline Scalar number_of(const phi::Scalar& value) { return to_scalar(value); }
template <typename Number>
Scalar number_of(Number value) {
  return value;
}

inline Operands operands(Recorder& record, DType compute, const DenseTensor* x, const DenseTensor* y,
                         const DenseTensor* out, const DenseTensor* dout) {
  return {record.graph, {record, x, compute}, {record, y, compute}, {record, out, compute}, {record, dout, compute}};
}

// For results whose dtype Paddle leaves to the kernel.
inline void set_dtype(DenseTensor* tensor, phi::DataType dtype) {
  phi::DenseTensorMeta meta = tensor->meta();
  meta.dtype = dtype;
  tensor->set_meta(meta);
}

// What a row's expression gives, as the op's result.
inline void output_result(Recorder& record, DenseTensor* out, Value result) {
  if (is_float(record.graph.dtype(result)) && !is_float(dtype_of(*out))) {
    set_dtype(out, phi::DataType::FLOAT32);  // exp of integers, say
  }
  record.output(out, record.graph.cast(result, dtype_of(*out)));
  record.launch();
}

// What is compared gives bools, and is compared in its own dtype.
inline DType forward_dtype(const DenseTensor& x, const DenseTensor& out) {
  const DType to = dtype_of(out);
  return graphs::compute_dtype(to == DType::bool_ ? dtype_of(x) : to);
}

template <typename Row>
void unary(const CustomContext& ctx, const DenseTensor& x, DenseTensor* out) {
  Recorder record(ctx);
  const Operands o = operands(record, forward_dtype(x, *out), &x, nullptr, nullptr, nullptr);
  output_result(record, out, Row::forward(o));
}

template <typename Row>
void binary(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, DenseTensor* out) {
  Recorder record(ctx);
  const Operands o = operands(record, forward_dtype(x, *out), &x, &y, nullptr, nullptr);
  output_result(record, out, Row::forward(o));
}

// A gradient is summed to the operand's shape where the operand was broadcast.
inline void output_gradient(Recorder& record, DenseTensor* gradient, Value value) {
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

// Paddle's parameter lists for the gradient of a unary op.
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
void none_grad(const CustomContext& ctx, const DenseTensor& dout, DenseTensor* dx) {
  unary_grad<Row>(ctx, nullptr, nullptr, dout, dx);
}

// A row with attributes: its kernels, with Paddle's parameter lists for these types of attributes.
template <typename Row, typename... Types>
struct UnaryWith {
  static void forward_kernel(const CustomContext& ctx, const DenseTensor& x, Types... attributes, DenseTensor* out) {
    Recorder record(ctx);
    const DType compute = forward_dtype(x, *out);
    const Attributes<sizeof...(Types)> numbers = {Attribute(record, number_of(attributes), compute)...};
    output_result(record, out, Row::forward(operands(record, compute, &x, nullptr, nullptr, nullptr), numbers));
  }
  static void x_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout, Types... attributes,
                     DenseTensor* dx) {
    gradient_kernel(ctx, &x, nullptr, dout, dx, attributes...);
  }
  static void out_grad(const CustomContext& ctx, const DenseTensor& out, const DenseTensor& dout, Types... attributes,
                       DenseTensor* dx) {
    gradient_kernel(ctx, nullptr, &out, dout, dx, attributes...);
  }
  static void x_out_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& out,
                         const DenseTensor& dout, Types... attributes, DenseTensor* dx) {
    gradient_kernel(ctx, &x, &out, dout, dx, attributes...);
  }

 private:
  static void gradient_kernel(const CustomContext& ctx, const DenseTensor* x, const DenseTensor* out,
                              const DenseTensor& dout, DenseTensor* dx, Types... attributes) {
    if (dx == nullptr) return;
    Recorder record(ctx);
    const DType compute = graphs::compute_dtype(dtype_of(*dx));
    const Attributes<sizeof...(Types)> numbers = {Attribute(record, number_of(attributes), compute)...};
    output_gradient(record, dx, Row::gradient(operands(record, compute, x, nullptr, out, &dout), numbers));
    record.launch();
  }
};

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

// Paddle's parameter lists for the gradient of a binary op.
template <typename Row>
void no_axis_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, const DenseTensor& dout,
                  DenseTensor* dx, DenseTensor* dy) {
  binary_grads<Row>(ctx, x, y, nullptr, dout, -1, dx, dy);
}

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

// An expression of a table as a function. The names of a row's attributes are bound by MPS_ATTRIBUTES.
#define MPS_EXPRESSION_IN(bind, function, parameters, expression)                                      \
  static Value function parameters {                                                                   \
    Graph& g = o.g;                                                                                    \
    [[maybe_unused]] const Operand &x = o.x, &y = o.y, &out = o.out, &dout = o.dout;                   \
    [[maybe_unused]] const auto like = [&](Value of, Scalar c) { return g.constant(c, g.dtype(of)); }; \
    [[maybe_unused]] const auto as_float = [&](Value v) {                                              \
      return g.cast(v, is_float(g.dtype(v)) ? g.dtype(v) : DType::float32);                            \
    };                                                                                                 \
    bind using namespace graphs; /* the table may call graph functions */                              \
    return expression;                                                                                 \
  }
#define MPS_EXPRESSION(function, expression) MPS_EXPRESSION_IN(, function, (const Operands& o), expression)
#define MPS_ATTRIBUTES(...) [[maybe_unused]] const auto& [__VA_ARGS__] = numbers;
#define MPS_EXPRESSION_WITH(function, count, names, expression) \
  MPS_EXPRESSION_IN(MPS_ATTRIBUTES names, function, (const Operands& o, const Attributes<count>& numbers), expression)
#define MPS_LIST(...) __VA_ARGS__
#define MPS_COUNT(...) std::tuple_size_v<std::tuple<__VA_ARGS__>>

}  // namespace
}  // namespace mps::paddle
