#include "plugin/host/attention_tiles_host.h"

#include <algorithm>
#include <limits>

namespace mps {
namespace {

constexpr int64_t kRows = 96, kKeys = 384;  // of a tile: it and the keys fit into a second-level cache
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Tiles of one axis, about equal, of at most `most`.
TileAxis divided(int64_t total, int64_t most) {
  most = std::max<int64_t>(most, 1);
  const int64_t count = (total + most - 1) / most;
  return {total, (total + count - 1) / count};
}

size_t fixed_operands(const Graph& graph, Value value) {
  return graph.node(value).kind == NodeKind::attention_gradient ? kAttentionGradientOperands : kAttentionOperands;
}

AttentionSizes sizes_of(const Graph& graph, Value value) {
  const auto shape = [&](size_t i) { return graph.shape(graph.operand(graph.node(value), i)); };
  return AttentionSizes::of(shape(0), shape(1), shape(2));
}

}  // namespace

std::shared_ptr<const MatmulKernel> TileProduct::make(const MatmulGeometry& geometry) {
  if (auto kernel = make_onednn_matmul(DType::float32, geometry)) return kernel;
  return make_plain_matmul(DType::float32, geometry);
}

size_t TileProduct::bytes() const {
  size_t bytes = 0;
  for (const auto& row : kernels_) bytes += row[0]->bytes() + row[1]->bytes();
  return bytes;
}

AttentionTiles::AttentionTiles(const Graph& graph, Value value)
    : AttentionTiles(graph, value, fixed_operands(graph, value)) {}

AttentionTiles::AttentionTiles(const Graph& graph, Value value, size_t fixed)
    : what(Attention::of(graph.attributes(graph.node(value)))),
      sizes(sizes_of(graph, value)),
      queries(divided(sizes.queries, kRows / sizes.group())),
      keys(divided(sizes.keys, kKeys)),
      kernels(vector_kernels()),
      fixed_(fixed),
      qk_(queries, keys, sizes.group(), [&](int64_t rows, int64_t columns) {
        MatmulGeometry g;
        g.rows = rows, g.columns = columns, g.inner = sizes.width;
        g.x_row = sizes.width, g.x_inner = 1;
        g.y_inner = 1, g.y_column = k_stride();
        g.to_row = keys.each;
        return g;
      }) {
  const auto shape = [&](size_t i) { return graph.shape(graph.operand(graph.node(value), i)); };
  if (what.mask) {
    const Dims mask = shape(what.mask_at(fixed));
    if (mask[2] != 1) mask_query = mask[3];
    if (mask[1] != 1) mask_head = mask[2] * mask[3];
    if (mask[0] != 1) mask_batch = mask[1] * mask[2] * mask[3];
  }
  if (what.ranges && shape(what.ranges_at(fixed))[0] != 1) range_batch_ = 2 * sizes.queries;
}

const int32_t* AttentionTiles::range(Span<const void* const> inputs, int64_t b, int64_t i) const {
  return static_cast<const int32_t*>(inputs[what.ranges_at(fixed_)]) + b * range_batch_ + 2 * i;
}

int64_t AttentionTiles::mask_offset(int64_t b, int64_t h, int64_t i) const {
  return b * mask_batch + h * mask_head + i * mask_query;
}

AttentionTiles::Row AttentionTiles::row(Span<const void* const> inputs, int64_t index) const {
  Row row;
  row.tile = index % queries.count();
  row.key_head = index / queries.count() % sizes.key_heads;
  row.batch = index / queries.count() / sizes.key_heads;
  row.first = row.tile * queries.each;
  row.count = queries.size(row.tile);
  row.first_key = 0;
  row.last_key = keys.count();
  if (what.ranges) {
    int64_t first = sizes.keys, last = 0;
    for (int64_t i = row.first; i < row.first + row.count; ++i) {
      const int32_t* const sees = range(inputs, row.batch, i);
      if (sees[0] >= sees[1]) continue;
      first = std::min<int64_t>(first, std::max(sees[0], 0));
      last = std::max<int64_t>(last, sees[1]);
    }
    row.first_key = first / keys.each;
    row.last_key = (std::min(last, sizes.keys) + keys.each - 1) / keys.each;
  }
  return row;
}

void AttentionTiles::collect(const Row& row, const float* from, int64_t width, float factor, float* to) const {
  for (int64_t g = 0; g < sizes.group(); ++g) {
    for (int64_t i = 0; i < row.count; ++i) {
      const int64_t h = row.key_head * sizes.group() + g;
      const float* const source = from + ((row.batch * sizes.queries + row.first + i) * sizes.heads + h) * width;
      for (int64_t d = 0; d < width; ++d) to[d] = source[d] * factor;
      to += width;
    }
  }
}

void AttentionTiles::spread(const Row& row, const float* from, int64_t width, float* to) const {
  for (int64_t g = 0; g < sizes.group(); ++g) {
    for (int64_t i = 0; i < row.count; ++i) {
      const int64_t h = row.key_head * sizes.group() + g;
      std::copy(from, from + width, to + ((row.batch * sizes.queries + row.first + i) * sizes.heads + h) * width);
      from += width;
    }
  }
}

void AttentionTiles::scores(Span<const void* const> inputs, const Row& row, int64_t key_tile, const float* q,
                            float* to) const {
  qk_.of(queries.is_last(row.tile), keys.is_last(key_tile)).run(q, k(inputs[1], row, key_tile), to);
  if (what.mask) {
    const int64_t first = key_tile * keys.each, count = keys.size(key_tile);
    const float* const mask = static_cast<const float*>(inputs[what.mask_at(fixed_)]);
    const BlockFn add = kernels.pointwise[static_cast<int>(NodeKind::addition)][static_cast<int>(DType::float32)];
    for (int64_t r = 0; r < sizes.group() * row.count; ++r) {
      const int64_t h = row.key_head * sizes.group() + r / row.count, i = row.first + r % row.count;
      float* const line = to + r * keys.each;
      add(line, mask + mask_offset(row.batch, h, i) + first, nullptr, line, static_cast<size_t>(count));
    }
  }
  hide(inputs, row, key_tile, -kInfinity, to);
}

void AttentionTiles::hide(Span<const void* const> inputs, const Row& row, int64_t key_tile, float value,
                          float* to) const {
  if (!what.ranges) return;
  const int64_t first = key_tile * keys.each, count = keys.size(key_tile);
  for (int64_t r = 0; r < sizes.group() * row.count; ++r, to += keys.each) {
    const int32_t* const sees = range(inputs, row.batch, row.first + r % row.count);
    const int64_t begin = std::clamp<int64_t>(sees[0] - first, 0, count);
    const int64_t end = std::clamp<int64_t>(sees[1] - first, begin, count);
    std::fill(to, to + begin, value);
    std::fill(to + end, to + count, value);
  }
}

void AttentionTiles::drop(Span<const void* const> inputs, const Row& row, int64_t key_tile, float* weights,
                          float* spare) const {
  const auto word = [&](size_t i) { return *static_cast<const uint32_t*>(inputs[what.counter_at(fixed_) + i]); };
  const RandomCounter counter = {{word(0), word(1)}, {word(2), word(3), word(4), word(5)}};
  const float factor = 1 / (1 - what.dropout);
  uint32_t* const words = reinterpret_cast<uint32_t*>(spare);
  const int64_t first = key_tile * keys.each, count = keys.size(key_tile);
  for (int64_t r = 0; r < sizes.group() * row.count; ++r, weights += keys.each) {
    const int64_t h = row.key_head * sizes.group() + r / row.count, i = row.first + r % row.count;
    const uint64_t index =
        static_cast<uint64_t>(((row.batch * sizes.heads + h) * sizes.queries + i) * sizes.keys + first);
    const uint64_t block = index / 4, end = (index + static_cast<uint64_t>(count) + 3) / 4;
    kernels.random_bits(counter, block, words, static_cast<size_t>(end - block));
    const uint32_t* const own = words + index % 4;
    for (int64_t j = 0; j < count; ++j) {
      const float unit = static_cast<float>(static_cast<int32_t>(own[j] >> 8)) * 0x1p-24f;
      weights[j] = unit >= what.dropout ? weights[j] * factor : 0.0f;
    }
  }
}

uint64_t AttentionTiles::products() const {
  return static_cast<uint64_t>(sizes.rows() * sizes.keys) * static_cast<uint64_t>(sizes.width + sizes.value_width);
}

}  // namespace mps
