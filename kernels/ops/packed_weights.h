// What the kernels of quantised weights ask of their arguments.
#pragma once

#include <algorithm>
#include <string>

#include "kernels/graphs/packed_weight.h"
#include "kernels/ops/elementwise.h"
#include "plugin/core/check.h"

namespace mps::paddle {
namespace {

using OptionalTensor = ::paddle::optional<DenseTensor>;
using graphs::PackedWeight;
using graphs::WeightOrder;

// Paddle passes a CUDA architecture, or 0 where it is built without CUDA: there the order is that of 75 to 100.
inline WeightOrder order_of(int32_t arch) {
  constexpr int32_t kVolta = 70;
  MPS_CHECK(arch == 0 || (arch >= kVolta && arch <= 100), kArgument,
            "bad arch: expected 0, or a CUDA architecture from 70 to 100, got ", arch, ".");
  return arch == kVolta ? WeightOrder::kPermuted : WeightOrder::kTurned;
}

inline PackedWeight packed_weight(WeightOrder order, int bits, int64_t rows, int64_t columns) {
  if (order == WeightOrder::kTurned) {
    MPS_CHECK(rows % 64 == 0 && columns % 4 == 0, kArgument, "bad shape of a weight: expected rows in multiples of 64 ",
              "and columns in multiples of 4, got ", rows, " and ", columns, ". Pad the weight with zeros.");
  }
  MPS_CHECK(order != WeightOrder::kPermuted || columns % 8 == 0, kArgument,
            "bad shape of a weight: expected columns in multiples of 8, got ", columns, ".");
  return {order, bits, rows, columns};
}

inline PackedWeight packed_weight(const DenseTensor& weight, WeightOrder order, int bits) {
  const Dims shape = dims_of(weight);
  MPS_CHECK(shape.size() == 2 && weight.dtype() == phi::DataType::INT8, kArgument,
            "bad weight: expected int8 in two dimensions, as weight_quantize gives it, got ", shape.size(),
            " dimensions of another type or another number of them.");
  return packed_weight(order, bits, shape[1], bits == 8 ? shape[0] : 2 * shape[0]);
}

// Rows that share a scale.
inline int64_t group_rows(int32_t group_size, int64_t rows) {
  MPS_CHECK(group_size == -1 || group_size == 64 || group_size == 128, kArgument,
            "bad group_size: expected -1, 64 or 128, got ", group_size, ".");
  MPS_CHECK(group_size == -1 || rows % 64 == 0, kArgument, "bad shape of a weight: expected rows in multiples of 64, ",
            "got ", rows, ".");
  return group_size == -1 ? rows : group_size;
}

// float32 [groups, columns]; the last group may be cut short.
inline Value scales_of(Recorder& record, const DenseTensor& scale, const PackedWeight& weight, int32_t group_size) {
  const int64_t each = group_rows(group_size, weight.rows), groups = (weight.rows + each - 1) / each;
  MPS_CHECK(scale.numel() == groups * weight.columns, kArgument, "bad scale of a weight: expected ",
            groups * weight.columns, " numbers, one per column and group of rows, got ", scale.numel(), ".");
  Graph& g = record.graph;
  const Value all = g.cast(record.input(scale, {groups, weight.columns}), DType::float32);
  if (groups == 1 || weight.rows % each == 0) return all;
  // 64 rows are left over: half a group is what all of them can be cut into.
  const Value twice = g.broadcast(g.reshape(all, {groups, 1, weight.columns}), {groups, 2, weight.columns});
  return graphs::slice_axis(g, g.reshape(twice, {2 * groups, weight.columns}), 0, 0, weight.rows / 64);
}

// Columns that are unpacked at a time: a whole weight in float32 would take four or eight times its memory.
inline int64_t block_columns(const PackedWeight& weight) {
  constexpr int64_t kElements = 1 << 20;
  return std::clamp<int64_t>(kElements / std::max<int64_t>(weight.rows, 1) / 64 * 64, 64, 4096);
}

// Calls work(first, count) for blocks of columns.
template <typename F>
void each_block(const PackedWeight& weight, F work) {
  const int64_t width = block_columns(weight);
  for (int64_t first = 0; first < weight.columns; first += width) {
    work(first, std::min(width, weight.columns - first));
  }
}

}  // namespace
}  // namespace mps::paddle
