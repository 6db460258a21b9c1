// class_center_sample: for a classifier of very many classes, those of the labels and some others by chance.
#include "kernels/graphs/chosen.h"
#include "kernels/graphs/lines.h"
#include "paddle/phi/kernels/class_center_sample_kernel.h"
#include "plugin/core/check.h"
#include "plugin/paddle/host_value.h"
#include "plugin/paddle/random.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

// For each class, whether a label names it.
Value named_classes(Recorder& record, const DenseTensor& label, int64_t classes) {
  Graph& g = record.graph;
  const Value none = graphs::zeros(g, DType::int32, {classes});
  if (label.numel() == 0) return g.not_equal(none, graphs::number(g, none, 0));
  const Value ones = g.constant(1, DType::int32, {label.numel()});
  const Value named = graphs::put_at(g, ScatterMode::kSet, none, record.input(label, {label.numel()}), ones);
  return g.not_equal(named, graphs::number(g, named, 0));
}

int64_t count_named(const CustomContext& ctx, const DenseTensor& label, int64_t classes) {
  const DType dtype = graphs::position_dtype(classes);
  DenseTensor count(std::shared_ptr<phi::Allocation>(), phi::DenseTensorMeta(to_phi(dtype), phi::make_ddim({1})));
  Recorder record(ctx);
  record.output(&count, graphs::count_chosen(record.graph, named_classes(record, label, classes)));
  record.launch();
  return host_value(ctx, count).to_int64();
}

// The classes of the labels in their order, then others in the order of random numbers, until there are num_samples
// (more, if the labels name more); and each label as the place of its class among them. How many they are is data: it
// waits for the device.
void class_center_sample(const CustomContext& ctx, const DenseTensor& label, int num_classes, int num_samples, int, int,
                         int nranks, bool fix_seed, int seed, DenseTensor* remapped_label, DenseTensor* sampled) {
  constexpr int32_t kBeyondClasses = 1 << 30;
  MPS_CHECK(nranks == 1, kUnsupported, "classes of several processes are not supported: expected 1 rank, got ", nranks,
            ". Use one device.");
  MPS_CHECK(num_samples <= num_classes && num_classes < kBeyondClasses, kArgument,
            "bad number of samples: expected at most num_classes, ", num_classes, ", got ", num_samples, ".");
  const int64_t count = std::max<int64_t>(num_samples, count_named(ctx, label, num_classes));
  sampled->Resize(phi::make_ddim({count}));
  Recorder record(ctx);
  Graph& g = record.graph;
  const uint64_t fixed = static_cast<uint64_t>(seed);
  const Value words = Random(ctx, record, fix_seed ? &fixed : nullptr).words({num_classes});
  const Value named = named_classes(record, label, num_classes);
  const Value chance = g.bitwise_or(g.bitwise_and(words, graphs::number(g, words, kBeyondClasses - 1)),
                                    graphs::number(g, words, kBeyondClasses));
  const Value order = g.select(named, g.coordinate({num_classes}, 0), chance);
  record.output(sampled, g.cast(g.arg_sort(order, 0, /*descending=*/false, count), dtype_of(label)));
  const Value place = g.scan(NodeKind::cumulative_sum, g.cast(named, DType::int32), 0, /*exclusive=*/true);
  const Shape labels(dims_of(label));
  const Value remapped =
      label.numel() == 0 ? graphs::zeros(g, DType::int32, labels) : graphs::take_at(g, place, record.input(label));
  record.output(remapped_label, g.cast(remapped, dtype_of(label)));
  record.launch();
}

constexpr DTypes kPositions = {phi::DataType::INT32, phi::DataType::INT64};

}  // namespace

MPS_KERNEL(class_center_sample, phi::ClassCenterSampleKernel, class_center_sample, kPositions)

}  // namespace mps::paddle
