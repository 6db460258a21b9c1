// Spectra: discrete Fourier transforms along any axes, of complex numbers, to and from real ones, and their gradients,
// which are transforms the other way round.
#include "kernels/graphs/fft.h"

#include <cmath>

#include "kernels/ops/spectra.h"
#include "paddle/phi/kernels/fft_grad_kernel.h"
#include "paddle/phi/kernels/fft_kernel.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;
using Axes = std::vector<int64_t>;

// What a transform is multiplied by: the division by the length, or by its root, is where `normalization` says.
double factor_of(const std::string& normalization, bool forward, int64_t count) {
  const double one_way = 1.0 / static_cast<double>(count);
  if (normalization == "ortho") return std::sqrt(one_way);
  MPS_CHECK(normalization == "backward" || normalization == "forward", kArgument,
            "bad normalization: expected backward, ortho or forward, got ", normalization, ".");
  return (normalization == "forward") == forward ? one_way : 1;
}

std::vector<size_t> places(const Axes& axes, size_t rank) {
  MPS_CHECK(!axes.empty(), kArgument, "no axis: expected at least one to transform along.");
  std::vector<size_t> found;
  for (int64_t axis : axes) found.push_back(static_cast<size_t>(normalize_axis(axis, rank)));
  return found;
}

int64_t count_along(Dims shape, const std::vector<size_t>& axes) {
  int64_t count = 1;
  for (size_t axis : axes) count *= shape[axis];
  return count;
}

Value scaled(Graph& g, Value x, double factor) {
  return factor == 1 ? x : g.multiplication(x, graphs::like(g, x, factor));
}

void c2c(const CustomContext& ctx, const DenseTensor& x, const Axes& axes, const std::string& normalization,
         bool forward, bool factor_forward, DenseTensor* out) {
  if (out == nullptr) return;
  Recorder record(ctx);
  if (x.numel() != 0) {
    Graph& g = record.graph;
    const std::vector<size_t> at = places(axes, dims_of(x).size());
    Value value = read_planes(record, x);
    for (size_t axis : at) value = graphs::Fourier(g, forward).along(value, axis);
    const double factor = factor_of(normalization, factor_forward, count_along(dims_of(x), at));
    write_planes(ctx, record, out, scaled(g, value, factor));
  } else {
    ctx.Alloc(out, phi::DataType::COMPLEX64);
  }
  record.launch();
}

void fft_c2c(const CustomContext& ctx, const DenseTensor& x, const Axes& axes, const std::string& normalization,
             bool forward, DenseTensor* out) {
  c2c(ctx, x, axes, normalization, forward, forward, out);
}

void fft_c2c_grad(const CustomContext& ctx, const DenseTensor& dout, const Axes& axes, const std::string& normalization,
                  bool forward, DenseTensor* dx) {
  c2c(ctx, dout, axes, normalization, !forward, forward, dx);
}

// Planes of all frequencies, or of those up to the middle of the last axis.
Value spectrum_of_real(Recorder& record, const DenseTensor& x, const std::vector<size_t>& axes, bool forward,
                       bool onesided) {
  Graph& g = record.graph;
  const graphs::Fourier fourier(g, forward);
  Value value = fourier.along(read_planes(record, x), axes.back());
  if (onesided) value = graphs::resized(g, value, axes.back() + 1, dims_of(x)[axes.back()] / 2 + 1);
  for (size_t i = 0; i + 1 < axes.size(); ++i) value = fourier.along(value, axes[i]);
  return value;
}

void fft_r2c(const CustomContext& ctx, const DenseTensor& x, const Axes& axes, const std::string& normalization,
             bool forward, bool onesided, DenseTensor* out) {
  Recorder record(ctx);
  if (x.numel() != 0) {
    const std::vector<size_t> at = places(axes, dims_of(x).size());
    const Value value = spectrum_of_real(record, x, at, forward, onesided);
    const double factor = factor_of(normalization, forward, count_along(dims_of(x), at));
    write_planes(ctx, record, out, scaled(record.graph, value, factor));
  } else {
    ctx.Alloc(out, phi::DataType::COMPLEX64);
  }
  record.launch();
}

// The frequencies that were left out add nothing.
void fft_r2c_grad(const CustomContext& ctx, const DenseTensor&, const DenseTensor& dout, const Axes& axes,
                  const std::string& normalization, bool forward, bool, DenseTensor* dx) {
  if (dx == nullptr) return;
  Recorder record(ctx);
  if (dx->numel() != 0) {
    Graph& g = record.graph;
    const graphs::Fourier fourier(g, !forward);
    const std::vector<size_t> at = places(axes, dims_of(*dx).size());
    Value value = graphs::resized(g, read_planes(record, dout), at.back() + 1, dims_of(*dx)[at.back()]);
    for (size_t i = 0; i < at.size(); ++i) value = fourier.along(value, at[i], i + 1 == at.size() ? 1 : 2);
    const double factor = factor_of(normalization, forward, count_along(dims_of(*dx), at));
    write_planes(ctx, record, dx, scaled(g, value, factor));
  } else {
    ctx.Alloc(dx, phi::DataType::FLOAT32);
  }
  record.launch();
}

void fft_c2r(const CustomContext& ctx, const DenseTensor& x, const Axes& axes, const std::string& normalization,
             bool forward, int64_t, DenseTensor* out) {
  Recorder record(ctx);
  if (out->numel() != 0) {
    Graph& g = record.graph;
    const graphs::Fourier fourier(g, forward);
    const std::vector<size_t> at = places(axes, dims_of(x).size());
    const int64_t size = dims_of(*out)[at.back()];
    Value value = read_planes(record, x);
    for (size_t i = 0; i + 1 < at.size(); ++i) value = fourier.along(value, at[i]);
    value = graphs::resized(g, value, at.back() + 1, size / 2 + 1);
    value = fourier.along(graphs::with_conjugates(g, value, at.back(), size), at.back(), 1);
    const double factor = factor_of(normalization, forward, count_along(dims_of(*out), at));
    write_planes(ctx, record, out, scaled(g, value, factor));
  } else {
    ctx.Alloc(out, phi::DataType::FLOAT32);
  }
  record.launch();
}

// Numbers that stood for their conjugates too count twice.
void fft_c2r_grad(const CustomContext& ctx, const DenseTensor& dout, const Axes& axes, const std::string& normalization,
                  bool forward, int64_t, DenseTensor* dx) {
  if (dx == nullptr) return;
  Recorder record(ctx);
  if (dout.numel() != 0) {
    Graph& g = record.graph;
    const std::vector<size_t> at = places(axes, dims_of(dout).size());
    const size_t axis = at.back() + 1;
    const int64_t size = dims_of(dout)[at.back()];
    Value value = spectrum_of_real(record, dout, at, !forward, true);
    Shape line;
    line.resize(g.shape(value).size(), 1);
    line[axis] = size / 2 + 1;
    const Value place = g.coordinate(line, static_cast<int>(axis));
    const Value single = g.addition(g.equal(place, graphs::number(g, place, 0)),
                                    g.equal(graphs::number(g, place, size), g.addition(place, place)));
    const Value weight = g.select(single, graphs::like(g, value, 1), graphs::like(g, value, 2));
    value = graphs::resized(g, g.multiplication(value, weight), axis, dims_of(*dx)[at.back()]);
    const double factor = factor_of(normalization, forward, count_along(dims_of(dout), at));
    write_planes(ctx, record, dx, scaled(g, value, factor));
  } else {
    ctx.Alloc(dx, phi::DataType::COMPLEX64);
  }
  record.launch();
}

void take_and_give_real(const phi::KernelKey& key, phi::Kernel* kernel) {
  take_real(key, kernel);
  give_real(key, kernel);
}

}  // namespace

MPS_KERNEL(fft_c2c, phi::FFTC2CKernel, fft_c2c, kComplex)
MPS_KERNEL(fft_c2c_grad, phi::FFTC2CGradKernel, fft_c2c_grad, kComplex)
MPS_KERNEL_WITH_DEFINE(fft_r2c, phi::FFTR2CKernel, fft_r2c, kFloat32, give_complex)
MPS_KERNEL_ROW(fft_r2c_grad, fft_r2c_grad, kComplex, take_and_give_real, 1)
MPS_KERNEL_WITH_DEFINE(fft_c2r, phi::FFTC2RKernel, fft_c2r, kComplex, give_real)
MPS_KERNEL_WITH_DEFINE(fft_c2r_grad, phi::FFTC2RGradKernel, fft_c2r_grad, kFloat32, give_complex)

}  // namespace mps::paddle
