// Tensors of random numbers: uniform, normal, exponential, whole numbers, permutations.
#include "kernels/graphs/random.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/graphs/activation.h"
#include "kernels/graphs/lines.h"
#include "paddle/phi/kernels/exponential_kernel.h"
#include "paddle/phi/kernels/gaussian_inplace_grad_kernel.h"
#include "paddle/phi/kernels/gaussian_kernel.h"
#include "paddle/phi/kernels/randint_kernel.h"
#include "paddle/phi/kernels/random_grad_kernel.h"
#include "paddle/phi/kernels/random_kernel.h"
#include "paddle/phi/kernels/randperm_kernel.h"
#include "paddle/phi/kernels/shuffle_batch_grad_kernel.h"
#include "paddle/phi/kernels/shuffle_batch_kernel.h"
#include "paddle/phi/kernels/truncated_gaussian_random_kernel.h"
#include "paddle/phi/kernels/uniform_inplace_grad_kernel.h"
#include "paddle/phi/kernels/uniform_inplace_kernel.h"
#include "paddle/phi/kernels/uniform_kernel.h"
#include "paddle/phi/kernels/uniform_random_batch_size_like_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/host_value.h"
#include "plugin/paddle/random.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"
#include "plugin/paddle/scalar.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

double rounded_to(DType dtype, double number) {
  return visit(dtype, [&](auto zero) -> double {
    using T = decltype(zero);
    if constexpr (std::is_integral_v<T>) return number;
    return static_cast<float>(static_cast<T>(static_cast<float>(number)));
  });
}

// The greatest number of this dtype below one that it has.
double next_below(DType dtype, double number) {
  if (dtype == DType::float32) {
    return std::nextafter(static_cast<float>(number), -std::numeric_limits<float>::infinity());
  }
  return visit(dtype, [&](auto zero) -> double {
    using T = decltype(zero);
    if constexpr (sizeof(T) == 2 && !std::is_integral_v<T>) {
      const T value = static_cast<T>(static_cast<float>(number));
      uint16_t bits;
      std::memcpy(&bits, &value, sizeof bits);
      bits = number == 0 ? 0x8001 : number > 0 ? bits - 1 : bits + 1;  // magnitudes in the order of their bits
      T below;
      std::memcpy(static_cast<void*>(&below), &bits, sizeof bits);
      return static_cast<float>(below);
    }
    return number;
  });
}

// Writes float32 numbers, given as a line, to a tensor of any float dtype.
void write(Recorder& record, DenseTensor* out, Value numbers) {
  Graph& g = record.graph;
  record.output(out, g.reshape(g.cast(numbers, dtype_of(*out)), dims_of(*out)));
}

Value uniform_numbers(Random& random, Recorder& record, DType dtype, int64_t count, double from, double to) {
  Graph& g = record.graph;
  const double low = rounded_to(dtype, from), high = rounded_to(dtype, to);
  // Rounding, here or to a shorter dtype, must not reach the end that does not belong to the range.
  const double highest = low < high ? std::max(low, next_below(dtype, high)) : low;
  const Value unit = graphs::unit_interval(g, random.words({count}));
  const Value range = record.scalar(high - low, DType::float32), start = record.scalar(low, DType::float32);
  const Value numbers = g.addition(g.multiplication(unit, range), start);
  return g.minimum(numbers, record.scalar(highest, DType::float32));
}

void write_uniform(const CustomContext& ctx, double low, double high, int seed, DenseTensor* out) {
  Recorder record(ctx);
  Random random(ctx, record, seed);
  write(record, out, uniform_numbers(random, record, dtype_of(*out), out->numel(), low, high));
  record.launch();
}

void uniform(const CustomContext& ctx, const phi::IntArray& shape, phi::DataType, const phi::Scalar& low,
             const phi::Scalar& high, int seed, DenseTensor* out) {
  out->Resize(phi::make_ddim(shape.GetData()));
  write_uniform(ctx, low.to<double>(), high.to<double>(), seed, out);
}

// diag_num elements, diag_step + 1 apart, get diag_val.
void uniform_inplace(const CustomContext& ctx, const DenseTensor&, float low, float high, int seed, int diag_num,
                     int diag_step, float diag_val, DenseTensor* out) {
  if (diag_num <= 0) return write_uniform(ctx, low, high, seed, out);
  const int64_t count = out->numel(), step = int64_t{diag_step} + 1;
  MPS_CHECK((diag_num - 1) * step < count, kArgument, "the diagonal does not fit: expected at most ", count,
            " elements, got ", diag_num, " in steps of ", step, ". Ask for fewer.");
  Recorder record(ctx);
  Random random(ctx, record, seed);
  Graph& g = record.graph;
  const Value numbers = uniform_numbers(random, record, dtype_of(*out), count, low, high);
  const Value diagonal = g.broadcast(record.scalar(diag_val, DType::float32), {diag_num});
  write(record, out, g.strided_update(numbers, diagonal, {step}, 0));
  record.launch();
}

// Paddle has made `out` as long as the input.
void uniform_like(const CustomContext& ctx, const DenseTensor& input, const std::vector<int>&, int, int, float low,
                  float high, int seed, int diag_num, int diag_step, float diag_val, phi::DataType, DenseTensor* out) {
  uniform_inplace(ctx, input, low, high, seed, diag_num, diag_step, diag_val, out);
}

// What was overwritten has no gradient.
void write_zeros(const CustomContext& ctx, DenseTensor* out) {
  if (out == nullptr) return;
  Recorder record(ctx);
  record.output(out, graphs::zeros(record.graph, dtype_of(*out), dims_of(*out)));
  record.launch();
}

void uniform_inplace_grad(const CustomContext& ctx, const DenseTensor&, float, float, int, int, int, float,
                          DenseTensor* dx) {
  write_zeros(ctx, dx);
}
void gaussian_inplace_grad(const CustomContext& ctx, const DenseTensor&, float, float, int, DenseTensor* dx) {
  write_zeros(ctx, dx);
}
void random_grad(const CustomContext& ctx, const DenseTensor&, int64_t, int64_t, DenseTensor* dx) {
  write_zeros(ctx, dx);
}

void write_gaussian(const CustomContext& ctx, float mean, float std, int seed, DenseTensor* out) {
  Recorder record(ctx);
  Random random(ctx, record, seed);
  Graph& g = record.graph;
  const int64_t count = out->numel();
  const Value numbers = graphs::normal(g, random.words({2, (count + 1) / 2}), count);
  const Value scaled = g.multiplication(numbers, record.scalar(std, DType::float32));
  write(record, out, g.addition(scaled, record.scalar(mean, DType::float32)));
  record.launch();
}

void gaussian(const CustomContext& ctx, const phi::IntArray& shape, float mean, float std, int seed, phi::DataType,
              DenseTensor* out) {
  out->Resize(phi::make_ddim(shape.GetData()));
  write_gaussian(ctx, mean, std, seed, out);
}

void gaussian_inplace(const CustomContext& ctx, const DenseTensor&, float mean, float std, int seed, DenseTensor* out) {
  write_gaussian(ctx, mean, std, seed, out);
}

// The inverse of the distribution function between its values at the ends.
void truncated_gaussian(const CustomContext& ctx, const std::vector<int>&, float mean, float std, int seed, float low,
                        float high, phi::DataType, DenseTensor* out) {
  const double root_2 = std::sqrt(2.0);
  const double first = std::erf((low - mean) / (std * root_2)), last = std::erf((high - mean) / (std * root_2));
  Recorder record(ctx);
  Random random(ctx, record, seed);
  Graph& g = record.graph;
  const auto number = [&](double value) { return record.scalar(value, DType::float32); };
  const Value unit = graphs::unit_interval(g, random.words({out->numel()}));
  const Value start = number(first), range = number(last - first), scale = number(std * root_2), middle = number(mean);
  const Value normal = g.erfinv(g.addition(g.multiplication(unit, range), start));
  const Value from = number(low), to = number(high);
  write(record, out, graphs::clamp(g, g.addition(g.multiplication(normal, scale), middle), from, to));
  record.launch();
}

void exponential(const CustomContext& ctx, const DenseTensor&, float lambda, DenseTensor* out) {
  Recorder record(ctx);
  Random random(ctx, record);
  Graph& g = record.graph;
  const Value numbers = graphs::exponential(g, random.words({out->numel()}));
  write(record, out, g.division(numbers, record.scalar(lambda, DType::float32)));
  record.launch();
}

// -- whole numbers ---------------------------------------------------------------------------------------------------

// low <= number < low + range, where range has up to 32 bits.
Value whole_numbers(Random& random, Recorder& record, int64_t count, int64_t low, int64_t range, DType dtype) {
  Graph& g = record.graph;
  const bool is_small = range < graphs::kSmallRange;
  const Value words = is_small ? random.words({count}) : random.words({2, count});
  const Value limit = record.scalar(range, DType::int32);
  const Value number = is_small ? graphs::below_small_range(g, words, limit) : graphs::below_range(g, words, limit);
  if (dtype != DType::int64) {  // then all of them have 32 bits
    return g.cast(g.addition(number, record.scalar(low, DType::int32)), dtype);
  }
  const Value wide = g.bitwise_and(g.cast(number, dtype), g.constant(int64_t{0xFFFFFFFF}, dtype));
  return g.addition(wide, record.scalar(low, dtype));
}

// The same for a range that has more: the rest of a number of 63 bits. How much more likely one number is than another
// is at most range / 2^63.
Value wide_numbers(Random& random, Recorder& record, int64_t count, int64_t low, uint64_t range) {
  Graph& g = record.graph;
  const Value words = random.words({2, count});
  const auto part = [&](int64_t row, int64_t mask) {
    return g.bitwise_and(g.cast(graphs::row(g, words, row), DType::int64), g.constant(mask, DType::int64));
  };
  const Value high = g.multiplication(part(0, 0x7FFFFFFF), g.constant(int64_t{1} << 32, DType::int64));
  const Value number = g.addition(high, part(1, 0xFFFFFFFF));
  const int64_t most = std::numeric_limits<int64_t>::max();
  const int64_t divisor = range > static_cast<uint64_t>(most) ? most : static_cast<int64_t>(range);
  return g.addition(g.modulo(number, record.scalar(divisor, DType::int64)), record.scalar(low, DType::int64));
}

void check_range(int64_t low, int64_t high) {
  MPS_CHECK(low < high, kArgument, "bad range of whole numbers: expected low < high, got ", low, " and ", high, ".");
}

void randint(const CustomContext& ctx, int low, int high, const phi::IntArray& shape, phi::DataType, DenseTensor* out) {
  check_range(low, high);
  out->Resize(phi::make_ddim(shape.GetData()));
  Recorder record(ctx);
  Random random(ctx, record);
  write(record, out, whole_numbers(random, record, out->numel(), low, int64_t{high} - low, dtype_of(*out)));
  record.launch();
}

void random_inplace(const CustomContext& ctx, const DenseTensor&, int64_t low, int64_t high, DenseTensor* out) {
  check_range(low, high);
  const DType dtype = dtype_of(*out);
  const uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  Recorder record(ctx);
  Random random(ctx, record);
  const bool is_wide = range >> 32 != 0;
  MPS_CHECK(!is_wide || dtype == DType::int64, kArgument, "range too large for ", name(dtype),
            ": expected fewer than 2^32 numbers, got ", low, " to ", high, ".");
  write(record, out,
        is_wide ? wide_numbers(random, record, out->numel(), low, range)
                : whole_numbers(random, record, out->numel(), low, static_cast<int64_t>(range), dtype));
  record.launch();
}

// The order of random keys. Two of them are equal, and keep their order, once in 2^32: that no statistic can see.
void randperm(const CustomContext& ctx, int count, phi::DataType, DenseTensor* out) {
  MPS_CHECK(count >= 0, kArgument, "bad length of a permutation: expected 0 or more, got ", count,
            ". Ask for a length.");
  Recorder record(ctx);
  Random random(ctx, record);
  Graph& g = record.graph;
  record.output(out, g.cast(g.arg_sort(random.words({count}), 0, false, count), dtype_of(*out)));
  record.launch();
}

// Rows of x (all axes but the last are one) in any order: row i goes to place order[i]. The seed may come as a tensor,
// and the next one goes out; an empty one stands for startup_seed.
void shuffle_batch(const CustomContext& ctx, const DenseTensor& x, const DenseTensor& seed, int startup_seed,
                   DenseTensor* out, DenseTensor* order, DenseTensor* seed_out) {
  const Dims shape = dims_of(x);
  const int64_t width = shape.empty() ? 1 : shape[shape.size() - 1], rows = width == 0 ? 0 : x.numel() / width;
  const int64_t given = seed.numel() == 0 ? startup_seed : host_value(ctx, seed).to_int64();
  const uint64_t fixed = static_cast<uint64_t>(given);
  order->Resize(phi::make_ddim({rows}));
  seed_out->Resize(phi::make_ddim({1}));
  Recorder record(ctx);
  Graph& g = record.graph;
  const Value place = g.arg_sort(Random(ctx, record, &fixed).words({rows}), 0, false, rows);
  const Value nothing = graphs::zeros(g, dtype_of(x), {1, rows, width});
  record.output(out, g.scatter(ScatterMode::kSet, nothing, place, record.input(x, {1, rows, width})));
  record.output(ctx.Alloc(order, phi::DataType::INT64), g.cast(place, DType::int64));
  record.output(ctx.Alloc(seed_out, phi::DataType::INT64), g.broadcast(record.scalar(given + 1, DType::int64), {1}));
  record.launch();
}

void shuffle_batch_grad(const CustomContext& ctx, const DenseTensor& order, const DenseTensor& dout, int,
                        DenseTensor* dx) {
  if (dx == nullptr) return;
  const int64_t rows = order.numel(), width = rows == 0 ? 0 : dout.numel() / rows;
  Recorder record(ctx);
  record.output(dx, record.graph.gather(record.input(order), record.input(dout, {1, rows, width})));
  record.launch();
}

constexpr DTypes kShuffled = {phi::DataType::FLOAT32, phi::DataType::INT32, phi::DataType::INT64};
constexpr DTypes kInts = {phi::DataType::INT32, phi::DataType::INT64};

}  // namespace

MPS_KERNEL(uniform, phi::UniformKernel, uniform, kFloats)
MPS_KERNEL(uniform_inplace, phi::UniformInplaceKernel, uniform_inplace, kFloats)
MPS_KERNEL(uniform_inplace_grad, phi::UniformInplaceGradKernel, uniform_inplace_grad, kFloats)
MPS_KERNEL(gaussian, phi::GaussianKernel, gaussian, kFloats)
MPS_KERNEL(gaussian_inplace, phi::GaussianInplaceKernel, gaussian_inplace, kFloats)
MPS_KERNEL(gaussian_inplace_grad, phi::GaussianInplaceGradKernel, gaussian_inplace_grad, kFloats)
MPS_KERNEL(truncated_gaussian_random, phi::TruncatedGaussianRandomKernel, truncated_gaussian, kFloats)
MPS_KERNEL(exponential, phi::ExponentialKernel, exponential, kFloats)
MPS_KERNEL(randint, phi::RandintKernel, randint, kInts)
MPS_KERNEL(random, phi::RandomKernel, random_inplace, kFloatsAndInts)
MPS_KERNEL(random_grad, phi::RandomGradKernel, random_grad, kFloats)
MPS_KERNEL(uniform_random_batch_size_like, phi::CPUUniformRandomKernel, uniform_like, kFloats)
MPS_KERNEL(shuffle_batch, phi::ShuffleBatchKernel, shuffle_batch, kShuffled)
MPS_KERNEL_ROW(shuffle_batch_grad, shuffle_batch_grad, kFloat32, detail::define_nothing, 1)
MPS_KERNEL(randperm, phi::RandpermKernel, randperm, kFloatsAndInts)

}  // namespace mps::paddle
