// Quantising and dequantising by blocks, in pieces that several threads take.
#include "plugin/host/quantized_host.h"

#include <algorithm>
#include <optional>

#include "plugin/host/threads.h"
#include "plugin/host/vector_kernels.h"

namespace mps {
namespace {

// Elements that are handled at a time: as floats, they fit into the first-level cache.
constexpr int64_t kPiece = 4096;

// Pieces of whole blocks, or of one block, that begin with a whole byte.
class Pieces {
 public:
  Pieces(int64_t elements, int64_t blocksize) : elements_(elements), unit_(blocksize * (1 + blocksize % 2)) {
    if (unit_ <= kPiece) {
      piece_ = unit_ = kPiece / unit_ * unit_;
    } else {
      // A piece may end within a block only if it cannot end within a byte.
      piece_ = blocksize % 2 == 0 ? kPiece : unit_;
    }
    per_unit_ = (unit_ + piece_ - 1) / piece_;
  }
  int64_t count() const { return (elements_ + unit_ - 1) / unit_ * per_unit_; }
  int64_t longest() const { return std::min(piece_, elements_); }
  int64_t grain() const { return std::max<int64_t>(1, 4 * kPiece / piece_); }
  int64_t begin(int64_t i) const { return std::min(elements_, i / per_unit_ * unit_ + i % per_unit_ * piece_); }
  int64_t end(int64_t i) const {
    return std::min({elements_, (i / per_unit_ + 1) * unit_, i / per_unit_ * unit_ + (i % per_unit_ + 1) * piece_});
  }

 private:
  int64_t elements_, unit_, piece_ = 0, per_unit_ = 1;
};

WholeProgram compile_quantize(const Graph& graph, Value value) {
  const Node& node = graph.node(value);
  const Value x = graph.operand(node, 0);
  const DType dtype = graph.dtype(x);
  const int64_t blocksize = graph.attributes(node)[0], elements = graph.elements(x);
  const bool halves = graph.elements(graph.operand(node, 3)) == 16;
  const Pieces pieces(elements, blocksize);
  WholeProgram program;
  program.run = [=](Span<const void* const> inputs, void* output) {
    CodeTable table{static_cast<const float*>(inputs[2]), static_cast<const uint8_t*>(inputs[3]), halves};
    std::optional<CodeStarts> starts;
    if (elements >= CodeStarts::kFewElements && quantized_kernels().wants_starts) {
      starts.emplace(table.points, halves ? 15 : 255);
      if (starts->usable()) table.starts = &*starts;
    }
    const float* const absmax = static_cast<const float*>(inputs[1]);
    const auto load = vector_kernels().load[static_cast<int>(dtype)];
    parallel_for(pieces.count(), pieces.grain(), [&](int64_t first, int64_t last) {
      std::vector<float> room(dtype == DType::float32 ? 0 : static_cast<size_t>(pieces.longest()));
      for (int64_t i = first; i < last; ++i) {
        const int64_t begin = pieces.begin(i), count = pieces.end(i) - begin;
        if (count <= 0) continue;
        const char* const at = static_cast<const char*>(inputs[0]) + begin * static_cast<int64_t>(size_of(dtype));
        const float* floats = reinterpret_cast<const float*>(at);
        if (dtype != DType::float32) {
          load(at, nullptr, nullptr, room.data(), static_cast<size_t>(count));
          floats = room.data();
        }
        quantized_kernels().quantize(floats, absmax + begin / blocksize, blocksize, table,
                                     static_cast<uint8_t*>(output) + (halves ? begin / 2 : begin), count);
      }
    });
  };
  program.cost_ns = 200 + 2 * static_cast<uint64_t>(elements);
  return program;
}

WholeProgram compile_dequantize(const Graph& graph, Value value) {
  const Node& node = graph.node(value);
  const DType dtype = graph.dtype(value);
  const int64_t blocksize = graph.attributes(node)[0], elements = graph.elements(value);
  const int64_t entries = graph.elements(graph.operand(node, 2));
  const Pieces pieces(elements, blocksize);
  WholeProgram program;
  program.run = [=](Span<const void* const> inputs, void* output) {
    const QuantizedTensor from(inputs[0], inputs[1], inputs[2], entries, blocksize);
    const auto store = vector_kernels().store[static_cast<int>(dtype)];
    parallel_for(pieces.count(), pieces.grain(), [&](int64_t first, int64_t last) {
      std::vector<float> room(dtype == DType::float32 ? 0 : static_cast<size_t>(pieces.longest()));
      for (int64_t i = first; i < last; ++i) {
        const int64_t begin = pieces.begin(i), count = pieces.end(i) - begin;
        if (count <= 0) continue;
        char* const to = static_cast<char*>(output) + begin * static_cast<int64_t>(size_of(dtype));
        if (dtype == DType::float32) {
          from.dequantize(begin, count, reinterpret_cast<float*>(to));
        } else {
          from.dequantize(begin, count, room.data());
          store(room.data(), nullptr, nullptr, to, static_cast<size_t>(count));
        }
      }
    });
  };
  program.cost_ns = 200 + static_cast<uint64_t>(elements) / 2;
  return program;
}

WholeProgram compile_scaled(const Graph& graph, Value value) {
  const Dims shape = graph.shape(value);
  const size_t axis = static_cast<size_t>(graph.attributes(graph.node(value))[0]);
  const int64_t channels = shape[axis], elements = graph.elements(value);
  int64_t after = 1;
  for (size_t i = axis + 1; i < shape.size(); ++i) after *= shape[i];
  WholeProgram program;
  program.run = [=](Span<const void* const> inputs, void* output) {
    const int8_t* const x = static_cast<const int8_t*>(inputs[0]);
    const float* const scale = static_cast<const float*>(inputs[1]);
    float* const to = static_cast<float*>(output);
    if (after == 1) {
      parallel_for(elements / channels, grain_of(channels), [&](int64_t first, int64_t last) {
        for (int64_t line = first * channels; line < last * channels; line += channels) {
          for (int64_t i = 0; i < channels; ++i) to[line + i] = static_cast<float>(x[line + i]) * scale[i];
        }
      });
      return;
    }
    parallel_for(elements / after, grain_of(after), [&](int64_t first, int64_t last) {
      for (int64_t line = first; line < last; ++line) {
        const float factor = scale[line % channels];
        for (int64_t i = line * after; i < (line + 1) * after; ++i) to[i] = static_cast<float>(x[i]) * factor;
      }
    });
  };
  program.cost_ns = 200 + static_cast<uint64_t>(elements) / 2;
  return program;
}

}  // namespace

QuantizedTensor::QuantizedTensor(const void* codes_at, const void* absmax_at, const void* book_at, int64_t entries,
                                 int64_t block)
    : codes(static_cast<const uint8_t*>(codes_at)),
      absmax(static_cast<const float*>(absmax_at)),
      numbers(static_cast<const float*>(book_at)),
      blocksize(block),
      halves(entries == 16) {
  if (!halves) return;
  for (int byte = 0; byte < 256; ++byte) {
    pairs_.push_back(numbers[byte >> 4]);
    pairs_.push_back(numbers[byte & 15]);
  }
}

void QuantizedTensor::dequantize(int64_t begin, int64_t count, float* out) const {
  while (count > 0) {
    const int64_t into_block = begin % blocksize;
    int64_t length = into_block == 0 ? count : std::min(count, blocksize - into_block);
    if (halves && begin % 2 != 0) {
      length = 1;
      *out = numbers[codes[begin / 2] & 15] * absmax[begin / blocksize];
    } else {
      quantized_kernels().dequantize(codes + (halves ? begin / 2 : begin), absmax + begin / blocksize,
                                     into_block == 0 ? blocksize : length, book(), out, length);
    }
    begin += length;
    out += length;
    count -= length;
  }
}

WholeProgram compile_quantized(const Graph& graph, Value value) {
  switch (graph.node(value).kind) {
    case NodeKind::quantize_blockwise:
      return compile_quantize(graph, value);
    case NodeKind::dequantize_blockwise:
      return compile_dequantize(graph, value);
    case NodeKind::dequantize:
      return compile_scaled(graph, value);
    case NodeKind::quantized_matrix_multiplication:
      return compile_quantized_matmul(graph, value);
    default:  // of the family
      return compile_integer_matmul(graph, value);
  }
}

}  // namespace mps
