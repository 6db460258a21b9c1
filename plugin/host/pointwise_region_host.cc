#include "plugin/host/pointwise_region_host.h"

#include <algorithm>
#include <utility>

#include "plugin/core/check.h"

namespace mps {
namespace {

// Nodes whose result on float16 operands needs no rounding to be a float16 again; likewise bfloat16. A node that is
// missing here is merely rounded in vain.
bool is_exact(NodeKind kind) {
  return kind == NodeKind::negative || kind == NodeKind::absolute || kind == NodeKind::sign || kind == NodeKind::relu ||
         kind == NodeKind::maximum || kind == NodeKind::minimum || kind == NodeKind::select;
}

class Analysis {
 public:
  Analysis(const Graph& graph, Span<const Value> nodes, Span<const Value> outputs, Span<const PointwiseView> views)
      : graph_(graph), views_(views), kernels_(vector_kernels()), shape_(graph.shape(outputs[0])) {
    region_.elements = element_count(shape_);
    register_of_.assign(graph.node_count(), kNone);
    in_region_.assign(graph.node_count(), false);
    is_read_.assign(graph.node_count(), false);
    for (Value value : nodes) {
      in_region_[value.node] = true;
      for (int64_t operand : graph.operands(graph.node(value))) is_read_[static_cast<size_t>(operand)] = true;
    }
    for (Value value : nodes) add_node(value);
    for (Value value : outputs) add_output(value);
    join_steps(kernels_, &region_);
    for (Step& step : region_.steps) {
      if (asks_ahead_in_vain(step)) step.stream_fn = nullptr;
    }
    for (uint32_t i = static_cast<uint32_t>(region_.steps.size()); i-- > 0;) guard_arms(i);
    merge_dimensions();
  }

  Region take() { return std::move(region_); }

 private:
  void add_node(Value value) {
    const Node& node = graph_.node(value);
    MPS_CHECK(is_pointwise(node.kind), kInternal, "bad pointwise region: expected pointwise nodes, got ",
              info(node.kind).name, ".");
    check_shape(value);
    Step step;
    step.operand_count = node.operand_count;
    for (uint32_t i = 0; i < node.operand_count; ++i) step.operands[i] = register_for(graph_.operand(node, i));
    if (!choose_functions(node, is_read_[value.node], &step)) {
      register_of_[value.node] = step.operands[0];
      return;
    }
    Register result;
    result.dtype = register_dtype(node.dtype);
    result.uniform = true;
    for (uint32_t i = 0; i < step.operand_count; ++i) {
      Register& operand = region_.registers[step.operands[i]];
      ++operand.readers;
      result.uniform = result.uniform && operand.uniform;
    }
    if (!result.uniform) region_.ns_per_element += cost_ns(node);
    step.result = add_register(value, result);
    region_.steps.push_back(step);
  }

  // False if the result is the operand's register as it is.
  bool choose_functions(const Node& node, bool is_read, Step* step) const {
    const DType operand_dtype = graph_.dtype(graph_.operand(node, 0));
    const DType from = register_dtype(operand_dtype), to = register_dtype(node.dtype);
    // The last rounding of a float16 value is the store's work, unless somebody else reads it too.
    const BlockFn round = is_read ? kernels_.round[index_of(node.dtype)] : nullptr;
    step->round = is_exact(node.kind) ? nullptr : round;
    if (node.kind == NodeKind::identity) return false;
    if (node.kind == NodeKind::cast && from == to) {
      step->fn = round;  // null for a cast to float32
      step->round = nullptr;
      return round != nullptr;
    }
    step->selects = node.kind == NodeKind::select;
    step->fn = node.kind == NodeKind::cast     ? kernels_.cast[index_of(from)][index_of(to)]
               : node.kind == NodeKind::select ? kernels_.select[index_of(node.dtype)]
                                               : kernels_.pointwise[index_of(node.kind)][index_of(from)];
    step->stream_fn = node.kind == NodeKind::cast ? kernels_.stream_cast[index_of(from)][index_of(to)]
                      : !step->selects            ? kernels_.stream_pointwise[index_of(node.kind)][index_of(from)]
                      : size_of(to) == 4          ? kernels_.stream_select
                                                  : nullptr;
    MPS_CHECK(step->fn != nullptr, kInternal, "no block function: expected one for ", info(node.kind).name, " of ",
              name(operand_dtype), ".");
    return true;
  }

  // A function that writes truths past the caches asks memory for more of its operands, also if blocks of them are in
  // scratch memory.
  bool asks_ahead_in_vain(const Step& step) const {
    if (region_.registers[step.result].dtype != DType::bool_ || step.stream_fn == nullptr) return false;
    const auto is_in_memory = [&](const Register& operand) {
      return operand.input != kNone && !is_short_float(operand.stored) &&
             region_.inputs[operand.input].access == InputAccess::kDense;
    };
    for (uint32_t i = 0; i < std::min(step.operand_count, 2u); ++i) {
      const Register& operand = region_.registers[step.operands[i]];
      if (!operand.uniform && !is_in_memory(operand)) return true;
    }
    return false;
  }

  // Guards what a selection's arms alone read, where that is much.
  void guard_arms(uint32_t selection) {
    const Step step = region_.steps[selection];
    if (!step.selects || region_.registers[step.operands[0]].uniform) return;
    const size_t known = step_of(step.operands[0]);
    if (known == kNone) return;
    for (uint32_t arm = 1; arm <= 2; ++arm) {
      const std::vector<uint32_t> only_here = steps_only_for(step.operands[arm], selection, known);
      constexpr size_t kWorthATest = 24;
      if (only_here.size() < kWorthATest) continue;
      region_.guards.push_back({step.operands[0], arm == 1});
      for (uint32_t i : only_here) region_.steps[i].guard = static_cast<uint32_t>(region_.guards.size());
    }
  }

  size_t step_of(uint32_t number) const {
    for (size_t i = 0; i < region_.steps.size(); ++i) {
      if (region_.steps[i].result == number) return i;
    }
    return kNone;
  }

  // The steps behind `known` that nothing but this operand of `reader` needs, without those that have a guard already.
  std::vector<uint32_t> steps_only_for(uint32_t operand, uint32_t reader, size_t known) const {
    std::vector<uint32_t> reads(region_.registers.size(), 0), found;  // reads: by steps that are found
    reads[operand] = 1;
    for (uint32_t i = reader; i-- > known + 1;) {
      const Step& step = region_.steps[i];
      const Register& result = region_.registers[step.result];
      if (reads[step.result] == 0 || reads[step.result] != result.readers) continue;
      if (result.uniform || !result.outputs.empty() || step.guard != 0) continue;
      found.push_back(i);
      for (uint32_t n = 0; n < step.operand_count; ++n) ++reads[step.operands[n]];
    }
    return found;
  }

  // As measured with 64-byte vectors on one core at about 4 GHz, operands in the first-level cache.
  static double cost_ns(const Node& node) {
    const bool divides =
        node.kind == NodeKind::division || node.kind == NodeKind::reciprocal || node.kind == NodeKind::square_root;
    if (divides) return node.dtype == DType::int64 ? 1.8 : 0.1;
    if (info(node.kind).dtypes == NodeDTypes::kFloat) return 0.35;  // elementary functions
    return 0.01 * static_cast<double>(size_of(node.dtype));
  }

  uint32_t add_register(Value value, const Register& fresh) {
    register_of_[value.node] = region_.registers.size();
    region_.registers.push_back(fresh);
    return static_cast<uint32_t>(region_.registers.size() - 1);
  }

  // The register of an operand; one from outside of the region is a constant or becomes an input.
  uint32_t register_for(Value value) {
    if (register_of_[value.node] != kNone) return static_cast<uint32_t>(register_of_[value.node]);
    MPS_CHECK(!in_region_[value.node], kInternal,
              "bad pointwise region: expected operands before their users, got a user of %", value.node, " before it.");
    check_shape(value);
    const Node& node = graph_.node(value);
    Register fresh;
    fresh.dtype = register_dtype(node.dtype);
    if (node.kind == NodeKind::constant) {
      const uint64_t stored = static_cast<uint64_t>(graph_.attributes(node)[0]);
      uint64_t bits = stored;
      const BlockFn load = kernels_.load[index_of(node.dtype)];
      if (load != nullptr) load(&stored, nullptr, nullptr, &bits, 1);
      fresh.uniform = true;
      fresh.constant = region_.constants.size();
      region_.constants.push_back(bits);
    } else {
      const PlannedInput input = plan_input(value);
      fresh.uniform = input.access == InputAccess::kSplat;
      fresh.stored = node.dtype;
      fresh.input = region_.inputs.size();
      region_.inputs.push_back(input);
      region_.input_values.push_back(value);
    }
    return add_register(value, fresh);
  }

  PlannedInput plan_input(Value value) const {
    const Dims own = graph_.shape(value);
    Ints strides = contiguous_strides(own);
    for (const PointwiseView& view : views_) {
      if (view.value.node == value.node) strides = view.strides;
    }
    MPS_CHECK(strides.size() == own.size(), kInternal, "bad view: expected ", own.size(), " strides, got ",
              strides.size(), ".");
    PlannedInput input;
    input.element_bytes = static_cast<uint8_t>(size_of(graph_.dtype(value)));
    input.strides.resize(shape_.size(), 0);  // 0 along the dimensions that broadcast
    bool splat = true;
    for (size_t i = 0; i < own.size(); ++i) {
      const int64_t stride = own[i] == 1 ? 0 : strides[i];
      input.strides[shape_.size() - own.size() + i] = stride;
      splat = splat && stride == 0;
    }
    input.access = is_contiguous(shape_, input.strides) ? InputAccess::kDense
                   : splat                              ? InputAccess::kSplat
                                                        : InputAccess::kStrided;
    return input;
  }

  void add_output(Value value) {
    MPS_CHECK(in_region_[value.node] && same_shape(graph_.shape(value), shape_), kInternal,
              "bad pointwise region: expected outputs of shape ", to_string(shape_), " from the region, got %",
              value.node, " of shape ", to_string(graph_.shape(value)), ".");
    const uint32_t number = static_cast<uint32_t>(region_.output_dtypes.size());
    region_.registers[register_of_[value.node]].outputs.push_back(number);
    region_.output_dtypes.push_back(graph_.dtype(value));
  }

  void check_shape(Value value) const {
    MPS_CHECK(broadcasts_to(graph_.shape(value), shape_), kInternal,
              "bad pointwise region: expected shapes that broadcast to ", to_string(shape_), ", got ",
              to_string(graph_.shape(value)), ".");
  }

  // Adjacent dimensions become one where every strided input steps through both alike.
  void merge_dimensions() {
    std::vector<Ints> strides(region_.inputs.size());
    for (size_t d = 0; d < shape_.size(); ++d) {
      if (shape_[d] == 1) continue;
      bool fits = !region_.shape.empty();
      for (size_t i = 0; fits && i < strides.size(); ++i) {
        const PlannedInput& input = region_.inputs[i];
        fits = input.access != InputAccess::kStrided || strides[i].back() == input.strides[d] * shape_[d];
      }
      if (!fits) region_.shape.push_back(1);
      region_.shape.back() *= shape_[d];
      for (size_t i = 0; i < strides.size(); ++i) {
        if (!fits) strides[i].push_back(0);
        strides[i].back() = region_.inputs[i].strides[d];
      }
    }
    for (size_t i = 0; i < strides.size(); ++i) region_.inputs[i].strides = strides[i];
  }

  const Graph& graph_;
  const Span<const PointwiseView> views_;
  const VectorKernels& kernels_;
  const Shape shape_;
  std::vector<size_t> register_of_;  // by node
  std::vector<bool> in_region_;      // by node
  std::vector<bool> is_read_;        // by node: by a node of the region
  Region region_;
};

}  // namespace

Region analyse_region(const Graph& graph, Span<const Value> nodes, Span<const Value> outputs,
                      Span<const PointwiseView> views) {
  MPS_CHECK(!outputs.empty(), kInternal, "bad pointwise region: expected at least one output, got none.");
  return Analysis(graph, nodes, outputs, views).take();
}

}  // namespace mps
