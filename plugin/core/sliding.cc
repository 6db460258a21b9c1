#include "plugin/core/sliding.h"

#include <algorithm>

namespace mps {
namespace {

constexpr int64_t kChannelsLast = 1, kCountsPadding = 2, kAdaptive = 4;
constexpr size_t kHead = 2, kLists = 5;

}  // namespace

Ints Sliding::attributes() const {
  Ints all{(channels_last ? kChannelsLast : 0) | (counts_padding ? kCountsPadding : 0) | (adaptive ? kAdaptive : 0),
           groups};
  for (const Numbers* list : {&size, &strides, &dilations, &before, &padding}) all.append(list->data(), list->size());
  return all;
}

Sliding Sliding::of(Dims attributes) {
  Sliding sliding;
  sliding.channels_last = (attributes[0] & kChannelsLast) != 0;
  sliding.counts_padding = (attributes[0] & kCountsPadding) != 0;
  sliding.adaptive = (attributes[0] & kAdaptive) != 0;
  sliding.groups = attributes[1];
  const size_t axes = (attributes.size() - kHead) / kLists;
  const int64_t* from = attributes.data() + kHead;
  for (Numbers* list : {&sliding.size, &sliding.strides, &sliding.dilations, &sliding.before, &sliding.padding}) {
    list->append(from, axes);
    from += axes;
  }
  return sliding;
}

Sliding::Range Sliding::range(size_t i, int64_t position, int64_t positions, int64_t length) const {
  if (adaptive) {
    const int64_t start = position * length / positions, end = ((position + 1) * length + positions - 1) / positions;
    return {start, end, end - start};
  }
  const int64_t start = position * strides[i] - before[i];
  const int64_t padded_end = std::min(start + reach(i), length + padding[i]);
  const Range inside{std::max<int64_t>(start, 0), std::min(start + reach(i), length), 0};
  return {inside.start, inside.end,
          std::max<int64_t>(counts_padding ? padded_end - start : inside.end - inside.start, 0)};
}

}  // namespace mps
