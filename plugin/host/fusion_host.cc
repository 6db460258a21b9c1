#include "plugin/host/fusion_host.h"

#include <algorithm>
#include <map>
#include <utility>

namespace mps {
namespace {

// Nodes that only say how their operand lies in memory.
bool is_view(NodeKind kind) {
  switch (info(kind).family) {
    case NodeFamily::kReshape:
    case NodeFamily::kTranspose:
    case NodeFamily::kBroadcast:
    case NodeFamily::kSlice:
    case NodeFamily::kStridedView:
      return true;
    case NodeFamily::kSource:
    case NodeFamily::kUnary:
    case NodeFamily::kBinary:
    case NodeFamily::kCompare:
    case NodeFamily::kSelect:
    case NodeFamily::kCast:
    case NodeFamily::kConcatenation:
    case NodeFamily::kStridedUpdate:
    case NodeFamily::kReduce:
    case NodeFamily::kArgReduce:
    case NodeFamily::kScan:
    case NodeFamily::kCoordinate:
    case NodeFamily::kGather:
    case NodeFamily::kScatter:
    case NodeFamily::kArgSort:
    case NodeFamily::kSearchSorted:
    case NodeFamily::kRandom:
    case NodeFamily::kMatmul:
    case NodeFamily::kConvolution:
    case NodeFamily::kConvolutionGradient:
    case NodeFamily::kPooling:
    case NodeFamily::kPoolingGradient:
    case NodeFamily::kAttention:
    case NodeFamily::kAlignment:
    case NodeFamily::kFourier:
    case NodeFamily::kQuantized:
      return false;
  }
  __builtin_unreachable();
}

class Finder {
 public:
  explicit Finder(const Graph& graph)
      : graph_(graph),
        count_(static_cast<uint32_t>(graph.node_count())),
        users_(count_),
        is_result_(count_, false),
        parent_(count_),
        fusion_of_(count_, Fusions::kNone) {
    for (uint32_t i = 0; i < count_; ++i) {
      parent_[i] = i;
      for (int64_t operand : graph.operands(graph.node(i))) users_[static_cast<size_t>(operand)].push_back(i);
    }
    for (uint32_t result : graph.results()) is_result_[result] = true;
    fusions_.stored_by.resize(count_, Fusions::kNone);
    fusions_.prologue_of.resize(count_, Fusions::kNone);
  }

  Fusions find() {
    find_levels();
    for (uint32_t i = 0; i < count_; ++i) {
      if (info(graph_.node(i).kind).family == NodeFamily::kReduce) find_prologue(i);
    }
    join_neighbours();
    for (uint32_t i = 0; i < count_; ++i) {
      if (!pointwise(i) || in_prologue(i)) continue;
      uint32_t& number = fusion_of_[root(i)];
      if (number == Fusions::kNone) number = add_fusion();
      fusion_of_[i] = number;
    }
    fill_fusions();
    return std::move(fusions_);
  }

 private:
  bool pointwise(uint32_t node) const { return is_pointwise(graph_.node(node).kind); }
  bool in_prologue(uint32_t node) const { return fusion_of_[node] < prologues_; }
  int64_t elements(uint32_t node) const { return graph_.elements(Value{node}); }
  bool shapes_match(uint32_t a, uint32_t b) const { return same_shape(graph_.shape(Value{a}), graph_.shape(Value{b})); }

  // `user` reads the operand in the same loop.
  bool is_direct(uint32_t operand, uint32_t user) const {
    return pointwise(operand) && pointwise(user) && shapes_match(operand, user);
  }

  // `user` computes the operand itself.
  bool is_repeated(uint32_t operand) const { return pointwise(operand) && elements(operand) == 1; }

  void find_levels() {
    level_.resize(count_, 0);
    computed_.resize(count_, false);  // not a source, nor a view of one
    for (uint32_t i = 0; i < count_; ++i) {
      const Node& node = graph_.node(i);
      const bool views = is_view(node.kind);
      computed_[i] = !views && info(node.kind).family != NodeFamily::kSource;
      for (int64_t operand : graph_.operands(node)) {
        const uint32_t from = static_cast<uint32_t>(operand);
        if (views) computed_[i] = computed_[from];
        if (!computed_[from]) continue;
        const bool in_register = pointwise(i) && (is_repeated(from) || is_direct(from, i));
        const bool needs_memory = !views && !in_register;
        level_[i] = std::max(level_[i], level_[from] + (needs_memory ? 1u : 0u));
      }
    }
    // What only later loops read is left to the first of them: else it would go through memory to get there.
    for (uint32_t i = count_; i-- > 0;) {
      if (!pointwise(i) || is_result_[i] || users_[i].empty()) continue;
      uint32_t first = UINT32_MAX;
      for (uint32_t user : users_[i]) first = std::min(first, is_direct(i, user) ? level_[user] : 0);
      level_[i] = std::max(level_[i], first);
    }
  }

  uint32_t add_fusion() {
    fusions_.all.emplace_back();
    return static_cast<uint32_t>(fusions_.all.size() - 1);
  }

  // Walks up from the operand of a reduction as far as nobody else is interested.
  void find_prologue(uint32_t reduction) {
    const uint32_t last = graph_.operand(graph_.node(reduction), 0).node;
    if (!pointwise(last) || is_result_[last] || users_[last].size() != 1) return;
    const uint32_t number = add_fusion();
    prologues_ = number + 1;
    fusions_.prologue_of[reduction] = number;
    fusion_of_[last] = number;
    for (uint32_t i = last; i-- > 0;) {
      const bool only_here = !is_result_[i] && std::all_of(users_[i].begin(), users_[i].end(),
                                                           [&](uint32_t user) { return fusion_of_[user] == number; });
      if (is_direct(i, last) && only_here) fusion_of_[i] = number;
    }
  }

  uint32_t root(uint32_t node) {
    while (parent_[node] != node) node = parent_[node] = parent_[parent_[node]];
    return node;
  }

  void join_neighbours() {
    for (uint32_t i = 0; i < count_; ++i) {
      const bool in_memory = elements(i) > 1 && graph_.node(i).kind != NodeKind::constant && users_[i].size() > 1;
      std::map<std::pair<uint32_t, std::vector<int64_t>>, uint32_t> readers;  // the first of each level and shape
      for (uint32_t user : users_[i]) {
        if (!pointwise(user) || in_prologue(user)) continue;
        if (is_direct(i, user) && level_[i] == level_[user]) parent_[root(i)] = root(user);
        if (!in_memory) continue;
        const Dims shape = graph_.shape(Value{user});
        const auto [first, is_new] =
            readers.emplace(std::make_pair(level_[user], std::vector<int64_t>(shape.begin(), shape.end())), user);
        if (!is_new) parent_[root(first->second)] = root(user);
      }
    }
  }

  // From what must be in memory back to what that takes. A fusion whose values are only ever computed anew by others
  // stays empty.
  void fill_fusions() {
    for (uint32_t result : graph_.results()) store(result);
    for (uint32_t i = 0; i < count_; ++i) {
      const uint32_t prologue = fusions_.prologue_of[i];
      if (pointwise(i)) continue;
      for (int64_t operand : graph_.operands(graph_.node(i))) {
        if (prologue == Fusions::kNone) {
          store(static_cast<uint32_t>(operand));
        } else {
          fusions_.all[prologue].outputs.insert(static_cast<uint32_t>(operand));
          add(static_cast<uint32_t>(operand), prologue);
        }
      }
    }
    while (!unread_.empty()) {
      const auto [node, fusion] = unread_.back();
      unread_.pop_back();
      for (int64_t operand : graph_.operands(graph_.node(node))) {
        const uint32_t from = static_cast<uint32_t>(operand);
        const bool inside = fusion_of_[from] == fusion || is_repeated(from);
        inside ? add(from, fusion) : store(from);
      }
    }
  }

  void store(uint32_t node) {
    if (!pointwise(node)) return;
    const uint32_t fusion = fusion_of_[node];
    fusions_.stored_by[node] = fusion;
    fusions_.all[fusion].outputs.insert(node);
    add(node, fusion);
  }

  void add(uint32_t node, uint32_t fusion) {
    if (fusions_.all[fusion].nodes.insert(node).second) unread_.emplace_back(node, fusion);
  }

  const Graph& graph_;
  const uint32_t count_;
  std::vector<std::vector<uint32_t>> users_;
  std::vector<bool> is_result_;
  std::vector<uint32_t> parent_;     // union-find over pointwise nodes
  std::vector<uint32_t> fusion_of_;  // by pointwise node
  uint32_t prologues_ = 0;           // fusions below this number
  std::vector<uint32_t> level_;
  std::vector<bool> computed_;
  std::vector<std::pair<uint32_t, uint32_t>> unread_;  // nodes of fusions whose operands were not looked at yet
  Fusions fusions_;
};

}  // namespace

Fusions find_fusions(const Graph& graph) { return Finder(graph).find(); }

}  // namespace mps
