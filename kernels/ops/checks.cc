// What looks for mistakes in numbers: check_numerics, and accuracy_check, which compares a tensor with what it should
// be. Only what was found comes to the host, not the tensor; both wait for it, because they print it or throw.
#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>
#include <sstream>

#include "kernels/graphs/binary.h"
#include "kernels/graphs/lines.h"
#include "kernels/ops/wide.h"
#include "paddle/phi/core/enforce.h"
#include "paddle/phi/kernels/accuracy_check_kernel.h"
#include "paddle/phi/kernels/check_numerics_kernel.h"
#include "plugin/core/files.h"
#include "plugin/paddle/host_value.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kLargestFloat16 = 65504;

// How much is printed, by Paddle's numbers.
enum Level { kThrowOnNaN = 0, kBeyondFloat16 = 2, kEverything = 3 };

// NaN, infinite and zero elements (int64), then the greatest, the least and the mean (float32). Of the first two NaN is
// no part, unless there is nothing else.
void write_statistics(const CustomContext& ctx, const DenseTensor& tensor, DenseTensor* stats, DenseTensor* values) {
  const int64_t elements = tensor.numel();
  const DType counter = graphs::position_dtype(elements);
  Recorder record(ctx);
  Graph& g = record.graph;
  Value counts = g.constant(0, DType::int64, {3}), found = g.constant(0, DType::float32, {3});
  if (elements != 0) {
    const Value x = wide(record, tensor, {elements});
    const auto count = [&](Value mask) { return g.reduction_sum(g.cast(mask, counter), {0}); };
    const auto number = [&](double value) { return g.constant(value, DType::float32); };
    const Value is_nan = graphs::is_nan(g, x), nan = count(is_nan);
    const Value zero = g.equal(x, number(0));
    counts = g.cast(g.concatenation({nan, count(graphs::is_infinite(g, x)), count(zero)}, 0), DType::int64);
    const auto extreme = [&](NodeKind kind, double end) {
      const Value value = g.reduction(kind, g.select(is_nan, number(end), x), {0});
      return g.select(g.equal(nan, graphs::number(g, nan, elements)), number(std::nan("")), value);
    };
    const Value mean = g.division(g.reduction_sum(x, {0}), number(static_cast<double>(elements)));
    found = g.concatenation(
        {extreme(NodeKind::reduction_maximum, -kInfinity), extreme(NodeKind::reduction_minimum, kInfinity), mean}, 0);
  }
  record.output(ctx.Alloc(stats, phi::DataType::INT64), counts);
  record.output(ctx.Alloc(values, phi::DataType::FLOAT32), found);
  record.launch();
}

std::string name_of(phi::DataType dtype) {
  if (dtype == phi::DataType::FLOAT16) return "fp16";
  return dtype == phi::DataType::BFLOAT16 ? "bf16" : "fp32";
}

// As Paddle's kernels print: to a file in `output_dir` if that is given, else to stdout, and level 0 throws there.
void check_numerics(const CustomContext& ctx, const DenseTensor& tensor, const std::string& op_type,
                    const std::string& var_name, int level, int, const std::string& output_dir, DenseTensor* stats,
                    DenseTensor* values) {
  write_statistics(ctx, tensor, stats, values);
  if (tensor.numel() == 0) return;
  const std::vector<Scalar> counts = host_values(ctx, *stats), found = host_values(ctx, *values);
  const int64_t nan = counts[0].to_int64(), infinite = counts[1].to_int64();
  const double greatest = found[0].to_double(), least = found[1].to_double();
  const bool is_wrong = nan > 0 || infinite > 0;
  const bool is_large = level == kBeyondFloat16 && tensor.dtype() == phi::DataType::FLOAT32 &&
                        (greatest > kLargestFloat16 || least < -kLargestFloat16);
  const std::string device = std::to_string(ctx.GetPlace().GetDeviceId());
  const std::string what =
      "[device=mps:" + device + ", op=" + op_type + ", tensor=" + var_name + ", dtype=" + name_of(tensor.dtype()) + "]";
  if (is_wrong || is_large || level >= kEverything) {
    std::ostringstream line;
    line << (is_wrong ? "[PRECISION] [ERROR] in " : "[PRECISION] in ") << what << ", numel=" << tensor.numel();
    if (is_wrong) line << ", num_nan=" << nan << ", num_inf=" << infinite;
    line << ", num_zero=" << counts[2].to_int64() << std::scientific << ", max=" << greatest << ", min=" << least
         << ", mean=" << found[2].to_double() << "\n";
    if (output_dir.empty()) {
      std::fputs(line.str().c_str(), stdout);
    } else {
      const std::string path = output_dir + "worker_mps." + device;
      files::make_folders(output_dir);
      std::ofstream file(path, std::ios::app);
      MPS_CHECK(file << line.str() << std::flush, kArgument, "cannot write ", path,
                ": expected a folder that can be written to. Give another output_dir.");
    }
  }
  if (is_wrong && level == kThrowOnNaN && output_dir.empty()) {
    PADDLE_THROW(
        ::common::errors::PreconditionNotMet("There are NAN or INF (num_nan=%d, num_inf=%d, num_zero=%d) in %s.", nan,
                                             infinite, counts[2].to_int64(), what));
  }
}

// Whether each element of x is as close to that of y as isclose() asks for; throws where one is not.
void accuracy_check(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& y, const std::string& fn_name,
                    double rtol, double atol, bool equal_nan, DenseTensor* out) {
  DenseTensor wrong(std::shared_ptr<phi::Allocation>(),
                    phi::DenseTensorMeta(phi::DataType::INT32, phi::make_ddim({2})));
  Recorder record(ctx);
  Graph& g = record.graph;
  const Shape flat{x.numel()};
  const Value close =
      graphs::is_close(g, wide(record, x, flat), wide(record, y, flat), record.scalar(rtol, DType::float32),
                       record.scalar(atol, DType::float32), equal_nan);
  record.output(ctx.Alloc(out, phi::DataType::BOOL), close);
  if (x.numel() != 0) {
    const Value far = g.cast(g.logical_not(close), DType::float32);
    const Value first = g.arg_reduction(NodeKind::reduction_arg_maximum, far, 0);
    const Value some = g.cast(g.reduction(NodeKind::reduction_maximum, far, {0}), DType::int32);
    record.output(&wrong, g.concatenation({some, first}, 0));
  }
  record.launch();
  if (x.numel() == 0) return;
  const std::vector<Scalar> found = host_values(ctx, wrong);
  if (found[0].to_int64() == 0) return;
  PADDLE_THROW(::common::errors::PreconditionNotMet("Accuracy check failed, kernel name %s, res index %d", fn_name,
                                                    found[1].to_int64()));
}

void give_statistics(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(0).SetDataType(phi::DataType::INT64);
  kernel->OutputAt(1).SetDataType(phi::DataType::FLOAT32);
}

}  // namespace

MPS_KERNEL_WITH_DEFINE(check_numerics, phi::CheckNumericsKernel, check_numerics, kFloats, give_statistics)
MPS_KERNEL_WITH_DEFINE(accuracy_check, phi::AccuracyCheckKernel, accuracy_check, kAllDTypes, give_bool)

}  // namespace mps::paddle
