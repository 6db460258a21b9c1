#include "plugin/host/split_product_host.h"

#include <algorithm>
#include <atomic>
#include <new>

#include "plugin/core/check.h"
#include "plugin/host/scratch_host.h"

namespace mps {
namespace {

constexpr TilePieces kPieces = tile_pieces(DType::float32);
// Inner elements that are multiplied at a time.
constexpr int64_t kInner = 512;
// Bytes of y that a thread multiplies with at a time: they stay in its second-level cache.
constexpr int64_t kCachedBytes = 896 << 10;
// Lines of a side that are split at a time.
constexpr int64_t kLinesAtATime = 4096;
// Rows that a thread splits by itself rather than wait for the others.
constexpr int64_t kFewRows = 64;
// Tasks per thread, so that a thread that is interrupted holds up the others little.
constexpr int64_t kTasksPerThread = 4;
// Numbers that are worth another thread to split.
constexpr int64_t kSplitNumbers = 16 << 10;
// Rough times in ns: of a product of two numbers as vectors make it, with a y of its own or a shared one, and in tiles;
// of splitting a number of x and of y, or of either where the pieces do not stay in the caches, or of a y whose rows
// lie whole pages apart; of what else there is to do for a matrix, and of waking the threads for it.
constexpr double kVectorNs = 0.0076, kVectorSharedNs = 0.0085, kTileNs = 0.0037;
constexpr double kSplitXNs = 0.25, kSplitYNs = 0.2, kSplitFarNs = 0.33, kSplitPagesNs = 0.3;
constexpr double kMatrixNs = 1500, kWakeNs = 12000;
constexpr int64_t kPage = 4096 / sizeof(float);
// Operations that make it worth while to wake a thread.
constexpr int64_t kFlopsToWake = int64_t{16} << 20;

constexpr int64_t divide_up(int64_t x, int64_t y) { return (x + y - 1) / y; }
constexpr int64_t round_up(int64_t x, int64_t y) { return divide_up(x, y) * y; }

SplitSide side(bool is_x, int64_t batch, int64_t count, int64_t inner, int64_t batch_stride, int64_t line_stride,
               int64_t inner_stride) {
  const bool along = inner_stride == 1;
  return {is_x,
          batch_stride == 0 ? 1 : batch,
          count,
          inner,
          batch_stride,
          along ? line_stride : inner_stride,
          along ? TileLines::kAlong : TileLines::kAcross};
}

// The strips of one block of inner elements, as they are kept: the exponents of all, then the pieces.
struct Strips {
  char* data;
  int64_t count, inner;

  static size_t bytes(int64_t count, int64_t inner) {
    return static_cast<size_t>(count) *
           (kTileStrip * sizeof(float) + static_cast<size_t>(strip_elements(inner, kPieces.x)) * sizeof(uint16_t));
  }
  float* exponents(int64_t strip) const { return reinterpret_cast<float*>(data) + strip * kTileStrip; }
  uint16_t* pieces(int64_t strip) const {
    return reinterpret_cast<uint16_t*>(exponents(count)) + strip * strip_elements(inner, kPieces.x);
  }
};

// Up to kTileStrip lines, a block of inner elements of each.
struct StripOfLines {
  const float* from;
  int64_t count, inner;
};

StripOfLines strip_at(const SplitSide& side, const float* from, int64_t batch, int64_t line, int64_t end, int64_t k) {
  const int64_t at = side.lines == TileLines::kAlong ? line * side.stride + k : line + k * side.stride;
  return {from + batch * side.batch_stride + at, std::min(kTileStrip, end - line), std::min(kInner, side.inner - k)};
}

bool split(const SplitSide& side, const StripOfLines& lines, const Strips& to, int64_t strip) {
  const TileKernels& kernels = *tile_kernels();
  float* const exponents = to.exponents(strip);
  if (!kernels.find_exponents(lines.from, side.lines, side.stride, lines.count, lines.inner, exponents)) return false;
  const auto pack = side.is_x ? kernels.pack_rows : kernels.pack_columns;
  pack(lines.from, side.lines, side.stride, lines.count, lines.inner, side.is_x ? kPieces.x : kPieces.w, exponents,
       to.pieces(strip));
  return true;
}

// The memory that they take.
TileAhead memory_of(const SplitSide& side, const StripOfLines& lines) {
  const bool along = side.lines == TileLines::kAlong;
  const int64_t bytes = (along ? lines.inner : lines.count) * static_cast<int64_t>(sizeof(float));
  return {lines.from, along ? lines.count : lines.inner, divide_up(bytes, 64),
          side.stride * static_cast<int64_t>(sizeof(float))};
}

// A thread's own room for the rows that it is about to multiply: it stays in its caches.
char* room_of_thread() {
  struct AlignedDelete {
    void operator()(char* data) const { ::operator delete(data, std::align_val_t{64}); }
  };
  thread_local std::unique_ptr<char, AlignedDelete> room;
  const size_t bytes = Strips::bytes(kFewRows / kTileStrip, kInner);
  if (room == nullptr) room.reset(static_cast<char*>(::operator new(bytes, std::align_val_t{64})));
  return room.get();
}

// What a packed y begins with.
struct alignas(64) Packed {
  bool finite;
};

// The blocks of a packed y, one after the other.
Strips packed_block(const SplitSide& y, const char* packed, int64_t k) {
  const int64_t strips = y.batch * divide_up(y.count, kTileStrip);
  char* const blocks = const_cast<char*>(packed) + sizeof(Packed);
  return {blocks + static_cast<size_t>(k / kInner) * Strips::bytes(strips, kInner), strips,
          std::min(kInner, y.inner - k)};
}

// True if lines that follow each other push each other out of the first caches.
bool lies_pages_apart(const SplitSide& side) { return side.stride % kPage == 0; }

int64_t split_grain(int64_t inner) { return std::max<int64_t>(1, kSplitNumbers / (kTileStrip * inner)); }

}  // namespace

// What is split at a time.
struct SplitProduct::Part {
  int64_t batch, batches, row, rows, column, columns;
};

SplitProduct::SplitProduct(const MatmulGeometry& g, bool shares_y)
    : g_(g),
      shares_y_(shares_y),
      x_(side(true, g.batch, g.rows, g.inner, g.x_batch, g.x_row, g.x_inner)),
      y_(side(false, g.batch, g.columns, g.inner, g.y_batch, g.y_column, g.y_inner)),
      helpers_(2 * g.batch * g.rows * g.columns * g.inner < kFlopsToWake ? Helpers::kAwake : Helpers::kAll) {}

std::shared_ptr<const SplitProduct> SplitProduct::make(const MatmulGeometry& g, bool shares_y) {
  if (tile_kernels() == nullptr || g.inner < kTileStep || g.columns < kTileStrip) return nullptr;
  if ((g.x_inner != 1 && g.x_row != 1) || (g.y_inner != 1 && g.y_column != 1)) return nullptr;
  if (shares_y && (g.rows > kFewRows || (g.batch != 1 && g.x_batch != 0))) return nullptr;
  return std::shared_ptr<const SplitProduct>(new SplitProduct(g, shares_y));
}

bool SplitProduct::pays() const {
  const double products = static_cast<double>(g_.batch * g_.inner) * static_cast<double>(g_.rows * g_.columns);
  const double vector_ns = shares_y_ ? kVectorSharedNs : kVectorNs, wake_ns = shares_y_ ? 0 : kWakeNs;
  return static_cast<double>(cost_ns()) + wake_ns < 0.9 * vector_ns * products;
}

uint64_t SplitProduct::cost_ns() const {
  const int64_t inner = round_up(g_.inner, kTileStep), rows = round_up(g_.rows, kTileStrip / 2);
  const auto numbers = [&](const SplitSide& side) { return static_cast<double>(side.batch * side.count * inner); };
  const double products = static_cast<double>(g_.batch * inner * rows * round_up(g_.columns, kTileStrip));
  // Rows of x, and y block by block, are multiplied while the pieces are in the caches, if those of a block of y are.
  const int64_t strips = divide_up(g_.columns, kTileStrip);
  const bool near = strips * static_cast<int64_t>(Strips::bytes(1, std::min(kInner, g_.inner))) <= kCachedBytes;
  const double y_each = lies_pages_apart(y_) ? kSplitPagesNs : near ? kSplitYNs : kSplitFarNs;
  const double y = shares_y_ ? 0 : numbers(y_) * y_each;
  return static_cast<uint64_t>(kTileNs * products + numbers(x_) * (near ? kSplitXNs : kSplitFarNs) + y +
                               kMatrixNs * static_cast<double>(shares_y_ ? 1 : g_.batch));
}

size_t SplitProduct::packed_bytes() const {
  size_t bytes = sizeof(Packed);
  for (int64_t k = 0; k < y_.inner; k += kInner) {
    bytes += Strips::bytes(y_.batch * divide_up(y_.count, kTileStrip), std::min(kInner, y_.inner - k));
  }
  return bytes;
}

void SplitProduct::pack_y(const float* y, char* to) const {
  const int64_t strips = divide_up(y_.count, kTileStrip);
  std::atomic<bool> finite{true};
  for (int64_t k = 0; k < y_.inner; k += kInner) {
    const Strips block = packed_block(y_, to, k);
    parallel_for(block.count, split_grain(block.inner), [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const StripOfLines lines = strip_at(y_, y, i / strips, i % strips * kTileStrip, y_.count, k);
        if (!split(y_, lines, block, i)) finite = false;
      }
    });
  }
  reinterpret_cast<Packed*>(to)->finite = finite;
}

bool SplitProduct::run(const float* x, const float* y, const char* packed_y, float* to) const {
  if (shares_y_) return reinterpret_cast<const Packed*>(packed_y)->finite && run_few_rows(x, packed_y, to);
  // Matrices that share a side go together, which is split once for all of them; but those of y stay in the caches.
  const int64_t x_lines = std::min(g_.rows, kLinesAtATime), y_lines = std::min(g_.columns, kLinesAtATime);
  const int64_t shared = (x_.batch == 1 ? x_lines : 0) + (y_.batch == 1 ? y_lines : 0);
  const int64_t own = std::max<int64_t>(1, x_lines + y_lines - shared);
  const int64_t y_bytes =
      divide_up(y_lines, kTileStrip) * static_cast<int64_t>(Strips::bytes(1, std::min(kInner, g_.inner)));
  const int64_t near = x_.batch == 1 && y_.batch > 1 ? std::max<int64_t>(1, kCachedBytes / y_bytes) : g_.batch;
  const int64_t batches = std::clamp<int64_t>(std::min(near, (kLinesAtATime - shared) / own), 1, g_.batch);
  for (int64_t batch = 0; batch < g_.batch; batch += batches) {
    for (int64_t row = 0; row < g_.rows; row += kLinesAtATime) {
      for (int64_t column = 0; column < g_.columns; column += kLinesAtATime) {
        const Part part = {batch,  std::min(batches, g_.batch - batch),
                           row,    std::min(kLinesAtATime, g_.rows - row),
                           column, std::min(kLinesAtATime, g_.columns - column)};
        if (!run_part(part, x, y, to)) return false;
      }
    }
  }
  return true;
}

// One block of inner elements after the other: all threads split y, then they multiply with it. If it stays in their
// caches, each splits the rows of x that it is about to multiply; else x is split beforehand as well.
bool SplitProduct::run_part(const Part& part, const float* x, const float* y, float* to) const {
  const int64_t x_each = divide_up(part.rows, kTileStrip), y_each = divide_up(part.columns, kTileStrip);
  const int64_t x_strips = (x_.batch == 1 ? 1 : part.batches) * x_each;
  const int64_t y_strips = (y_.batch == 1 ? 1 : part.batches) * y_each;
  const int64_t most = std::min(kInner, g_.inner);
  const int64_t strip_bytes = static_cast<int64_t>(Strips::bytes(1, most));
  const int64_t meet = x_.batch == 1 ? y_strips : y_each;  // strips of y that meet one of x
  const bool x_later = meet * strip_bytes <= kCachedBytes;
  const Scratch::Lease y_room = shared_scratch().take(Strips::bytes(y_strips, most));
  const Scratch::Lease x_room = shared_scratch().take(x_later ? 1 : Strips::bytes(x_strips, most));
  const int64_t wanted = kTasksPerThread * thread_count();
  std::atomic<bool> finite{true};
  for (int64_t k = 0; k < g_.inner && finite; k += kInner) {
    const int64_t inner = std::min(kInner, g_.inner - k);
    const Strips xs = {x_room.data(), x_strips, inner}, ys = {y_room.data(), y_strips, inner};
    const auto x_strip_at = [&](int64_t strip) {
      const int64_t line = part.row + strip % x_each * kTileStrip;
      return strip_at(x_, x, x_.batch == 1 ? 0 : part.batch + strip / x_each, line, part.row + part.rows, k);
    };
    const auto y_strip_at = [&](int64_t strip) {
      const int64_t line = part.column + strip % y_each * kTileStrip;
      return strip_at(y_, y, y_.batch == 1 ? 0 : part.batch + strip / y_each, line, part.column + part.columns, k);
    };
    // Rows and columns of the part that begin and end with strips.
    const auto multiply = [&](const Strips& strips, int64_t x_strip, int64_t batch, int64_t row, int64_t rows,
                              int64_t column, int64_t columns, const TileAhead& ahead) {
      const int64_t y_strip = (y_.batch == 1 ? 0 : batch * y_each) + column / kTileStrip;
      float* const at = to + (part.batch + batch) * g_.to_batch + (part.row + row) * g_.to_row + part.column + column;
      tile_kernels()->multiply(strips.pieces(x_strip), strips.exponents(x_strip), std::min(rows, part.rows - row),
                               ys.pieces(y_strip), ys.exponents(y_strip), std::min(columns, part.columns - column),
                               inner, kPieces, k > 0, at, g_.to_row, ahead);
    };
    const auto split_range = [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const bool split_all =
            i < y_strips ? split(y_, y_strip_at(i), ys, i) : split(x_, x_strip_at(i - y_strips), xs, i - y_strips);
        if (!split_all) finite = false;
      }
    };
    parallel_for(y_strips + (x_later ? 0 : x_strips), split_grain(inner), split_range, helpers_);
    if (!finite) return false;
    if (x_later) {
      const auto multiply_strips = [&](int64_t first, int64_t last) {
        const Strips one = {room_of_thread(), 1, inner};
        for (int64_t i = first; i < last; ++i) {
          if (!split(x_, x_strip_at(i), one, 0)) finite = false;
          const int64_t begin = x_.batch == 1 ? 0 : i / x_each, end = x_.batch == 1 ? part.batches : begin + 1;
          for (int64_t batch = begin; batch < end; ++batch) {
            const bool is_last = batch + 1 == end && i + 1 < last;
            multiply(one, 0, batch, i % x_each * kTileStrip, kTileStrip, 0, part.columns,
                     is_last ? memory_of(x_, x_strip_at(i + 1)) : TileAhead{});
          }
        }
      };
      parallel_for(x_strips, divide_up(x_strips, wanted), multiply_strips, helpers_);
    } else {
      // Tasks by columns, and by rows where that leaves too few.
      const int64_t column_tasks = divide_up(part.columns, kCachedBytes / strip_bytes * kTileStrip);
      const int64_t columns = round_up(divide_up(part.columns, column_tasks), kTileStrip);
      const int64_t row_tasks = std::min(x_each, divide_up(wanted, part.batches * column_tasks));
      const int64_t rows = divide_up(x_each, row_tasks) * kTileStrip, tasks_of_column = divide_up(part.rows, rows);
      const auto multiply_tasks = [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) {
          const int64_t batch = i / (column_tasks * tasks_of_column), row = i % tasks_of_column * rows;
          const int64_t x_strip = (x_.batch == 1 ? 0 : batch * x_each) + row / kTileStrip;
          multiply(xs, x_strip, batch, row, rows, i / tasks_of_column % column_tasks * columns, columns, {});
        }
      };
      parallel_for(part.batches * column_tasks * tasks_of_column, 1, multiply_tasks, helpers_);
    }
  }
  return finite;
}

// Rows [begin, end) of x with strips [first, last) of y, counted over all matrices.
bool SplitProduct::multiply_rows(const float* x, const char* packed_y, float* to, int64_t begin, int64_t end,
                                 int64_t first, int64_t last) const {
  const int64_t each = divide_up(g_.columns, kTileStrip);
  for (int64_t k = 0; k < g_.inner; k += kInner) {
    const int64_t inner = std::min(kInner, g_.inner - k), x_strips = divide_up(end - begin, kTileStrip);
    const Strips xs = {room_of_thread(), x_strips, inner}, ys = packed_block(y_, packed_y, k);
    for (int64_t i = 0; i < x_strips; ++i) {
      if (!split(x_, strip_at(x_, x, 0, begin + i * kTileStrip, end, k), xs, i)) return false;
    }
    for (int64_t strip = first; strip < last;) {
      const int64_t batch = strip / each, column = strip % each * kTileStrip, next = std::min(last, (batch + 1) * each);
      const int64_t columns = std::min((next - strip) * kTileStrip, g_.columns - column);
      const int64_t y_strip = y_.batch == 1 ? strip % each : strip;
      tile_kernels()->multiply(xs.pieces(0), xs.exponents(0), end - begin, ys.pieces(y_strip), ys.exponents(y_strip),
                               columns, inner, kPieces, k > 0, to + batch * g_.to_batch + begin * g_.to_row + column,
                               g_.to_row, {});
      strip = next;
    }
  }
  return true;
}

bool SplitProduct::run_rows(const float* x, const char* packed_y, float* to, int64_t begin, int64_t end) const {
  const int64_t strips = g_.batch * divide_up(g_.columns, kTileStrip);
  return reinterpret_cast<const Packed*>(packed_y)->finite && multiply_rows(x, packed_y, to, begin, end, 0, strips);
}

// Each thread splits the rows that it multiplies: in a chain of products, those that it made. If there are more threads
// than halves of strips, several multiply the same rows with some columns each.
bool SplitProduct::run_few_rows(const float* x, const char* packed_y, float* to) const {
  const int64_t threads = thread_count(), strips = g_.batch * divide_up(g_.columns, kTileStrip);
  const int64_t row_tasks = std::min(threads, divide_up(g_.rows, kTileStrip / 2));
  const int64_t rows = round_up(divide_up(g_.rows, row_tasks), kTileStrip / 2), row_ends = divide_up(g_.rows, rows);
  const int64_t column_tasks = std::min(strips, divide_up(threads, row_ends));
  std::atomic<bool> finite{true};
  const auto multiply_tasks = [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t row = i / column_tasks * rows, part = i % column_tasks;
      if (!multiply_rows(x, packed_y, to, row, std::min(row + rows, g_.rows), strips * part / column_tasks,
                         strips * (part + 1) / column_tasks)) {
        finite = false;
      }
    }
  };
  parallel_for(row_ends * column_tasks, 1, multiply_tasks, helpers_);
  return finite;
}

}  // namespace mps
