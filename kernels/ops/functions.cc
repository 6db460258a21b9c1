// Paddle's functions of one number, from functions.def; and round, whose gradient has not its attribute.
#include <cmath>
#include <cstdlib>

#include "kernels/graphs/function.h"
#include "kernels/ops/elementwise.h"
#include "paddle/phi/kernels/activation_grad_kernel.h"
#include "paddle/phi/kernels/activation_kernel.h"
#include "paddle/phi/kernels/digamma_grad_kernel.h"
#include "paddle/phi/kernels/digamma_kernel.h"
#include "paddle/phi/kernels/erf_grad_kernel.h"
#include "paddle/phi/kernels/erf_kernel.h"
#include "paddle/phi/kernels/erfinv_grad_kernel.h"
#include "paddle/phi/kernels/erfinv_kernel.h"
#include "paddle/phi/kernels/gammaln_grad_kernel.h"
#include "paddle/phi/kernels/gammaln_kernel.h"
#include "paddle/phi/kernels/isfinite_kernel.h"
#include "paddle/phi/kernels/lgamma_grad_kernel.h"
#include "paddle/phi/kernels/lgamma_kernel.h"
#include "paddle/phi/kernels/logical_kernel.h"
#include "paddle/phi/kernels/sign_kernel.h"
#include "paddle/phi/kernels/trunc_grad_kernel.h"
#include "paddle/phi/kernels/trunc_kernel.h"

namespace mps::paddle {
namespace {

// To so many digits behind the point: x 10^d is rounded to an integer, ties to the even one, and scaled back.
void round(const CustomContext& ctx, const DenseTensor& x, int decimals, DenseTensor* out) {
  Recorder record(ctx);
  Graph& g = record.graph;
  const DType to = dtype_of(*out);
  Value value = g.cast(record.input(x), graphs::compute_dtype(to));
  if (is_float(to)) {
    const Value power = record.scalar(std::pow(10.0, std::abs(decimals)), g.dtype(value));
    if (decimals > 0) value = g.multiplication(value, power);
    if (decimals < 0) value = g.division(value, power);
    value = g.rint(value);
    if (decimals > 0) value = g.division(value, power);
    if (decimals < 0) value = g.multiplication(value, power);
  }
  record.output(out, g.cast(value, to));
  record.launch();
}

struct round_op {
  static Value gradient(const Operands& o) { return graphs::zeros_like(o.g, o.dout); }
};

}  // namespace

MPS_KERNEL(round, phi::RoundKernel, round, kFloatsAndInts)
MPS_KERNEL(round_grad, phi::RoundGradKernel, none_grad<round_op>, kFloats)

}  // namespace mps::paddle

#define MPS_TABLE "kernels/functions.def"
#include "kernels/ops/expand_rows.h"
