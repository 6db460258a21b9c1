// gammaincc(a, x): the upper incomplete gamma function, over the whole; and its slope along x.
#include "kernels/graphs/gamma.h"
#include "paddle/phi/kernels/gammaincc_grad_kernel.h"
#include "paddle/phi/kernels/gammaincc_kernel.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

void gammaincc(const CustomContext& ctx, const DenseTensor& a, const DenseTensor& x, DenseTensor* out) {
  Recorder record(ctx);
  record.output(out, graphs::upper_gamma(record.graph, record.input(a), record.input(x)));
  record.launch();
}

void gammaincc_grad(const CustomContext& ctx, const DenseTensor& a, const DenseTensor& x, const DenseTensor& dout,
                    DenseTensor* dx) {
  if (dx == nullptr) return;
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value at = record.input(x), density = graphs::gamma_density(g, record.input(a), at);
  record.output(dx, g.multiplication(record.input(dout), g.negative(g.division(density, at))));
  record.launch();
}

}  // namespace

MPS_KERNEL(gammaincc, phi::GammainccKernel, gammaincc, kFloat32)
MPS_KERNEL(gammaincc_grad, phi::GammainccGradKernel, gammaincc_grad, kFloat32)

}  // namespace mps::paddle
