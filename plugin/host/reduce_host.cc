// How a reduction is cut up. Dimensions of size 1 are dropped and neighbours of one kind merged, so that kept and
// reduced dimensions alternate. The innermost two form a tile that is contiguous in memory, in one of two forms:
//   columns [reduced R, kept L]: every row is added to a row of L accumulators
//   rows    [kept K, reduced L]: each row is folded into one accumulator
// The dimensions outside of the tile say how often it is done: for different accumulators (kept) or for the same ones
// (reduced). A task works on at most kMaxAccumulators of one tile's accumulators, and on all of their reduction or,
// where there are too few tasks, on a part of it; parts are merged at the end in order.
//
// The operand is always taken in the same pieces, whether it lies in memory or comes from a prologue: fusing does not
// change a bit.
#include "plugin/host/reduce_host.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "plugin/core/check.h"
#include "plugin/host/threads.h"
#include "plugin/host/vector_kernels.h"

namespace mps {
namespace {

constexpr int64_t kPiece = 4096;            // most elements taken at once
constexpr int64_t kMaxAccumulators = 1024;  // of a task: 8 KiB at most, as a piece fits the first-level cache with them
constexpr int64_t kTaskElements = 32768;    // fewest elements worth a thread of their own

size_t index_of(DType dtype) { return static_cast<size_t>(dtype); }
int64_t divide_up(int64_t x, int64_t y) { return (x + y - 1) / y; }

struct Dimension {
  int64_t size;
  int64_t stride;  // elements
};

// The dimensions outside of the tile that are kept, or those that are reduced.
struct Outer {
  std::vector<Dimension> dimensions;
  int64_t count = 1;

  void add(int64_t size, int64_t stride) {
    dimensions.push_back({size, stride});
    count *= size;
  }
  int64_t offset(int64_t index) const {
    int64_t offset = 0;
    for (size_t d = dimensions.size(); d-- > 0;) {
      offset += index % dimensions[d].size * dimensions[d].stride;
      index /= dimensions[d].size;
    }
    return offset;
  }
};

}  // namespace

struct ReduceProgram::Plan {
  std::vector<Value> input_values;
  std::optional<PointwiseProgram> prologue;
  const VectorKernels* kernels;
  ReduceFns fns;
  DType dtype;
  int64_t elements = 0;

  Outer kept, reduced;
  bool by_columns = false;
  int64_t tile_rows = 1;
  int64_t tile_length = 1;

  int64_t accumulators = 1;           // of a tile
  int64_t accumulators_per_task = 1;  // the last task of a tile may have fewer
  int64_t tasks_per_tile = 1;
  int64_t fold = 1;   // columns only: so many rows of a tile are taken for one, to have longer ones
  int64_t steps = 1;  // of the reduction: rows to add for columns, pieces to fold for rows
  int64_t steps_per_part = 1;
  int64_t parts = 1;

  int64_t tasks() const { return kept.count * tasks_per_tile * parts; }
  int64_t outputs() const { return kept.count * accumulators; }
  int64_t pieces_per_row() const { return divide_up(tile_length, kPiece); }
};

namespace {

using Plan = ReduceProgram::Plan;

// Where a task gets the operand from, in the register dtype.
class Source {
 public:
  Source(const Plan& plan, Span<const void* const> inputs)
      : plan_(plan), inputs_(inputs), load_(plan.kernels->load[index_of(plan.dtype)]) {}

  bool in_memory() const { return load_ == nullptr && !plan_.prologue.has_value(); }

  // `count` elements from element `at` of the operand on.
  const void* take(int64_t at, int64_t count) { return take(at, 1, count, count); }

  // `rows` rows of `count` elements; they lie `stride` apart in the operand, and in the answer if it is in memory, else
  // one after the other.
  const void* take(int64_t at, int64_t rows, int64_t stride, int64_t count) {
    const int64_t stored_bytes = static_cast<int64_t>(size_of(plan_.dtype));
    if (in_memory()) return static_cast<const char*>(inputs_[0]) + at * stored_bytes;
    const int64_t bytes = static_cast<int64_t>(size_of(register_dtype(plan_.dtype)));
    for (int64_t row = 0; row < rows; ++row) {
      take_row(at + row * stride, count, elements_ + row * count * bytes);
    }
    return elements_;
  }

 private:
  void take_row(int64_t at, int64_t count, void* to) {
    const void* stored = nullptr;
    if (plan_.prologue.has_value()) {
      void* const result = load_ == nullptr ? to : stored_;
      plan_.prologue->run_range(inputs_, {result}, at, count);
      stored = result;
    } else {
      stored = static_cast<const char*>(inputs_[0]) + at * static_cast<int64_t>(size_of(plan_.dtype));
    }
    if (load_ != nullptr) load_(stored, nullptr, nullptr, to, static_cast<size_t>(count));
  }

  const Plan& plan_;
  const Span<const void* const> inputs_;
  const BlockFn load_;
  alignas(64) char elements_[kPiece * 8];
  alignas(64) char stored_[kPiece * 2];
};

// The accumulators [first, first + count) of a tile, and the steps [begin, end) of its reduction.
struct Task {
  int64_t kept_offset;
  int64_t first, count;
  int64_t begin, end;
};

void reduce_columns(const Plan& plan, const Task& task, Source& source, char* acc) {
  const int64_t length = plan.tile_length, rows = plan.tile_rows;
  const bool whole = task.count == length;
  const int64_t width = whole ? plan.fold * length : task.count;
  const size_t acc_bytes = accumulator_bytes(plan.dtype);
  const size_t bytes = size_of(register_dtype(plan.dtype));
  plan.fns.start(acc, static_cast<size_t>(width));
  const int64_t rows_at_once = std::max<int64_t>(1, kPiece / width);
  for (int64_t step = task.begin; step < task.end;) {
    const int64_t row = step % rows, run = std::min(rows - row, task.end - step);
    const int64_t at = task.kept_offset + plan.reduced.offset(step / rows) + row * length + task.first;
    if (whole) {
      // Rows follow one another, so any number of elements can be taken for a row.
      for (int64_t done = 0; done < run * length;) {
        const int64_t count = std::min(run * length - done, rows_at_once * width);
        const char* const x = static_cast<const char*>(source.take(at + done, count));
        const size_t full = static_cast<size_t>(count / width), rest = static_cast<size_t>(count % width);
        const size_t stride = static_cast<size_t>(width);
        if (full > 0) plan.fns.columns(x, full, stride, stride, acc);
        if (rest > 0) plan.fns.columns(x + full * stride * bytes, 1, rest, rest, acc);
        done += count;
      }
    } else {
      for (int64_t done = 0; done < run;) {
        const int64_t count = std::min(run - done, rows_at_once);
        const void* const x = source.take(at + done * length, count, length, width);
        plan.fns.columns(x, static_cast<size_t>(count), static_cast<size_t>(source.in_memory() ? length : width),
                         static_cast<size_t>(width), acc);
        done += count;
      }
    }
    step += run;
  }
  for (int64_t group = 1; group * task.count < width; ++group) {
    plan.fns.merge(acc + static_cast<size_t>(group * task.count) * acc_bytes, acc, static_cast<size_t>(task.count));
  }
}

void reduce_rows(const Plan& plan, const Task& task, Source& source, char* acc) {
  const int64_t length = plan.tile_length, pieces = plan.pieces_per_row();
  const size_t acc_bytes = accumulator_bytes(plan.dtype);
  plan.fns.start(acc, static_cast<size_t>(task.count));
  const int64_t rows_at_once = std::max<int64_t>(1, kPiece / length);
  for (int64_t step = task.begin; step < task.end;) {
    const int64_t piece = step % pieces, run = std::min(pieces - piece, task.end - step);
    const int64_t at = task.kept_offset + plan.reduced.offset(step / pieces) + task.first * length;
    for (int64_t row = 0; row < task.count;) {
      const int64_t rows = std::min(rows_at_once, task.count - row);
      for (int64_t p = piece; p < piece + run; ++p) {
        const int64_t count = std::min(length - p * kPiece, kPiece);  // all of the row if it is short
        const void* const x = source.take(at + row * length + p * kPiece, rows * count);
        plan.fns.rows(x, static_cast<size_t>(rows), static_cast<size_t>(count),
                      acc + static_cast<size_t>(row) * acc_bytes);
      }
      row += rows;
    }
    step += run;
  }
}

// Accumulators to elements of the result: rounded once, to float32 and from there to the dtype.
void finish(const Plan& plan, const char* acc, int64_t count, char* out) {
  const size_t n = static_cast<size_t>(count);
  if (!is_float(plan.dtype)) {
    std::memcpy(out, acc, n * size_of(plan.dtype));
    return;
  }
  const double* const sums = reinterpret_cast<const double*>(acc);
  const BlockFn store = plan.kernels->store[index_of(plan.dtype)];
  for (size_t done = 0; done < n;) {
    float rounded[256];
    const size_t part = std::min(n - done, std::size(rounded));
    for (size_t i = 0; i < part; ++i) rounded[i] = static_cast<float>(sums[done + i]);
    char* const to = out + done * size_of(plan.dtype);
    if (store != nullptr) {
      store(rounded, nullptr, nullptr, to, part);
    } else {
      std::memcpy(to, rounded, part * sizeof(float));
    }
    done += part;
  }
}

void lay_out(Plan& plan, Dims shape, Dims axes) {
  Ints sizes;
  SmallVector<bool, kMaxRank> is_reduced;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 1) continue;
    const bool here = std::find(axes.begin(), axes.end(), static_cast<int64_t>(d)) != axes.end();
    if (!sizes.empty() && is_reduced.back() == here) {
      sizes.back() *= shape[d];
    } else {
      sizes.push_back(shape[d]);
      is_reduced.push_back(here);
    }
  }
  if (sizes.empty()) {  // a single element
    sizes.push_back(1);
    is_reduced.push_back(true);
  }
  const Ints strides = contiguous_strides(sizes);
  const size_t rank = sizes.size();
  plan.by_columns = !is_reduced.back();
  plan.tile_length = sizes.back();
  plan.tile_rows = rank > 1 ? sizes[rank - 2] : 1;
  for (size_t d = 0; d + 2 < rank; ++d) (is_reduced[d] ? plan.reduced : plan.kept).add(sizes[d], strides[d]);
}

void cut(Plan& plan) {
  const int64_t length = plan.tile_length;
  plan.accumulators = plan.by_columns ? length : plan.tile_rows;
  int64_t per_task = kMaxAccumulators;
  if (!plan.by_columns) per_task = std::clamp<int64_t>(kTaskElements / length, 1, kMaxAccumulators);
  plan.accumulators_per_task = std::min(per_task, plan.accumulators);
  plan.tasks_per_tile = divide_up(plan.accumulators, plan.accumulators_per_task);
  constexpr int64_t kLongRow = 512;
  if (plan.by_columns && length < kLongRow) plan.fold = std::min(plan.tile_rows, kLongRow / length);
  plan.steps = plan.reduced.count * (plan.by_columns ? plan.tile_rows : plan.pieces_per_row());

  // With too few tasks for a large machine, the reduction is cut, but no finer than into parts worth a thread.
  constexpr int64_t kEnoughTasks = 64;
  const int64_t whole_tasks = plan.kept.count * plan.tasks_per_tile;
  const int64_t wanted = std::min(divide_up(kEnoughTasks, whole_tasks), plan.elements / whole_tasks / kTaskElements);
  plan.steps_per_part = divide_up(plan.steps, std::clamp<int64_t>(wanted, 1, plan.steps));
  plan.parts = divide_up(plan.steps, plan.steps_per_part);
}

std::shared_ptr<Plan> make_plan(const Graph& graph, Value reduction, const PointwiseProgram* prologue) {
  const Node& node = graph.node(reduction);
  MPS_CHECK(info(node.kind).family == NodeFamily::kReduce, kInternal,
            "bad reduction: expected a node that reduces, got ", info(node.kind).name, ".");
  const Value operand = graph.operand(node, 0);
  auto plan = std::make_shared<Plan>();
  plan->kernels = &vector_kernels();
  plan->dtype = node.dtype;
  plan->fns = plan->kernels->reduce[static_cast<size_t>(node.kind)][index_of(register_dtype(node.dtype))];
  plan->elements = graph.elements(operand);
  MPS_CHECK(plan->fns.start != nullptr && plan->elements > 0, kInternal,
            "bad reduction: expected a number dtype and at "
            "least one element, got ",
            name(node.dtype), to_string(graph.shape(operand)), ".");
  if (prologue != nullptr) {
    MPS_CHECK(prologue->elements() == plan->elements, kInternal, "bad prologue of a reduction: expected ",
              plan->elements, " elements, got ", prologue->elements(), ".");
    plan->prologue = *prologue;
    plan->input_values.assign(prologue->inputs().begin(), prologue->inputs().end());
  } else {
    plan->input_values = {operand};
  }
  lay_out(*plan, graph.shape(operand), graph.attributes(node));
  cut(*plan);
  return plan;
}

}  // namespace

ReduceProgram ReduceProgram::compile(const Graph& graph, Value reduction) {
  return ReduceProgram(make_plan(graph, reduction, nullptr));
}

ReduceProgram ReduceProgram::compile(const Graph& graph, Value reduction, const PointwiseProgram& prologue) {
  return ReduceProgram(make_plan(graph, reduction, &prologue));
}

Span<const Value> ReduceProgram::inputs() const { return plan_->input_values; }

void ReduceProgram::run(Span<const void* const> inputs, void* output) const {
  const Plan& plan = *plan_;
  MPS_CHECK(inputs.size() == plan.input_values.size(), kInternal, "bad call of a reduction: expected ",
            plan.input_values.size(), " inputs, got ", inputs.size(), ".");
  const int64_t acc_bytes = static_cast<int64_t>(accumulator_bytes(plan.dtype));
  const int64_t out_bytes = static_cast<int64_t>(size_of(plan.dtype));
  char* const out = static_cast<char*>(output);
  // Accumulators of part p of all outputs, then of part p + 1.
  std::unique_ptr<double[]> partial;
  if (plan.parts > 1) partial.reset(new double[static_cast<size_t>(plan.parts * plan.outputs())]);
  char* const parts = reinterpret_cast<char*>(partial.get());

  const int64_t tasks = plan.tasks();
  parallel_for(tasks, std::max<int64_t>(1, kTaskElements * tasks / plan.elements), [&](int64_t begin, int64_t end) {
    Source source(plan, inputs);
    alignas(64) char acc[kMaxAccumulators * sizeof(double)];
    for (int64_t number = begin; number < end; ++number) {
      const int64_t part = number % plan.parts, whole = number / plan.parts;
      const int64_t kept = whole / plan.tasks_per_tile;
      Task task;
      task.kept_offset = plan.kept.offset(kept);
      task.first = whole % plan.tasks_per_tile * plan.accumulators_per_task;
      task.count = std::min(plan.accumulators_per_task, plan.accumulators - task.first);
      task.begin = part * plan.steps_per_part;
      task.end = std::min(plan.steps, task.begin + plan.steps_per_part);
      plan.by_columns ? reduce_columns(plan, task, source, acc) : reduce_rows(plan, task, source, acc);
      const int64_t first_output = kept * plan.accumulators + task.first;
      if (plan.parts == 1) {
        finish(plan, acc, task.count, out + first_output * out_bytes);
      } else {
        std::memcpy(parts + (part * plan.outputs() + first_output) * acc_bytes, acc,
                    static_cast<size_t>(task.count * acc_bytes));
      }
    }
  });
  if (plan.parts == 1) return;
  for (int64_t part = 1; part < plan.parts; ++part) {
    plan.fns.merge(parts + part * plan.outputs() * acc_bytes, parts, static_cast<size_t>(plan.outputs()));
  }
  finish(plan, parts, plan.outputs(), out);
}

uint64_t ReduceProgram::cost_ns() const {
  constexpr double kCallNs = 50, kNsPerElement = 0.1;
  const double ns = kCallNs + kNsPerElement * static_cast<double>(plan_->elements);
  return static_cast<uint64_t>(ns) + (plan_->prologue.has_value() ? plan_->prologue->cost_ns() : 0);
}

size_t ReduceProgram::bytes() const {
  return sizeof *plan_ + (plan_->prologue.has_value() ? plan_->prologue->bytes() : 0);
}

}  // namespace mps
