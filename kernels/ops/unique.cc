// What is there once, and where: unique and unique_consecutive. The host waits to learn how many different rows there
// are.
#include "kernels/graphs/ranks.h"
#include "paddle/phi/kernels/unique_consecutive_kernel.h"
#include "paddle/phi/kernels/unique_kernel.h"
#include "plugin/paddle/host_value.h"
#include "plugin/paddle/recorder.h"
#include "plugin/paddle/register.h"

namespace mps::paddle {
namespace {

using phi::CustomContext;
using phi::DenseTensor;

// What is compared: all elements, or what lies along an axis.
struct Rows {
  Shape shape;  // of the data, with the axis first
  Ints order;   // its axes, the one that is asked about first
  Shape flat;   // [rows, elements of each]
};

Rows rows_of(const DenseTensor& x, const std::vector<int>& axis) {
  if (axis.empty()) return {{x.numel()}, {}, {x.numel(), 1}};
  const Dims shape = dims_of(x);
  const int64_t along = normalize_axis(axis[0], shape.size());
  Rows rows;
  rows.order.push_back(along);
  for (size_t i = 0; i < shape.size(); ++i) {
    if (static_cast<int64_t>(i) != along) rows.order.push_back(static_cast<int64_t>(i));
  }
  for (int64_t i : rows.order) rows.shape.push_back(shape[static_cast<size_t>(i)]);
  rows.flat = {rows.shape[0], graphs::product_of(rows.shape, 1, rows.shape.size())};
  return rows;
}

Value recorded(Recorder& record, const DenseTensor& x, const Rows& rows) {
  Graph& g = record.graph;
  const Value all = rows.order.empty() ? record.input(x) : g.transpose(record.input(x), rows.order);
  return g.reshape(all, rows.flat);
}

struct Results {
  DenseTensor *out, *first, *inverse, *counts;  // null if not wanted
};

// Paddle leaves both to the kernel.
void set_shape_and_dtype(DenseTensor* tensor, Dims shape, phi::DataType dtype) {
  tensor->Resize(phi::make_ddim(std::vector<int64_t>(shape.begin(), shape.end())));
  phi::DenseTensorMeta meta = tensor->meta();
  meta.dtype = dtype;
  tensor->set_meta(meta);
}

// `ranks_of` says of each row which of the different ones it is.
void write_unique(const CustomContext& ctx, const DenseTensor& x, const std::vector<int>& axis, phi::DataType dtype,
                  const Results& results, Value (*ranks_of)(Graph&, Value)) {
  const Rows rows = rows_of(x, axis);
  const int64_t length = rows.flat[0];
  DenseTensor ranks(std::shared_ptr<phi::Allocation>(),
                    phi::DenseTensorMeta(phi::DataType::INT32, phi::make_ddim({length})));
  int64_t count = length;
  if (x.numel() != 0) {
    DenseTensor last(std::shared_ptr<phi::Allocation>(),
                     phi::DenseTensorMeta(phi::DataType::INT32, phi::make_ddim({1})));
    Recorder record(ctx);
    Graph& g = record.graph;
    const Value found = ranks_of(g, recorded(record, x, rows));
    record.output(&ranks, found);
    record.output(&last, g.reduction(NodeKind::reduction_maximum, found, {0}));
    record.launch();
    count = host_value(ctx, last).to_int64() + 1;
  } else if (length != 0) {
    count = 1;  // rows without elements are equal
  }
  Shape shape = rows.shape;
  if (!shape.empty()) shape[0] = count;
  Shape in_place = shape;
  for (size_t i = 0; i < rows.order.size(); ++i) in_place[static_cast<size_t>(rows.order[i])] = shape[i];
  set_shape_and_dtype(results.out, in_place, x.dtype());
  for (DenseTensor* tensor : {results.first, results.counts}) {
    if (tensor != nullptr) set_shape_and_dtype(tensor, {count}, dtype);
  }
  if (results.inverse != nullptr) set_shape_and_dtype(results.inverse, {length}, dtype);

  Recorder record(ctx);
  Graph& g = record.graph;
  const Value rank = x.numel() != 0 ? record.input(ranks) : graphs::zeros(g, DType::int32, {length});
  const auto per_value = [&](ScatterMode mode, int64_t begin, Value updates) {
    const Value begun = g.constant(begin, DType::int32, {1, count, 1});
    return g.reshape(g.scatter(mode, begun, rank, g.reshape(updates, {1, length, 1})), {count});
  };
  const Value first = per_value(ScatterMode::kMinimum, length, g.coordinate({length}, 0));
  if (x.numel() != 0) {
    const Value chosen = g.reshape(graphs::take(g, recorded(record, x, rows), 0, first), shape);
    Ints back;
    back.resize(rows.order.size());
    for (size_t i = 0; i < rows.order.size(); ++i) back[static_cast<size_t>(rows.order[i])] = static_cast<int64_t>(i);
    record.output(results.out, back.empty() ? chosen : g.transpose(chosen, back));
  } else {
    record.output(results.out, graphs::zeros(g, dtype_of(*results.out), in_place));
  }
  const auto output = [&](DenseTensor* tensor, Value value) {
    if (tensor != nullptr) record.output(tensor, g.cast(value, dtype_of(*tensor)));
  };
  output(results.first, first);
  output(results.inverse, rank);
  output(results.counts, per_value(ScatterMode::kAdd, 0, g.constant(1, DType::int32, {length})));
  record.launch();
}

void unique(const CustomContext& ctx, const DenseTensor& x, bool return_index, bool return_inverse, bool return_counts,
            const std::vector<int>& axis, phi::DataType dtype, DenseTensor* out, DenseTensor* first,
            DenseTensor* inverse, DenseTensor* counts) {
  write_unique(
      ctx, x, axis, dtype,
      {out, return_index ? first : nullptr, return_inverse ? inverse : nullptr, return_counts ? counts : nullptr},
      graphs::row_ranks);
}

void unique_consecutive(const CustomContext& ctx, const DenseTensor& x, bool return_inverse, bool return_counts,
                        const std::vector<int>& axis, phi::DataType dtype, DenseTensor* out, DenseTensor* inverse,
                        DenseTensor* counts) {
  write_unique(ctx, x, axis, dtype,
               {out, nullptr, return_inverse ? inverse : nullptr, return_counts ? counts : nullptr}, graphs::run_ranks);
}

void define_unique(const phi::KernelKey&, phi::Kernel* kernel) {
  for (size_t i = 1; i < 4; ++i) kernel->OutputAt(i).SetDataType(phi::DataType::UNDEFINED);
}
void define_consecutive(const phi::KernelKey&, phi::Kernel* kernel) {
  for (size_t i = 1; i < 3; ++i) kernel->OutputAt(i).SetDataType(phi::DataType::UNDEFINED);
}

}  // namespace

MPS_KERNEL_WITH_DEFINE(unique, phi::UniqueKernel, unique, kFloatsAndInts, define_unique)
MPS_KERNEL_WITH_DEFINE(unique_consecutive, phi::UniqueConsecutiveKernel, unique_consecutive, kFloatsAndInts,
                       define_consecutive)

}  // namespace mps::paddle
