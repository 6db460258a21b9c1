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

double factor_of(const std::string& normalization, bool forward, Dims shape, const std::vector<size_t>& axes) {
  int64_t count = 1;
  for (size_t axis : axes) count *= shape[axis];
  return factor_of(normalization, forward, count);
}

// Along all of `axes` but the last `without`.
Value transformed(Graph& g, Value pairs, const std::vector<size_t>& axes, bool forward, size_t without) {
  for (size_t i = 0; i + without < axes.size(); ++i) {
    pairs = graphs::fast_fourier_transform(g, pairs, axes[i], forward);
  }
  return pairs;
}

void c2c(const CustomContext& ctx, const DenseTensor& x, const Axes& axes, const std::string& normalization,
         bool forward, bool factor_forward, DenseTensor* out) {
  if (out == nullptr) return;
  Recorder record(ctx);
  if (x.numel() != 0) {
    Graph& g = record.graph;
    const std::vector<size_t> at = places(axes, dims_of(x).size());
    const double factor = factor_of(normalization, factor_forward, dims_of(x), at);
    const Value value = transformed(g, read_parts(record, x), at, forward, 1);
    write_parts(ctx, record, out, phi::DataType::COMPLEX64,
                graphs::fast_fourier_transform(g, value, at.back(), forward, factor));
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

// Of all frequencies, or of those up to the middle of the last axis.
Value spectrum_of_real(Graph& g, Value x, const std::vector<size_t>& axes, bool forward, bool onesided, double factor) {
  const int64_t size = g.shape(x)[axes.back()];
  Value value = graphs::real_to_hermitean_fft(g, x, axes.back(), forward, factor);
  if (!onesided) value = graphs::with_conjugates(g, value, axes.back(), size);
  return transformed(g, value, axes, forward, 1);
}

void fft_r2c(const CustomContext& ctx, const DenseTensor& x, const Axes& axes, const std::string& normalization,
             bool forward, bool onesided, DenseTensor* out) {
  Recorder record(ctx);
  if (x.numel() != 0) {
    const std::vector<size_t> at = places(axes, dims_of(x).size());
    const double factor = factor_of(normalization, forward, dims_of(x), at);
    write_parts(ctx, record, out, phi::DataType::COMPLEX64,
                spectrum_of_real(record.graph, record.input(x), at, forward, onesided, factor));
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
    const std::vector<size_t> at = places(axes, dims_of(*dx).size());
    const double factor = factor_of(normalization, forward, dims_of(*dx), at);
    const Value value = transformed(g, read_parts(record, dout), at, !forward, 1);
    const int64_t size = dims_of(*dx)[at.back()];
    write_parts(ctx, record, dx, phi::DataType::FLOAT32,
                graphs::real_part_of_fft(g, value, at.back(), size, !forward, factor));
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
    const std::vector<size_t> at = places(axes, dims_of(x).size());
    const int64_t size = dims_of(*out)[at.back()];
    const double factor = factor_of(normalization, forward, dims_of(*out), at);
    const Value half = graphs::resized(g, read_parts(record, x), at.back(), size / 2 + 1);
    const Value value = transformed(g, half, at, forward, 1);
    write_parts(ctx, record, out, phi::DataType::FLOAT32,
                graphs::hermitean_to_real_fft(g, value, at.back(), size, forward, factor));
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
    const int64_t size = dims_of(dout)[at.back()];
    const double factor = factor_of(normalization, forward, dims_of(dout), at);
    const Value value = spectrum_of_real(g, record.input(dout), at, !forward, true, factor);
    const Value weighted = graphs::weighted_where_conjugate(g, value, at.back(), size, 2);
    write_parts(ctx, record, dx, phi::DataType::COMPLEX64,
                graphs::resized(g, weighted, at.back(), dims_of(*dx)[at.back()]));
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
