#include "plugin/host/pointwise_host.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include "plugin/core/check.h"
#include "plugin/host/cache_size_host.h"
#include "plugin/host/collect_host.h"
#include "plugin/host/pointwise_plan_host.h"
#include "plugin/host/threads.h"

namespace mps {
namespace {

using Plan = PointwiseProgram::Plan;

// Each thread's scratch memory for slots; grows to what its largest region needs, some tens of kilobytes.
class Scratch {
 public:
  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { ::operator delete(data_, kAlignment); }

  char* get(size_t bytes) {
    if (bytes > bytes_) {
      ::operator delete(data_, kAlignment);
      data_ = nullptr;
      bytes_ = 0;
      data_ = static_cast<char*>(::operator new(bytes, kAlignment));
      bytes_ = bytes;
    }
    return data_;
  }

 private:
  static constexpr std::align_val_t kAlignment{4096};
  char* data_ = nullptr;
  size_t bytes_ = 0;
};

thread_local Scratch t_scratch;

// How an output reaches memory.
enum class Delivery : uint8_t {
  kDirect,    // block functions write it
  kStaged,    // they write a block in scratch memory, which is copied when all is read
  kStreamed,  // block functions write it, past the caches
  kStagedStreamed,
  kRows,  // they write a block in scratch memory, which is copied to where its rows lie
};
using Deliveries = SmallVector<Delivery, 16>;

// Direct, unless an input lies in the same place and is read later. Where a run touches more memory than the caches
// hold, results would not be found there, and writing past them saves fetching what they overwrite.
Deliveries choose_deliveries(const Plan& plan, Span<const void* const> inputs, Span<void* const> outputs) {
  size_t bytes = 0;
  for (const PlannedOutput& output : plan.outputs) bytes += output.element_bytes;
  for (const PlannedInput& input : plan.inputs) bytes += input.access == InputAccess::kSplat ? 0 : input.element_bytes;
  const bool streams = bytes * static_cast<size_t>(plan.elements) > cache_bytes();
  Deliveries deliveries;
  for (size_t o = 0; o < outputs.size(); ++o) {
    const PlannedOutput& output = plan.outputs[o];
    if (output.rows.elements != 0) {
      deliveries.push_back(Delivery::kRows);
      continue;
    }
    const bool straight = plan.body[output.written_at].stream_fn != nullptr && !output.is_read;
    Delivery delivery = !streams ? Delivery::kDirect : straight ? Delivery::kStreamed : Delivery::kStagedStreamed;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i] != outputs[o]) continue;
      const bool conflict = plan.inputs[i].last_use > output.written_at;
      delivery = conflict ? Delivery::kStaged : Delivery::kDirect;
      if (conflict) break;
    }
    deliveries.push_back(delivery);
  }
  return deliveries;
}

bool are_direct(const Deliveries& deliveries) {
  for (Delivery delivery : deliveries) {
    if (delivery != Delivery::kDirect) return false;
  }
  return true;
}

// Asks for the dense inputs' next blocks a few lines before each step, so that memory works while the processor
// computes. Where there are few steps, the processor does by itself what is needed; where there are many, memory has
// time enough, and looking whether something is left to ask for, before every one of them, takes longer than it saves.
class Ahead {
 public:
  Ahead(const Plan& plan, bool is_needed) : plan_(plan) {
    constexpr size_t kFewSteps = 1, kManySteps = 64;
    is_needed_ = is_needed && plan.body.size() > kFewSteps && plan.body.size() < kManySteps;
  }

  void begin_block(Span<char* const> at, int64_t count, int64_t following) {
    cursors_.clear();
    if (!is_needed_ || following <= 0) return;
    for (size_t i = 0; i < plan_.inputs.size(); ++i) {
      if (plan_.inputs[i].access != InputAccess::kDense) continue;
      const int64_t bytes = plan_.inputs[i].element_bytes;
      const char* const from = at[i] + count * bytes;
      cursors_.push_back({from, from + following * bytes});
      const size_t lines = static_cast<size_t>(following * bytes) / kLine + 1;
      lines_per_step_ = (lines + plan_.body.size() - 1) / plan_.body.size();
    }
  }

  void begin_step() {
    for (Cursor& cursor : cursors_) {
      for (size_t n = 0; n < lines_per_step_ && cursor.at < cursor.end; ++n, cursor.at += kLine) {
        __builtin_prefetch(cursor.at);
      }
    }
  }

 private:
  static constexpr size_t kLine = 64;
  struct Cursor {
    const char *at, *end;
  };
  const Plan& plan_;
  bool is_needed_;
  SmallVector<Cursor, 8> cursors_;
  size_t lines_per_step_ = 0;
};

// Elements [begin, begin + count) of an output that lies in rows.
void deliver_rows(const PlannedOutput& output, const char* from, int64_t begin, int64_t count, char* to) {
  const int64_t row = output.rows.elements, size = output.element_bytes;
  for (int64_t done = 0; done < count;) {
    const int64_t element = begin + done, many = std::min(count - done, row - element % row);
    std::memcpy(to + (element / row * output.rows.stride + element % row) * size, from + done * size,
                static_cast<size_t>(many * size));
    done += many;
  }
}

// Works off elements [begin, end). `deliveries` is null if all outputs are direct; the outputs' addresses are those of
// element `origin`.
void evaluate(const Plan& plan, Span<const void* const> inputs, Span<void* const> outputs, const Delivery* deliveries,
              int64_t origin, int64_t begin, int64_t end) {
  const size_t input_count = plan.inputs.size(), output_count = plan.outputs.size();
  SmallVector<char*, 32> at;
  at.resize(plan.location_count());
  for (size_t i = 0; i < input_count; ++i) {
    // Inputs are never written; block functions take all their places in one array.
    at[i] = const_cast<char*>(static_cast<const char*>(inputs[i]));
    if (plan.inputs[i].access == InputAccess::kDense) at[i] += begin * plan.inputs[i].element_bytes;
  }
  const auto output_address = [&](size_t o, int64_t element) {
    return static_cast<char*>(outputs[o]) + (element - origin) * plan.outputs[o].element_bytes;
  };
  const auto is_staged = [&](size_t o) {
    return deliveries != nullptr && (deliveries[o] == Delivery::kStaged || deliveries[o] == Delivery::kStagedStreamed ||
                                     deliveries[o] == Delivery::kRows);
  };
  const size_t scratch_bytes = deliveries != nullptr ? plan.staged_scratch_bytes : plan.scratch_bytes;
  char* const scratch = scratch_bytes == 0 ? nullptr : t_scratch.get(scratch_bytes);
  for (size_t o = 0; o < output_count; ++o) {
    at[input_count + o] = is_staged(o) ? scratch + plan.outputs[o].stage_at : output_address(o, begin);
  }
  size_t location = input_count + output_count;
  for (const uint64_t& constant : plan.constants) {
    at[location++] = const_cast<char*>(reinterpret_cast<const char*>(&constant));
  }
  for (uint32_t offset : plan.slot_offsets) at[location++] = scratch + offset;

  const int64_t block = std::min(end - begin, deliveries != nullptr ? plan.staged_block : plan.block);
  for (const Instruction& step : plan.prelude) step.fn(at[step.x], at[step.y], at[step.z], at[step.out], 1);
  for (const Instruction& fill : plan.fills) {
    repeat(fill.element_bytes, at[fill.x], block, at[fill.out]);
  }
  SmallVector<bool, 8> passes;
  passes.resize(plan.guards + 1, true);
  Ahead ahead(plan, deliveries != nullptr);
  for (int64_t first = begin; first < end; first += block) {
    const int64_t count = std::min(block, end - first);
    ahead.begin_block({at.data(), at.size()}, count, std::min(block, end - first - count));
    for (const Instruction& step : plan.body) {
      ahead.begin_step();
      if (!passes[step.guard]) continue;
      if (step.tests != 0) {
        passes[step.tests] = std::memchr(at[step.x], step.wanted ? 1 : 0, static_cast<size_t>(count)) != nullptr;
      } else if (step.fn != nullptr) {
        const bool streams = deliveries != nullptr && step.stream_fn != nullptr && step.out >= input_count &&
                             step.out < input_count + output_count &&
                             deliveries[step.out - input_count] == Delivery::kStreamed;
        const BlockFn fn = streams ? step.stream_fn : step.fn;
        fn(at[step.x], at[step.y], at[step.z], at[step.out], static_cast<size_t>(count));
      } else {
        collect(step.element_bytes, at[step.x], plan.shape, plan.inputs[step.x].strides, first, count, at[step.out]);
      }
    }
    for (size_t i = 0; i < input_count; ++i) {
      if (plan.inputs[i].access == InputAccess::kDense) at[i] += count * plan.inputs[i].element_bytes;
    }
    for (size_t o = 0; o < output_count; ++o) {
      const int64_t bytes = count * plan.outputs[o].element_bytes;
      if (!is_staged(o)) {
        at[input_count + o] += bytes;
      } else if (deliveries[o] == Delivery::kStaged) {
        std::memcpy(output_address(o, first), at[input_count + o], static_cast<size_t>(bytes));
      } else if (deliveries[o] == Delivery::kRows) {
        deliver_rows(plan.outputs[o], at[input_count + o], first, count, static_cast<char*>(outputs[o]));
      } else {
        plan.kernels->stream(output_address(o, first), at[input_count + o], static_cast<size_t>(bytes));
      }
    }
  }
  if (deliveries != nullptr) plan.kernels->end_stream();
}

void check_counts(const Plan& plan, Span<const void* const> inputs, Span<void* const> outputs) {
  MPS_CHECK(inputs.size() == plan.inputs.size() && outputs.size() == plan.outputs.size(), kInternal,
            "bad call of a pointwise region: expected ", plan.inputs.size(), " inputs and ", plan.outputs.size(),
            " outputs, got ", inputs.size(), " and ", outputs.size(), ".");
}

}  // namespace

Span<const Value> PointwiseProgram::inputs() const { return plan_->input_values; }

bool PointwiseProgram::input_is_dense(size_t input) const { return plan_->inputs[input].access == InputAccess::kDense; }

void PointwiseProgram::run(Span<const void* const> inputs, Span<void* const> outputs) const {
  const Plan& plan = *plan_;
  check_counts(plan, inputs, outputs);
  if (plan.elements == 0) return;
  // Small work comes here most often and must not pay for what it cannot need.
  if (plan.elements <= plan.awake_grain && !plan.may_conflict && !plan.has_rows) {
    return evaluate(plan, inputs, outputs, nullptr, 0, 0, plan.elements);
  }
  const Deliveries deliveries = choose_deliveries(plan, inputs, outputs);
  const Delivery* const needed = are_direct(deliveries) ? nullptr : deliveries.data();
  const auto body = [&](int64_t begin, int64_t end) { evaluate(plan, inputs, outputs, needed, 0, begin, end); };
  const bool is_short = plan.elements <= plan.grain;
  parallel_for(plan.elements, is_short ? plan.awake_grain : plan.grain, body,
               is_short ? Helpers::kAwake : Helpers::kAll);
}

std::optional<PointwiseProgram::Row> PointwiseProgram::input_row(size_t input, int64_t rows) const {
  const Plan& plan = *plan_;
  const PlannedInput& at = plan.inputs[input];
  const int64_t size = at.element_bytes, each = plan.elements / rows;
  if (at.access == InputAccess::kSplat) return Row{0, size};
  if (plan.elements % rows != 0) return std::nullopt;
  if (at.access == InputAccess::kDense) return Row{each * size, each * size};
  if (plan.shape[0] % rows != 0) return std::nullopt;
  const int64_t outer = plan.shape[0] / rows;  // of the first dimension, in a row
  Row row{outer * at.strides[0] * size, size};
  for (size_t d = 0; d < plan.shape.size(); ++d) {
    const int64_t stride = at.strides[d] * size, reach = ((d == 0 ? outer : plan.shape[d]) - 1) * stride;
    if (stride < 0) return std::nullopt;
    if (row.stride == 0 || row.bytes + reach <= row.stride) {
      row.bytes += reach;
    } else if (stride % (rows * row.stride) != 0) {
      return std::nullopt;
    }
  }
  return row;
}

std::optional<PointwiseProgram::Row> PointwiseProgram::output_row(size_t output, int64_t rows) const {
  const PlannedOutput& at = plan_->outputs[output];
  const int64_t size = at.element_bytes, each = plan_->elements / rows;
  if (plan_->elements % rows != 0) return std::nullopt;
  if (at.rows.elements == 0) return Row{each * size, each * size};
  if (each % at.rows.elements != 0) return std::nullopt;
  const int64_t parts = each / at.rows.elements;
  return Row{parts * at.rows.stride * size, ((parts - 1) * at.rows.stride + at.rows.elements) * size};
}

void PointwiseProgram::run_rows(Span<const void* const> inputs, Span<void* const> outputs, int64_t rows, int64_t begin,
                                int64_t end) const {
  const Plan& plan = *plan_;
  const int64_t each = plan.elements / rows;
  if (!plan.may_conflict && !plan.has_rows) {
    return evaluate(plan, inputs, outputs, nullptr, 0, begin * each, end * each);
  }
  const Deliveries deliveries = choose_deliveries(plan, inputs, outputs);
  evaluate(plan, inputs, outputs, are_direct(deliveries) ? nullptr : deliveries.data(), 0, begin * each, end * each);
}

void PointwiseProgram::run_range(Span<const void* const> inputs, Span<void* const> outputs, int64_t begin,
                                 int64_t count) const {
  check_counts(*plan_, inputs, outputs);
  if (count > 0) evaluate(*plan_, inputs, outputs, nullptr, begin, begin, begin + count);
}

int64_t PointwiseProgram::elements() const { return plan_->elements; }

uint64_t PointwiseProgram::cost_ns() const {
  constexpr double kCallNs = 50;
  return static_cast<uint64_t>(kCallNs + plan_->ns_per_element * static_cast<double>(plan_->elements));
}

size_t PointwiseProgram::bytes() const {
  const Plan& plan = *plan_;
  return sizeof plan + plan.inputs.size() * (sizeof(PlannedInput) + sizeof(Value)) +
         plan.outputs.size() * sizeof(PlannedOutput) + plan.constants.size() * sizeof(uint64_t) +
         (plan.prelude.size() + plan.fills.size() + plan.body.size()) * sizeof(Instruction) +
         plan.slot_offsets.size() * sizeof(uint32_t);
}

}  // namespace mps
