#include "kernels/ops/counted_rows.h"

#include "plugin/paddle/host_value.h"
#include "plugin/paddle/recorder.h"

namespace mps::paddle {

void give_rows(const phi::CustomContext& ctx, const phi::DenseTensor& rows, int64_t begin, int64_t count,
               phi::DenseTensor* out) {
  if (out == nullptr) return;
  phi::DDim shape = rows.dims();
  shape[0] = count;
  out->Resize(shape);
  void* const to = ctx.Alloc(out, rows.dtype());
  if (out->numel() == 0) return;
  const size_t row = static_cast<size_t>(out->numel() / count) * phi::SizeOf(rows.dtype());
  Recorder(ctx).copy(to, static_cast<const char*>(rows.data()) + static_cast<size_t>(begin) * row,
                     static_cast<size_t>(count) * row);
}

int64_t sum_of(const phi::CustomContext& ctx, const phi::DenseTensor& counts) {
  int64_t sum = 0;
  if (counts.numel() == 0) return sum;
  for (const Scalar& count : host_values(ctx, counts)) sum += count.to_int64();
  return sum;
}

}  // namespace mps::paddle
