#include "plugin/host/plan_host.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "plugin/core/check.h"
#include "plugin/host/fusion_host.h"
#include "plugin/host/lower_host.h"
#include "plugin/host/plan_memory_host.h"
#include "plugin/host/row_chains_host.h"
#include "plugin/host/steps_host.h"
#include "plugin/host/view_host.h"
#include "plugin/host/whole_host.h"

namespace mps {
namespace {

// Elements from which on a tiled copy pays for a step and memory of its own.
constexpr int64_t kLargeTranspose = 2048;

class Planner {
 public:
  explicit Planner(const Graph& graph)
      : graph_(graph), fusions_(find_fusions(graph)), views_(graph.node_count()), homes_(graph.node_count()) {
    plan_.feeds = static_cast<uint32_t>(graph.feed_count());
    plan_.results = static_cast<uint32_t>(graph.results().size());
    plan_.slots = plan_.feeds + plan_.results;
  }

  HostPlan make() {
    for (uint32_t i = 0; i < plan_.results; ++i) {
      Value value{graph_.results()[i]};
      while (!has_home(value)) {
        homes_[value.node] = {plan_.feeds + i, 0};
        // A reshape lies where its operand does: that is computed in the result's place.
        const Node& node = graph_.node(value);
        if (info(node.kind).family == NodeFamily::kReshape) value = graph_.operand(node, 0);
      }
    }
    for (uint32_t result : graph_.results()) {
      if (graph_.elements(Value{result}) != 0) view(Value{result});
    }
    // What is returned without being computed into its place: feeds, constants, views, and a value that is returned
    // twice.
    for (uint32_t i = 0; i < plan_.results; ++i) {
      const Value value{graph_.results()[i]};
      const uint32_t slot = plan_.feeds + i;
      if (graph_.elements(value) != 0 && view(value).slot != slot)
        copy(value, view(value), dense_view(slot, graph_.shape(value)));
    }
    chain_rows(&plan_, &temporaries_);
    place_temporaries(&plan_, std::move(temporaries_));
    find_conflicts(&plan_);
    return std::move(plan_);
  }

 private:
  static constexpr uint32_t kNoSlot = UINT32_MAX;

  struct Home {
    uint32_t slot = kNoSlot;
    int64_t offset = 0;       // in elements
    PointwiseRows rows = {};  // of a part of a concatenation that does not lie in one piece
  };

  struct PackedY {
    SlotAt y;
    std::shared_ptr<const SplitProduct> product;
    uint32_t slot;
  };

  SlotAt place(const View& view, DType dtype) const {
    return {view.slot, view.offset * static_cast<int64_t>(size_of(dtype))};
  }
  SlotAt place(Value value) { return place(view(value), graph_.dtype(value)); }

  uint32_t new_temporary(size_t bytes) {
    temporaries_.push_back({plan_.slots, bytes});
    return plan_.slots++;
  }

  // Where a computed value is written: its result, its part of a concatenation, else a temporary.
  View home(Value value) {
    Home& home = homes_[value.node];
    if (!has_home(value)) home = {new_temporary(graph_.bytes(value)), 0};
    const Dims shape = graph_.shape(value);
    View view = dense_view(home.slot, shape);
    view.offset = home.offset;
    int64_t inner = 1;
    for (size_t axis = shape.size(); home.rows.elements != 0 && axis-- > 0; inner *= shape[axis]) {
      if (inner >= home.rows.elements) view.strides[axis] = inner / home.rows.elements * home.rows.stride;
    }
    return view;
  }
  bool has_home(Value value) const { return homes_[value.node].slot != kNoSlot; }

  // Wants the value to be computed there. In vain if it is computed already, or wanted elsewhere.
  void settle(Value value, Home home) {
    while (info(graph_.node(value).kind).family == NodeFamily::kReshape) value = graph_.operand(graph_.node(value), 0);
    const Node& node = graph_.node(value);
    const NodeFamily family = info(node.kind).family;
    const bool computed = is_pointwise(node.kind) || is_whole(family) || family == NodeFamily::kReduce ||
                          family == NodeFamily::kMatmul || family == NodeFamily::kConcatenation;
    if (!computed || views_[value.node] || has_home(value)) return;
    homes_[value.node] = home;
    if (family == NodeFamily::kConcatenation) settle_parts(value);
  }

  // The parts of a concatenation that lie one after the other, those within them too.
  void settle_parts(Value whole) {
    const Node& node = graph_.node(whole);
    const Dims shape = graph_.shape(whole);
    for (int64_t axis = 0; axis < graph_.attributes(node)[0]; ++axis) {
      if (shape[static_cast<size_t>(axis)] != 1)
        return settle_rows(whole, static_cast<size_t>(graph_.attributes(node)[0]));
    }
    Home part = homes_[whole.node];
    for (size_t i = 0; i < node.operand_count; ++i) {
      settle(graph_.operand(node, i), part);
      part.offset += graph_.elements(graph_.operand(node, i));
    }
  }

  // Those that lie side by side. Pointwise programs write rows that are not too short.
  void settle_rows(Value whole, size_t concatenated) {
    constexpr int64_t kShortestRow = 16;
    const Node& node = graph_.node(whole);
    const auto row_of = [&](Value value) {
      const Dims shape = graph_.shape(value);
      return element_count({shape.data() + concatenated, shape.size() - concatenated});
    };
    Home part = homes_[whole.node];
    if (part.rows.elements != 0) return;
    part.rows.stride = row_of(whole);
    for (size_t i = 0; i < node.operand_count; ++i) {
      const Value operand = graph_.operand(node, i);
      part.rows.elements = row_of(operand);
      const bool can = is_pointwise(graph_.node(operand).kind) && !views_[operand.node] && !has_home(operand);
      if (can && part.rows.elements >= kShortestRow && count_uses(operand) == 1) homes_[operand.node] = part;
      part.offset += part.rows.elements;
    }
  }

  // Adds the steps that compute the value, if they are not there yet, and says where it lies.
  const View& view(Value value) {
    if (!views_[value.node]) {
      std::optional<View> made = make_view(value);
      views_[value.node] = std::move(made);
    }
    return *views_[value.node];
  }

  // The same for readers that take no strides.
  View dense(Value value) {
    const View& lies = view(value);
    if (is_contiguous(graph_.shape(value), lies.strides)) return lies;
    return *(views_[value.node] = dense_copy(value));
  }

  View dense_copy(Value value) {
    const View copied = home(value);
    copy(value, view(value), copied);
    return copied;
  }

  void copy(Value value, const View& from, const View& to) {
    const DType dtype = graph_.dtype(value);
    plan_.steps.push_back(
        make_copy_step(CopyProgram::compile(size_of(dtype), graph_.shape(value), to.strides, from.strides),
                       place(from, dtype), place(to, dtype)));
  }

  bool is_large_transpose(Value value) {
    const Dims shape = graph_.shape(value);
    const View& lies = view(value);
    return graph_.elements(value) >= kLargeTranspose &&
           CopyProgram::compile(size_of(graph_.dtype(value)), shape, contiguous_strides(shape), lies.strides)
               .is_transpose();
  }

  View make_view(Value value) {
    const Node& node = graph_.node(value);
    const Dims attributes = graph_.attributes(node);
    const auto operand = [&](size_t i) { return graph_.operand(node, i); };
    const auto attributes_from = [&](size_t start) {
      return Dims(attributes.data() + start, attributes.size() - start);
    };
    switch (info(node.kind).family) {
      case NodeFamily::kSource:
        return source(value);
      case NodeFamily::kUnary:
      case NodeFamily::kBinary:
      case NodeFamily::kCompare:
      case NodeFamily::kSelect:
      case NodeFamily::kCast: {
        const Fusion& fusion = fusions_.all[fusions_.stored_by[value.node]];
        add_fusion(fusion);
        return home(value);
      }
      case NodeFamily::kReshape: {
        const Dims from = graph_.shape(operand(0)), to = graph_.shape(value);
        if (const auto same_memory = reshaped(view(operand(0)), from, to)) return *same_memory;
        return *reshaped(dense(operand(0)), from, to);
      }
      case NodeFamily::kTranspose:
        return transposed(view(operand(0)), attributes);
      case NodeFamily::kBroadcast:
        return broadcasted(view(operand(0)), graph_.shape(operand(0)), graph_.shape(value));
      case NodeFamily::kSlice:
        return sliced(view(operand(0)), {attributes.data(), node.rank}, attributes_from(node.rank));
      case NodeFamily::kStridedView:
        return strided(view(operand(0)), attributes[0], attributes_from(1));
      case NodeFamily::kConcatenation:
        return concatenation(value, node, static_cast<size_t>(attributes[0]));
      case NodeFamily::kStridedUpdate:
        return strided_update(value, operand(0), operand(1), attributes[0], attributes_from(1));
      case NodeFamily::kReduce:
        return reduction(value, operand(0));
      case NodeFamily::kArgReduce:
      case NodeFamily::kScan:
      case NodeFamily::kGather:
      case NodeFamily::kScatter:
      case NodeFamily::kArgSort:
      case NodeFamily::kSearchSorted:
      case NodeFamily::kRandom:
      case NodeFamily::kConvolution:
      case NodeFamily::kConvolutionGradient:
      case NodeFamily::kPooling:
      case NodeFamily::kPoolingGradient:
      case NodeFamily::kAttention:
      case NodeFamily::kAlignment:
      case NodeFamily::kFourier:
      case NodeFamily::kQuantized:
        return whole(value, node);
      case NodeFamily::kCoordinate:
        return coordinate(value, static_cast<size_t>(attributes[0]));
      case NodeFamily::kMatmul:
        return matrix_multiplication(value, operand(0), operand(1));
    }
    __builtin_unreachable();
  }

  View source(Value value) {
    const Node& node = graph_.node(value);
    const uint64_t attribute = static_cast<uint64_t>(graph_.attributes(node)[0]);
    if (node.kind != NodeKind::constant) return dense_view(static_cast<uint32_t>(attribute), graph_.shape(value));
    View repeated{plan_.slots++, 0, {}};
    repeated.strides.resize(node.rank, 0);
    plan_.constants.push_back({repeated.slot, attribute});
    return repeated;
  }

  PointwiseProgram compile(const Fusion& fusion, Span<const PointwiseRows> rows = {}) {
    std::vector<Value> nodes, outputs;
    std::vector<PointwiseView> strided_inputs;
    const auto is_input = [&](Value value) {
      return fusion.nodes.count(value.node) == 0 && graph_.node(value).kind != NodeKind::constant;
    };
    // First of all the steps that compute the inputs: they may want one of the others to be dense, which moves it.
    for (uint32_t i : fusion.nodes) {
      for (int64_t operand : graph_.operands(graph_.node(i))) {
        const Value input{static_cast<uint32_t>(operand)};
        if (is_input(input)) view(input);
      }
    }
    for (uint32_t i : fusion.nodes) {
      nodes.push_back(Value{i});
      for (int64_t operand : graph_.operands(graph_.node(i))) {
        const Value input{static_cast<uint32_t>(operand)};
        if (!is_input(input)) continue;
        // A program collects strided elements one by one: a large transpose is better done in tiles beforehand.
        const View lies = is_large_transpose(input) ? dense(input) : view(input);
        if (!is_contiguous(graph_.shape(input), lies.strides)) strided_inputs.push_back({input, lies.strides});
      }
    }
    for (uint32_t i : fusion.outputs) outputs.push_back(Value{i});
    return PointwiseProgram::compile(graph_, nodes, outputs, strided_inputs, rows);
  }

  std::vector<SlotAt> places(Span<const Value> values) {
    std::vector<SlotAt> result;
    for (Value value : values) result.push_back(place(value));
    return result;
  }

  void add_fusion(const Fusion& fusion) {
    std::vector<PointwiseRows> rows;
    bool in_rows = false;
    for (uint32_t i : fusion.outputs) {
      rows.push_back(homes_[i].rows);
      in_rows = in_rows || homes_[i].rows.elements != 0;
    }
    PointwiseProgram program = compile(fusion, rows);
    std::vector<SlotAt> inputs = places(program.inputs()), outputs;
    for (uint32_t i : fusion.outputs) {
      views_[i] = home(Value{i});
      outputs.push_back(place(*views_[i], graph_.dtype(Value{i})));
    }
    plan_.steps.push_back(make_pointwise_step(std::move(program), std::move(inputs), std::move(outputs), in_rows));
  }

  View reduction(Value value, Value operand) {
    const View to_view = home(value);
    const SlotAt to = place(to_view, graph_.dtype(value));
    const uint32_t prologue = fusions_.prologue_of[value.node];
    if (prologue == Fusions::kNone) {
      const SlotAt from = place(dense(operand), graph_.dtype(operand));
      plan_.steps.push_back(make_reduce_step(ReduceProgram::compile(graph_, value), {from}, to));
    } else {
      ReduceProgram program = ReduceProgram::compile(graph_, value, compile(fusions_.all[prologue]));
      std::vector<SlotAt> inputs = places(program.inputs());
      plan_.steps.push_back(make_reduce_step(std::move(program), std::move(inputs), to));
    }
    return to_view;
  }

  View whole(Value value, const Node& node) {
    std::vector<SlotAt> inputs;
    for (size_t i = 0; i < node.operand_count; ++i) {
      const Value operand = graph_.operand(node, i);
      inputs.push_back(place(dense(operand), graph_.dtype(operand)));
    }
    const View to_view = home(value);
    const SlotAt to = place(to_view, graph_.dtype(value));
    plan_.steps.push_back(make_whole_step(compile_whole(graph_, value), std::move(inputs), to));
    return to_view;
  }

  // One line of numbers, looked at from all sides.
  View coordinate(Value value, size_t axis) {
    const int64_t count = graph_.shape(value)[axis];
    View line{new_temporary(static_cast<size_t>(count) * sizeof(int32_t)), 0, {}};
    line.strides.resize(graph_.shape(value).size(), 0);
    line.strides[axis] = 1;
    plan_.steps.push_back(make_whole_step(count_to(count), {}, {line.slot, 0}));
    return line;
  }

  View matrix_multiplication(Value value, Value x, Value y) {
    const auto matrix = [&](Value operand) {
      const View& lies = view(operand);
      return MatmulProgram::reads(graph_.shape(operand), lies.strides) ? lies : dense(operand);
    };
    const DType dtype = graph_.dtype(value);
    constexpr size_t kOften = 4;
    const bool shares_y = count_uses(y) >= kOften;
    const auto compiled = [&](const View& x_view, const View& y_view) {
      return MatmulProgram::compile(dtype, graph_.shape(x), x_view.strides, graph_.shape(y), y_view.strides, shares_y);
    };
    View x_view = matrix(x), y_view = matrix(y);
    // Kernels that do not pack turn a matrix that lies by columns round, time and again if they meet it often.
    if (shares_y && y_view.strides.back() != 1 && compiled(x_view, y_view).packs_y() == nullptr) y_view = dense(y);
    if (!MatmulProgram::reads(dtype, graph_.shape(x), x_view.strides, graph_.shape(y), y_view.strides)) {
      x_view = dense(x);
      y_view = dense(y);
    }
    MatmulProgram program = compiled(x_view, y_view);
    const SlotAt y_at = place(y_view, dtype);
    std::optional<SlotAt> packed;
    if (const auto product = program.packs_y()) packed = packed_y(y_at, product);
    const View to_view = home(value);
    plan_.steps.push_back(
        make_matmul_step(std::move(program), place(x_view, dtype), y_at, packed, place(to_view, dtype)));
    return to_view;
  }

  // Where y is packed: once for all products that take it so.
  SlotAt packed_y(SlotAt y, const std::shared_ptr<const SplitProduct>& product) {
    for (const PackedY& other : packed_) {
      if (other.y.slot == y.slot && other.y.offset_bytes == y.offset_bytes && other.product->y() == product->y()) {
        return {other.slot, 0};
      }
    }
    const uint32_t slot = new_temporary(product->packed_bytes());
    packed_.push_back({y, product, slot});
    plan_.steps.push_back(make_pack_step(product, y, {slot, 0}));
    return {slot, 0};
  }

  View concatenation(Value value, const Node& node, size_t axis) {
    const View whole = home(value);
    settle_parts(value);
    View part = whole;
    for (size_t i = 0; i < node.operand_count; ++i) {
      const Value operand = graph_.operand(node, i);
      const View from = view(operand);
      bool is_there = from.slot == part.slot && from.offset == part.offset;
      for (size_t each = 0; is_there && each < part.strides.size(); ++each) {
        is_there = graph_.shape(operand)[each] == 1 || from.strides[each] == part.strides[each];
      }
      if (!is_there) copy(operand, from, part);
      part.offset += graph_.shape(operand)[axis] * whole.strides[axis];
    }
    return whole;
  }

  View strided_update(Value value, Value storage, Value update, int64_t offset, Dims strides) {
    const View whole = home(value);
    // A storage that nobody else reads is computed where it is wanted.
    const NodeFamily family = info(graph_.node(storage).kind).family;
    const bool computed = is_pointwise(graph_.node(storage).kind) || family == NodeFamily::kStridedUpdate ||
                          family == NodeFamily::kConcatenation;
    const bool in_place = computed && !has_home(storage) && count_uses(storage) == 1;
    if (in_place) homes_[storage.node] = homes_[value.node];
    const View from = view(update);
    if (view(storage).slot != whole.slot || view(storage).offset != whole.offset) copy(storage, view(storage), whole);
    copy(update, from, strided(whole, offset, strides));
    return whole;
  }

  size_t count_uses(Value value) const {
    size_t uses = 0;
    for (uint32_t i = value.node + 1; i < graph_.node_count(); ++i) {
      for (int64_t operand : graph_.operands(graph_.node(i))) uses += operand == value.node ? 1 : 0;
    }
    return uses;
  }

  const Graph& graph_;
  const Fusions fusions_;
  HostPlan plan_;
  std::vector<std::optional<View>> views_;  // by node, once its steps are there
  std::vector<Home> homes_;                 // by node: where it is written
  std::vector<PlanTemporary> temporaries_;
  std::vector<PackedY> packed_;
};

}  // namespace

std::shared_ptr<const HostExecutable> compile_plan(const Graph& graph, std::shared_ptr<Scratch> scratch) {
  const Graph lowered = lower(graph);
  return make_executable(Planner(lowered).make(), std::move(scratch));
}

}  // namespace mps
