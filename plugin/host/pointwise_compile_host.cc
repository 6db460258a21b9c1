// The second half of compiling a region: decides where each register lives while a block is worked on, and writes the
// list of block functions.
//
// A register is computed once per block, or once per run if it is uniform. It lives in memory where it already is (a
// dense input), where it must go (an output), or else in a slot, which is given on once its last reader is done.

#include <algorithm>

#include "plugin/core/check.h"
#include "plugin/host/pointwise_region_host.h"

namespace mps {
namespace {

using Plan = PointwiseProgram::Plan;

constexpr Location kNowhere = UINT16_MAX;
constexpr size_t kLine = 64;  // bytes of a cache line

size_t round_up(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

class Compiler {
 public:
  Compiler(Region region, Span<const PointwiseRows> rows)
      : region_(std::move(region)), kernels_(vector_kernels()), lives_(region_.registers.size()) {
    for (size_t i = 0; i < lives_.size(); ++i) lives_[i].readers = region_.registers[i].readers;
    plan_->kernels = &kernels_;
    plan_->shape = region_.shape;
    plan_->elements = region_.elements;
    plan_->input_values = region_.input_values;
    plan_->inputs = region_.inputs;
    plan_->constants = region_.constants;
    plan_->guards = region_.guards.size();
    for (DType dtype : region_.output_dtypes) plan_->outputs.push_back({static_cast<uint8_t>(size_of(dtype))});
    for (size_t i = 0; i < rows.size(); ++i) {
      plan_->outputs[i].rows = rows[i];
      plan_->has_rows = plan_->has_rows || rows[i].elements != 0;
    }
    first_slot_ = plan_->inputs.size() + plan_->outputs.size() + plan_->constants.size();
  }

  std::shared_ptr<const Plan> compile() {
    for (const Step& step : region_.steps) {
      region_.registers[step.result].uniform ? emit_uniform(step) : emit(step);
    }
    // What is left are outputs that no step computes: inputs and uniform registers.
    for (uint32_t i = 0; i < region_.registers.size(); ++i) {
      if (!region_.registers[i].outputs.empty()) store_outputs(i, place_of(i));
    }
    lay_out_scratch();
    find_conflicts();
    estimate_cost();
    return plan_;
  }

 private:
  // Where a register lives.
  struct Life {
    Location place = kNowhere;   // of a block of it
    Location single = kNowhere;  // of one element of it, if it is uniform
    size_t slot = kNone;         // `place`, if that is a slot to give on after the last reader
    uint32_t readers = 0;        // still to come
  };

  // -- once per run -------------------------------------------------------------------------------

  void emit_uniform(const Step& step) {
    Location x[3];
    for (uint32_t i = 0; i < 3; ++i) x[i] = single_of(step.operands[i < step.operand_count ? i : 0]);
    const Location out = new_slot(0);
    lives_[step.result].single = out;
    plan_->prelude.push_back({step.fn, nullptr, x[0], x[1], x[2], out});
    if (step.round != nullptr) plan_->prelude.push_back({step.round, nullptr, out, out, out, out});
  }

  // Where one element of a uniform register is.
  Location single_of(uint32_t number) {
    const Register& reg = region_.registers[number];
    Location& single = lives_[number].single;
    if (single != kNowhere) return single;
    if (reg.constant != kNone) {
      return single = static_cast<Location>(plan_->inputs.size() + plan_->outputs.size() + reg.constant);
    }
    const Location memory = static_cast<Location>(reg.input);
    if (!is_short_float(reg.stored)) return single = memory;
    single = new_slot(0);
    plan_->prelude.push_back({kernels_.load[index_of(reg.stored)], nullptr, memory, memory, memory, single});
    return single;
  }

  // -- once per block -----------------------------------------------------------------------------

  void emit(const Step& step) {
    Location x[3];  // operands that there are not repeat the first
    for (uint32_t i = 0; i < 3; ++i) {
      const uint32_t operand = step.operands[i < step.operand_count ? i : 0];
      x[i] = step.is_polynomial && i == 1 ? single_of(operand) : place_of(operand);
    }
    // The result may take the slot of an operand that nobody else reads.
    for (uint32_t i = 0; i < step.operand_count; ++i) {
      Life& operand = lives_[step.operands[i]];
      if (--operand.readers == 0) give_on(operand);
    }
    const Location out = claim(step.result);
    const uint16_t guard = static_cast<uint16_t>(step.guard);
    push({step.fn, step.stream_fn, x[0], x[1], x[2], out, 0, guard});
    if (step.round != nullptr) push({step.round, nullptr, out, out, out, out, 0, guard});
    store_outputs(step.result, out);
    test_guards(step.result, out);
    if (lives_[step.result].readers == 0) give_on(lives_[step.result]);
  }

  void test_guards(uint32_t predicate, Location at) {
    for (size_t i = 0; i < region_.guards.size(); ++i) {
      if (region_.guards[i].predicate != predicate) continue;
      Instruction test{nullptr, nullptr, at, at, at, at};
      test.tests = static_cast<uint16_t>(i + 1);
      test.wanted = region_.guards[i].wanted;
      push(test);
    }
  }

  // Where a block of the register is; brings it there first if need be.
  Location place_of(uint32_t number) {
    const Register& reg = region_.registers[number];
    Location& place = lives_[number].place;
    if (place != kNowhere) return place;
    if (reg.uniform) {
      const Location from = single_of(number);
      place = new_slot(size_of(reg.dtype));
      plan_->fills.push_back({nullptr, nullptr, from, from, from, place, static_cast<uint8_t>(size_of(reg.dtype))});
      return place;
    }
    const Location memory = static_cast<Location>(reg.input);
    const bool converts = is_short_float(reg.stored);
    const bool strided = plan_->inputs[memory].access == InputAccess::kStrided;
    if (!strided && !converts) return place = memory;
    Location from = memory;
    if (strided) {
      const uint8_t bytes = static_cast<uint8_t>(size_of(reg.stored));
      const size_t slot = converts ? take_slot(bytes) : kNone;
      from = converts ? slot_location(slot) : claim(number);
      push({nullptr, nullptr, memory, memory, memory, from, bytes});
      if (converts) free_slots_.push_back(slot);  // read by the very next instruction only
    }
    if (converts) {
      const Location out = claim(number);
      push({kernels_.load[index_of(reg.stored)], nullptr, from, from, from, out});
    }
    store_outputs(number, place);
    return place;
  }

  // Gives a place to a register that is about to be written: an output that wants it as it is, or else a slot.
  Location claim(uint32_t number) {
    Register& reg = region_.registers[number];
    Life& life = lives_[number];
    for (size_t i = 0; i < reg.outputs.size(); ++i) {
      const uint32_t output = reg.outputs[i];
      if (region_.output_dtypes[output] != reg.dtype) continue;
      reg.outputs[i] = reg.outputs.back();
      reg.outputs.resize(reg.outputs.size() - 1);
      plan_->outputs[output].written_at = static_cast<uint32_t>(plan_->body.size());
      return life.place = plan_->output_location(output);
    }
    life.slot = take_slot(size_of(reg.dtype));
    return life.place = slot_location(life.slot);
  }

  // Writes the register, which is at `from`, to the outputs that still want it.
  void store_outputs(uint32_t number, Location from) {
    for (uint32_t output : region_.registers[number].outputs) {
      const DType dtype = region_.output_dtypes[output];
      const BlockFn copy = kernels_.pointwise[index_of(NodeKind::identity)][index_of(register_dtype(dtype))];
      const BlockFn fn = is_short_float(dtype) ? kernels_.store[index_of(dtype)] : copy;
      plan_->outputs[output].written_at = static_cast<uint32_t>(plan_->body.size());
      push({fn, nullptr, from, from, from, plan_->output_location(output)});
    }
    region_.registers[number].outputs.clear();
  }

  void push(const Instruction& instruction) {
    for (Location x : {instruction.x, instruction.y, instruction.z}) {
      const size_t inputs = plan_->inputs.size(), outputs = plan_->outputs.size();
      if (x < inputs) plan_->inputs[x].last_use = static_cast<uint32_t>(plan_->body.size());
      if (x >= inputs && x < inputs + outputs) plan_->outputs[x - inputs].is_read = true;
    }
    plan_->body.push_back(instruction);
  }

  // -- slots --------------------------------------------------------------------------------------

  Location slot_location(size_t slot) const { return static_cast<Location>(first_slot_ + slot); }

  // A slot of its own, for blocks of elements of this size or, if 0, for a single element.
  Location new_slot(size_t element_bytes) {
    slot_bytes_.push_back(element_bytes);
    return slot_location(slot_bytes_.size() - 1);
  }

  // A slot that may have been used before. Slots change hands only between elements of one size, since a block function
  // may write where it reads only element by element.
  size_t take_slot(size_t element_bytes) {
    for (size_t i = free_slots_.size(); i-- > 0;) {
      const size_t slot = free_slots_[i];
      if (slot_bytes_[slot] != element_bytes) continue;
      free_slots_.erase(free_slots_.begin() + static_cast<std::ptrdiff_t>(i));
      return slot;
    }
    slot_bytes_.push_back(element_bytes);
    return slot_bytes_.size() - 1;
  }

  void give_on(Life& life) {
    if (life.slot == kNone) return;
    free_slots_.push_back(life.slot);
    life.slot = kNone;
  }

  // -- the rest of the plan -----------------------------------------------------------------------

  void lay_out_scratch() {
    // A block of everything that is touched should stay in the first-level cache, and be long enough to make up for the
    // calls.
    constexpr size_t kWorkingSet = 24 << 10;
    constexpr int64_t kShortest = 512, kLongest = 2048, kWithoutSlots = 16384;
    // Past the caches, where there is little to compute, memory would rest between the reads of long blocks.
    constexpr size_t kPastCaches = 4 << 10;
    constexpr double kLittleNs = 0.3;
    size_t slot_bytes = 0, bytes = 0, input_bytes = 0;
    for (size_t element_bytes : slot_bytes_) slot_bytes += element_bytes;
    for (const PlannedInput& input : plan_->inputs) input_bytes += input.element_bytes;
    for (const PlannedOutput& output : plan_->outputs) bytes += output.element_bytes;
    bytes += input_bytes;
    int64_t block = kLongest;
    while (block > kShortest && static_cast<size_t>(block) * (slot_bytes + bytes) > kWorkingSet) block /= 2;
    plan_->block = slot_bytes == 0 ? kWithoutSlots : block;
    const bool is_little = region_.ns_per_element < kLittleNs;
    while (is_little && block > kShortest && static_cast<size_t>(block) * input_bytes > kPastCaches) block /= 2;
    plan_->staged_block = block;
    size_t offset = 0;
    const auto reserve = [&](size_t size) {
      const size_t at = offset;
      // A line more, since a load waits for a store to an address with the same low bits.
      offset += round_up(size, kLine) + kLine;
      return static_cast<uint32_t>(at);
    };
    for (size_t element_bytes : slot_bytes_) {
      plan_->slot_offsets.push_back(reserve(std::max(kLine, element_bytes * static_cast<size_t>(plan_->block))));
    }
    plan_->scratch_bytes = static_cast<uint32_t>(offset);
    for (PlannedOutput& output : plan_->outputs) {
      output.stage_at = reserve(output.element_bytes * static_cast<size_t>(plan_->staged_block));
    }
    plan_->staged_scratch_bytes = static_cast<uint32_t>(offset);
    MPS_CHECK(plan_->location_count() < kNowhere, kInternal, "pointwise region too large: expected fewer than ",
              kNowhere, " places, got ", plan_->location_count(), ".");
  }

  void find_conflicts() {
    for (const PlannedInput& input : plan_->inputs) {
      for (const PlannedOutput& output : plan_->outputs) {
        if (input.last_use > output.written_at) plan_->may_conflict = true;
      }
    }
  }

  void estimate_cost() {
    constexpr double kBytesPerNs = 40, kCollectNs = 0.3, kWorthAThreadNs = 5000, kWorthAnAwakeThreadNs = 1500;
    double ns = region_.ns_per_element;
    for (const PlannedInput& input : plan_->inputs) {
      if (input.access != InputAccess::kSplat) ns += input.element_bytes / kBytesPerNs;
      if (input.access == InputAccess::kStrided) ns += kCollectNs;
    }
    for (const PlannedOutput& output : plan_->outputs) ns += output.element_bytes / kBytesPerNs;
    plan_->ns_per_element = ns;
    const auto elements_worth = [&](double time) {
      constexpr size_t kAlignment = 256;  // lines of the cache are not shared, vectors are full
      return static_cast<int64_t>(round_up(static_cast<size_t>(time / ns) + 1, kAlignment));
    };
    plan_->grain = elements_worth(kWorthAThreadNs);
    plan_->awake_grain = elements_worth(kWorthAnAwakeThreadNs);
  }

  Region region_;
  const VectorKernels& kernels_;
  std::vector<Life> lives_;  // by register
  const std::shared_ptr<Plan> plan_ = std::make_shared<Plan>();
  size_t first_slot_ = 0;           // location of slot 0
  std::vector<size_t> slot_bytes_;  // per element; 0: the slot is for a single element
  std::vector<size_t> free_slots_;
};

}  // namespace

PointwiseProgram PointwiseProgram::compile(const Graph& graph, Span<const Value> nodes, Span<const Value> outputs,
                                           Span<const PointwiseView> views, Span<const PointwiseRows> rows) {
  return PointwiseProgram(Compiler(analyse_region(graph, nodes, outputs, views), rows).compile());
}

}  // namespace mps
