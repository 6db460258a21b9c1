// complex64: its parts, arithmetic, sums, products and their gradients. Metal has no complex numbers, so they are
// computed as pairs of float32 (kernels/graphs/complex.h). What only moves elements takes them as integers of their
// size: there complex64 is one of kMovedDTypes. All else runs on the CPU, and the fallback report says so.
#include "kernels/graphs/complex.h"

#include "kernels/graphs/matmul.h"
#include "kernels/ops/pairs.h"
#include "paddle/phi/kernels/abs_grad_kernel.h"
#include "paddle/phi/kernels/abs_kernel.h"
#include "paddle/phi/kernels/angle_grad_kernel.h"
#include "paddle/phi/kernels/angle_kernel.h"
#include "paddle/phi/kernels/as_complex_kernel.h"
#include "paddle/phi/kernels/as_real_kernel.h"
#include "paddle/phi/kernels/cast_kernel.h"
#include "paddle/phi/kernels/complex_grad_kernel.h"
#include "paddle/phi/kernels/complex_kernel.h"
#include "paddle/phi/kernels/elementwise_add_grad_kernel.h"
#include "paddle/phi/kernels/elementwise_add_kernel.h"
#include "paddle/phi/kernels/elementwise_divide_grad_kernel.h"
#include "paddle/phi/kernels/elementwise_divide_kernel.h"
#include "paddle/phi/kernels/elementwise_multiply_grad_kernel.h"
#include "paddle/phi/kernels/elementwise_multiply_kernel.h"
#include "paddle/phi/kernels/elementwise_subtract_grad_kernel.h"
#include "paddle/phi/kernels/elementwise_subtract_kernel.h"
#include "paddle/phi/kernels/full_kernel.h"
#include "paddle/phi/kernels/matmul_grad_kernel.h"
#include "paddle/phi/kernels/matmul_kernel.h"
#include "paddle/phi/kernels/reduce_mean_grad_kernel.h"
#include "paddle/phi/kernels/reduce_mean_kernel.h"
#include "paddle/phi/kernels/reduce_sum_grad_kernel.h"
#include "paddle/phi/kernels/reduce_sum_kernel.h"
#include "paddle/phi/kernels/scale_kernel.h"
#include "plugin/paddle/cpu_kernel.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"
#include "plugin/paddle/scalar.h"

namespace mps::paddle {
namespace {

using graphs::Complex;
using phi::CustomContext;
using phi::DenseTensor;

// -- parts -----------------------------------------------------------------------------------------------------------

// Records `make`, which gives a real value, into `out` of float32.
template <typename Make>
void real_result(const CustomContext& ctx, const DenseTensor& x, DenseTensor* out, Make make) {
  Recorder record(ctx);
  record.output(out, make(record.graph, read_pairs(record, x)));
  record.launch();
}

void real(const CustomContext& ctx, const DenseTensor& x, DenseTensor* out) {
  real_result(ctx, x, out, [](Graph&, Complex z) { return z.re; });
}

void imag(const CustomContext& ctx, const DenseTensor& x, DenseTensor* out) {
  real_result(ctx, x, out, [](Graph&, Complex z) { return z.im; });
}

void absolute(const CustomContext& ctx, const DenseTensor& x, DenseTensor* out) {
  real_result(ctx, x, out, [](Graph& g, Complex z) { return graphs::absolute(g, z); });
}

void angle(const CustomContext& ctx, const DenseTensor& x, DenseTensor* out) {
  real_result(ctx, x, out, [](Graph& g, Complex z) { return g.atan2(z.im, z.re); });
}

void complex(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, DenseTensor* out) {
  Recorder record(ctx);
  const Shape shape(dims_of(*out));
  const auto part = [&](const DenseTensor& tensor) { return record.graph.broadcast(record.input(tensor), shape); };
  write_pairs(ctx, record, out, {part(x), part(y)});
  record.launch();
}

void complex_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, const DenseTensor& dout,
                  DenseTensor* dx, DenseTensor* dy) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Complex incoming = read_pairs(record, dout);
  if (dx != nullptr) record.output(dx, graphs::sum_to_shape(g, incoming.re, dims_of(x)));
  if (dy != nullptr) record.output(dy, graphs::sum_to_shape(g, incoming.im, dims_of(y)));
  record.launch();
}

// Records `make`, which gives a complex value of that of `x`.
template <typename Make>
void complex_result(const CustomContext& ctx, const DenseTensor& x, DenseTensor* out, Make make) {
  if (out == nullptr) return;
  Recorder record(ctx);
  write_pairs(ctx, record, out, make(record, read_pairs(record, x)));
  record.launch();
}

void conj(const CustomContext& ctx, const DenseTensor& x, DenseTensor* out) {
  complex_result(ctx, x, out, [](Recorder& record, Complex z) { return graphs::conjugate(record.graph, z); });
}

template <bool kImaginary>
void part_grad(const CustomContext& ctx, const DenseTensor& dout, DenseTensor* dx) {
  if (dx == nullptr) return;
  Recorder record(ctx);
  const Value incoming = record.input(dout), nothing = graphs::zeros_like(record.graph, incoming);
  write_pairs(ctx, record, dx, kImaginary ? Complex{nothing, incoming} : Complex{incoming, nothing});
  record.launch();
}

// Along x / |x|; at 0 there is no direction.
void abs_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout, DenseTensor* dx) {
  complex_result(ctx, x, dx, [&](Recorder& record, Complex z) {
    Graph& g = record.graph;
    const Value size = graphs::absolute(g, z), zero = graphs::like(g, size, 0);
    const Value safe = g.select(g.equal(size, zero), graphs::like(g, size, 1), size);  // 0 over anything is 0
    const Value incoming = record.input(dout);
    return Complex{g.multiplication(incoming, g.division(z.re, safe)),
                   g.multiplication(incoming, g.division(z.im, safe))};
  });
}

// Across x, by 1 / |x|.
void angle_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout, DenseTensor* dx) {
  complex_result(ctx, x, dx, [&](Recorder& record, Complex z) {
    Graph& g = record.graph;
    const Value square = g.addition(g.square(z.re), g.square(z.im));
    const Value turn = g.division(record.input(dout), square);
    return Complex{g.negative(g.multiplication(turn, z.im)), g.multiplication(turn, z.re)};
  });
}

void cast(const CustomContext& ctx, const DenseTensor& x, phi::DataType dtype, DenseTensor* out) {
  DType to;
  if (dtype == phi::DataType::COMPLEX64) {
    complex_result(ctx, x, out, [](Recorder&, Complex z) { return z; });
  } else if (to_dtype(dtype, &to)) {
    phi::DenseTensorMeta meta = out->meta();
    meta.dtype = dtype;
    out->set_meta(meta);
    real_result(ctx, x, out, [to](Graph& g, Complex z) { return g.cast(z.re, to); });
  } else {
    run_cpu_kernel("cast", ctx, x, out, dtype);
  }
}

// The same bytes under another name.
void copy_pairs(const CustomContext& ctx, const DenseTensor& x, phi::DataType dtype, DenseTensor* out) {
  void* const to = ctx.Alloc(out, dtype);
  if (x.numel() == 0) return;
  Recorder record(ctx);
  const size_t bytes = static_cast<size_t>(x.numel()) * phi::SizeOf(x.dtype());
  MPS_CHECK(record.copy(to, x.data(), bytes), kInternal, "a result overlaps its operand in part.");
}

void as_real(const CustomContext& ctx, const DenseTensor& x, DenseTensor* out) {
  copy_pairs(ctx, x, phi::DataType::FLOAT32, out);
}

void as_complex(const CustomContext& ctx, const DenseTensor& x, DenseTensor* out) {
  copy_pairs(ctx, x, phi::DataType::COMPLEX64, out);
}

// -- arithmetic ------------------------------------------------------------------------------------------------------

using Operation = Complex (*)(Graph&, Complex, Complex);

template <Operation kOperation>
void binary(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, DenseTensor* out) {
  Recorder record(ctx);
  write_pairs(ctx, record, out, kOperation(record.graph, read_pairs(record, x), read_pairs(record, y)));
  record.launch();
}

// A gradient in the shape of its operand.
void write_gradient(const CustomContext& ctx, Recorder& record, DenseTensor* gradient, Complex value) {
  const auto sum = [&](Value part) { return graphs::sum_to_shape(record.graph, part, dims_of(*gradient)); };
  write_pairs(ctx, record, gradient, {sum(value.re), sum(value.im)});
}

template <bool kNegative>
void sum_of_two_grad(const CustomContext& ctx, const DenseTensor&, const DenseTensor&, const DenseTensor& dout, int,
                     DenseTensor* dx, DenseTensor* dy) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Complex incoming = read_pairs(record, dout);
  const Complex other = kNegative ? Complex{g.negative(incoming.re), g.negative(incoming.im)} : incoming;
  if (dx != nullptr) write_gradient(ctx, record, dx, incoming);
  if (dy != nullptr) write_gradient(ctx, record, dy, other);
  record.launch();
}

// As everywhere in Paddle, the gradient of a complex number is that of its conjugate.
void multiply_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, const DenseTensor& dout, int,
                   DenseTensor* dx, DenseTensor* dy) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Complex incoming = read_pairs(record, dout);
  const auto by = [&](const DenseTensor& other) {
    return graphs::multiplication(g, incoming, graphs::conjugate(g, read_pairs(record, other)));
  };
  if (dx != nullptr) write_gradient(ctx, record, dx, by(y));
  if (dy != nullptr) write_gradient(ctx, record, dy, by(x));
  record.launch();
}

void divide_grad(const CustomContext& ctx, const DenseTensor&, const DenseTensor& y, const DenseTensor& out,
                 const DenseTensor& dout, int, DenseTensor* dx, DenseTensor* dy) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Complex below = graphs::conjugate(g, read_pairs(record, y));
  const Complex part = graphs::division(g, read_pairs(record, dout), below);
  if (dx != nullptr) write_gradient(ctx, record, dx, part);
  if (dy != nullptr) {
    const Complex product = graphs::multiplication(g, part, graphs::conjugate(g, read_pairs(record, out)));
    write_gradient(ctx, record, dy, {g.negative(product.re), g.negative(product.im)});
  }
  record.launch();
}

Complex number(Recorder& record, const phi::Scalar& value) {
  const phi::complex64 z = value.to<phi::complex64>();
  return {record.scalar(z.real, DType::float32), record.scalar(z.imag, DType::float32)};
}

void scale(const CustomContext& ctx, const DenseTensor& x, const phi::Scalar& scale, const phi::Scalar& bias,
           bool bias_after_scale, DenseTensor* out) {
  complex_result(ctx, x, out, [&](Recorder& record, Complex z) {
    Graph& g = record.graph;
    const Complex factor = number(record, scale), term = number(record, bias);
    return bias_after_scale ? graphs::addition(g, graphs::multiplication(g, z, factor), term)
                            : graphs::multiplication(g, graphs::addition(g, z, term), factor);
  });
}

void fill(const CustomContext& ctx, const phi::Scalar& value, DenseTensor* out) {
  Recorder record(ctx);
  const Complex z = number(record, value);
  const Shape shape(dims_of(*out));
  write_pairs(ctx, record, out, {record.graph.broadcast(z.re, shape), record.graph.broadcast(z.im, shape)});
  record.launch();
}

void full(const CustomContext& ctx, const phi::IntArray& shape, const phi::Scalar& value, phi::DataType,
          DenseTensor* out) {
  out->Resize(phi::make_ddim(shape.GetData()));
  fill(ctx, value, out);
}

void full_like(const CustomContext& ctx, const DenseTensor&, const phi::Scalar& value, phi::DataType,
               DenseTensor* out) {
  fill(ctx, value, out);
}

// -- sums and products -----------------------------------------------------------------------------------------------

// The sum over the axes, or their mean.
void fold(const CustomContext& ctx, const DenseTensor& x, const phi::IntArray& dims, bool divides, DenseTensor* out) {
  const Ints axes = graphs::axes_of(dims.GetData(), dims_of(x).size());
  complex_result(ctx, x, out, [&](Recorder& record, Complex z) {
    Graph& g = record.graph;
    int64_t count = 1;
    for (int64_t axis : axes) count *= dims_of(x)[static_cast<size_t>(axis)];
    const auto part = [&](Value value) {
      const Value total = g.reshape(g.reduction_sum(value, axes), dims_of(*out));
      return divides ? g.division(total, graphs::like(g, total, count)) : total;
    };
    return Complex{part(z.re), part(z.im)};
  });
}

void sum(const CustomContext& ctx, const DenseTensor& x, const phi::IntArray& dims, phi::DataType, bool,
         DenseTensor* out) {
  fold(ctx, x, dims, false, out);
}

void mean(const CustomContext& ctx, const DenseTensor& x, const phi::IntArray& dims, bool, DenseTensor* out) {
  fold(ctx, x, dims, true, out);
}

template <bool kDivides>
void fold_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& dout, const phi::IntArray& dims, bool,
               bool reduce_all, DenseTensor* dx) {
  const Shape shape(dims_of(x));
  const Ints axes = graphs::axes_of(dims.GetData(), shape.size(), reduce_all);
  complex_result(ctx, dout, dx, [&](Recorder& record, Complex incoming) {
    Graph& g = record.graph;
    int64_t count = 1;
    for (int64_t axis : axes) count *= shape[static_cast<size_t>(axis)];
    const auto part = [&](Value value) {
      const Value kept = g.reshape(value, graphs::keep_dims_shape(shape, axes));
      return g.broadcast(kDivides ? g.division(kept, graphs::like(g, kept, count)) : kept, shape);
    };
    return Complex{part(incoming.re), part(incoming.im)};
  });
}

void matmul(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, bool transpose_x, bool transpose_y,
            DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Complex product =
      graphs::product_by_parts(g, read_pairs(record, x), read_pairs(record, y), [&](Value a, Value b) {
        return graphs::product(g, graphs::left_matrices(g, a, transpose_x), graphs::right_matrices(g, b, transpose_y));
      });
  const auto shaped = [&](Value part) { return g.reshape(part, dims_of(*out)); };
  write_pairs(ctx, record, out, {shaped(product.re), shaped(product.im)});
  record.launch();
}

void matmul_grad(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, const DenseTensor& dout,
                 bool transpose_x, bool transpose_y, DenseTensor* dx, DenseTensor* dy) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const Complex left = read_pairs(record, x), right = read_pairs(record, y), incoming = read_pairs(record, dout);
  const Shape shape = graphs::shape_of_product(dims_of(x), dims_of(y), dims_of(dout));
  const auto write = [&](DenseTensor* gradient, Complex other, auto gradient_of) {
    if (gradient == nullptr) return;
    const Complex product = graphs::product_by_parts(
        g, incoming, graphs::conjugate(g, other),
        [&](Value part, Value by) { return g.reshape(gradient_of(by, g.reshape(part, shape)), dims_of(*gradient)); });
    write_pairs(ctx, record, gradient, product);
  };
  const auto a = [&](Value part) { return graphs::left_matrices(g, part, transpose_x); };
  const auto b = [&](Value part) { return graphs::right_matrices(g, part, transpose_y); };
  // Of the operand whose gradient it is, only the shape counts.
  write(dx, right, [&](Value by, Value part) { return graphs::left_gradient(g, a(left.re), b(by), part); });
  write(dy, left, [&](Value by, Value part) { return graphs::right_gradient(g, a(by), b(right.re), part); });
  record.launch();
}

// -- the rows --------------------------------------------------------------------------------------------------------

void take_real_second(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->InputAt(1).SetDataType(phi::DataType::FLOAT32);
}
void give_any(const phi::KernelKey&, phi::Kernel* kernel) { kernel->OutputAt(0).SetDataType(phi::DataType::UNDEFINED); }

}  // namespace

MPS_KERNEL_WITH_DEFINE(real, phi::RealKernel, real, kComplex, give_real)
MPS_KERNEL_ROW(real_grad, part_grad<false>, kComplex, take_real, 1)
MPS_KERNEL_WITH_DEFINE(imag, phi::ImagKernel, imag, kComplex, give_real)
MPS_KERNEL_ROW(imag_grad, part_grad<true>, kComplex, take_real, 1)
MPS_KERNEL_WITH_DEFINE(abs, phi::AbsKernel, absolute, kComplex, give_real)
MPS_KERNEL_WITH_DEFINE(abs_grad, phi::AbsGradKernel, abs_grad, kComplex, take_real_second)
MPS_KERNEL_WITH_DEFINE(angle, phi::AngleKernel, angle, kComplex, give_real)
MPS_KERNEL_WITH_DEFINE(angle_grad, phi::AngleGradKernel, angle_grad, kComplex, take_real_second)
MPS_KERNEL(conj, phi::ConjKernel, conj, kComplex)
MPS_KERNEL_WITH_DEFINE(complex, phi::ComplexKernel, complex, kFloat32, give_complex)
MPS_KERNEL_WITH_DEFINE(complex_grad, phi::ComplexGradKernel, complex_grad, kFloat32, take_complex_third)
MPS_KERNEL_WITH_DEFINE(as_real, phi::AsRealKernel, as_real, kComplex, give_real)
MPS_KERNEL_WITH_DEFINE(as_complex, phi::AsComplexKernel, as_complex, kFloat32, give_complex)
MPS_KERNEL(add, phi::AddKernel, binary<graphs::addition>, kComplex)
MPS_KERNEL(add_grad, phi::AddGradKernel, sum_of_two_grad<false>, kComplex)
MPS_KERNEL(subtract, phi::SubtractKernel, binary<graphs::subtraction>, kComplex)
MPS_KERNEL(subtract_grad, phi::SubtractGradKernel, sum_of_two_grad<true>, kComplex)
MPS_KERNEL(multiply, phi::MultiplyKernel, binary<graphs::multiplication>, kComplex)
MPS_KERNEL(multiply_grad, phi::MultiplyGradKernel, multiply_grad, kComplex)
MPS_KERNEL(divide, phi::DivideKernel, binary<graphs::division>, kComplex)
MPS_KERNEL(divide_grad, phi::DivideGradKernel, divide_grad, kComplex)
MPS_KERNEL(cast, phi::CastKernel, cast, kComplex)
MPS_KERNEL(scale, phi::ScaleKernel, scale, kComplex)
MPS_KERNEL(full, phi::FullKernel, full, kComplex)
MPS_KERNEL(full_like, phi::FullLikeKernel, full_like, kComplex)
MPS_KERNEL_WITH_DEFINE(sum, phi::SumKernel, sum, kComplex, give_any)
MPS_KERNEL_WITH_DEFINE(sum_grad, phi::ReduceSumGradKernel, fold_grad<false>, kComplex, give_any)
MPS_KERNEL(mean, phi::MeanKernel, mean, kComplex)
MPS_KERNEL(mean_grad, phi::ReduceMeanGradKernel, fold_grad<true>, kComplex)
MPS_KERNEL(matmul, phi::MatmulKernel, matmul, kComplex)
MPS_KERNEL(matmul_grad, phi::MatmulGradKernel, matmul_grad, kComplex)

}  // namespace mps::paddle
