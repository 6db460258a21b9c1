// Steps of a region that become one, with the same bits: each saves a pass over every block.
#include <algorithm>
#include <utility>

#include "plugin/host/pointwise_region_host.h"

namespace mps {
namespace {

class Joins {
 public:
  Joins(const VectorKernels& kernels, Region* region) : kernels_(kernels), region_(*region) {}

  // Two steps of which the second alone reads what the first computes.
  void join_pairs() {
    std::vector<size_t> made_by(region_.registers.size(), kNone);
    for (size_t i = 0; i < region_.steps.size(); ++i) {
      Step* const step = &region_.steps[i];
      made_by[step->result] = i;
      // What became a limit may be the second of two.
      while (!region_.registers[step->result].uniform && (join_operand(step, made_by) || same(step, made_by))) continue;
    }
    remove_joined();
  }

  // Chains of sum * x + c with constants c, which Horner's rule makes of a polynomial, become one step each, whose sum
  // stays in the processor's registers.
  void join_polynomials() {
    std::vector<Chain> chains(region_.steps.size());
    std::vector<size_t> made_by(region_.registers.size(), kNone);
    for (size_t i = 0; i < region_.steps.size(); ++i) {
      const Step& step = region_.steps[i];
      made_by[step.result] = i;
      if (step.fn != kernels_.add_product.fn || region_.registers[step.result].uniform) continue;
      if (!is_constant(step.operands[2])) continue;
      for (uint32_t n = 0; n < 2 && chains[i].constants.empty(); ++n) {
        const uint32_t sum = step.operands[n], x = step.operands[1 - n];
        const size_t before = made_by[sum];
        if (is_constant(sum)) {
          chains[i] = {x, {sum, step.operands[2]}};
        } else if (before != kNone && chains[before].x == x && !chains[before].constants.empty() &&
                   may_vanish(before)) {
          chains[i] = std::move(chains[before]);
          chains[i].constants.push_back(step.operands[2]);
          region_.steps[before].fn = nullptr;
        }
      }
    }
    for (size_t i = 0; i < chains.size(); ++i) {
      constexpr size_t kWorthAStep = 3;  // one product and one sum are a step already
      if (region_.steps[i].fn != nullptr && chains[i].constants.size() >= kWorthAStep) {
        become_polynomial(chains[i], &region_.steps[i]);
      }
    }
    remove_joined();
  }

 private:
  struct Chain {
    uint32_t x = 0;                   // register
    std::vector<uint32_t> constants;  // registers, that of the highest power first
  };

  // -- pairs --------------------------------------------------------------------------------------

  // Whether the step has taken over the one that makes its first or second operand.
  bool join_operand(Step* step, const std::vector<size_t>& made_by) {
    for (uint32_t n = 0; n < std::min(step->operand_count, 2u); ++n) {
      const size_t before = made_by[step->operands[n]];
      if (before == kNone || !may_vanish(before)) continue;
      Step* const first = &region_.steps[before];
      if (!add_product(step, n, *first) && !product(step, n, *first) && !limit(step, n, *first) &&
          !(n == 0 && (clamp(step, *first) || distance(step, *first) || reciprocal_root(step, *first) ||
                       compare_size(step, *first) || differ(step, *first)))) {
        continue;
      }
      first->fn = nullptr;
      return true;
    }
    return false;
  }

  bool add_product(Step* step, uint32_t n, const Step& product) const {
    if (step->fn != function(NodeKind::addition) || product.fn != function(NodeKind::multiplication)) return false;
    become_with(step, kernels_.add_product, product, step->operands[1 - n]);
    return true;
  }

  bool product(Step* step, uint32_t n, const Step& first) const {
    if (step->fn != function(NodeKind::multiplication) || first.fn != step->fn) return false;
    become_with(step, kernels_.product, first, step->operands[1 - n]);
    return true;
  }

  bool clamp(Step* step, const Step& low) const {
    if (step->fn != kernels_.at_most.fn || low.fn != kernels_.at_least.fn) return false;
    become_with(step, kernels_.clamp, low, step->operands[1]);
    return true;
  }

  bool distance(Step* step, const Step& difference) const {
    if (step->fn != function(NodeKind::absolute) || difference.fn != function(NodeKind::subtraction)) return false;
    become(step, kernels_.distance, difference);
    return true;
  }

  bool reciprocal_root(Step* step, const Step& root) const {
    if (step->fn != function(NodeKind::reciprocal) || root.fn != function(NodeKind::square_root)) return false;
    become(step, kernels_.reciprocal_root, root);
    return true;
  }

  // select(x < y, y, x) and select(x > y, y, x)
  bool limit(Step* step, uint32_t n, const Step& comparison) {
    const bool is_low = comparison.fn == function(NodeKind::less_than);
    if (!step->selects || n != 0 || (!is_low && comparison.fn != function(NodeKind::greater_than))) return false;
    const uint32_t x = comparison.operands[0], y = comparison.operands[1];
    if (step->operands[1] != y || step->operands[2] != x) return false;
    step->selects = false;
    become(step, is_low ? kernels_.at_least : kernels_.at_most, comparison);
    // Each was read by the comparison too.
    --region_.registers[x].readers;
    --region_.registers[y].readers;
    return true;
  }

  bool compare_size(Step* step, const Step& size) const {
    if (size.fn != function(NodeKind::absolute)) return false;
    for (int kind = 0; kind < kNodeCount; ++kind) {
      const JoinedFn& joined = kernels_.compare_size[kind];
      if (joined.fn == nullptr || step->fn != function(static_cast<NodeKind>(kind))) continue;
      become_with(step, joined, size, step->operands[1]);
      return true;
    }
    return false;
  }

  bool differ(Step* step, const Step& same) const {
    const BlockFn logical_not = kernels_.pointwise[index_of(NodeKind::logical_not)][index_of(DType::bool_)];
    if (step->fn != logical_not || same.fn != kernels_.same.fn) return false;
    become(step, kernels_.differ, same);
    return true;
  }

  // (x == y) + (|x - y| < z), of bools
  bool same(Step* step, const std::vector<size_t>& made_by) {
    if (step->fn != kernels_.pointwise[index_of(NodeKind::addition)][index_of(DType::bool_)]) return false;
    const auto maker = [&](uint32_t operand) {
      const size_t at = made_by[operand];
      return at != kNone && may_vanish(at) ? &region_.steps[at] : nullptr;
    };
    Step *const equal = maker(step->operands[0]), *const less = maker(step->operands[1]);
    if (equal == nullptr || less == nullptr || equal == less) return false;
    if (equal->fn != function(NodeKind::equal) || less->fn != function(NodeKind::less_than)) return false;
    Step* const distance = maker(less->operands[0]);
    if (distance == nullptr || distance->fn != kernels_.distance.fn) return false;
    if (!std::equal(equal->operands, equal->operands + 2, distance->operands)) return false;
    become_with(step, kernels_.same, *distance, less->operands[1]);
    for (uint32_t operand : {equal->operands[0], equal->operands[1]}) --region_.registers[operand].readers;
    for (Step* joined : {equal, less, distance}) joined->fn = nullptr;
    return true;
  }

  static void become(Step* step, const JoinedFn& joined, const Step& first) {
    step->fn = joined.fn;
    step->stream_fn = joined.stream_fn;
    step->operand_count = first.operand_count;
    std::copy(first.operands, first.operands + first.operand_count, step->operands);
  }
  // And with an operand behind those of the first.
  static void become_with(Step* step, const JoinedFn& joined, const Step& first, uint32_t other) {
    become(step, joined, first);
    step->operands[step->operand_count++] = other;
  }

  // -- polynomials --------------------------------------------------------------------------------

  void become_polynomial(const Chain& chain, Step* step) {
    Register row;
    row.dtype = DType::float32;
    row.uniform = true;
    row.constant = region_.constants.size();
    row.readers = 1;
    region_.constants.push_back(chain.constants.size());
    for (uint32_t number : chain.constants) {
      const uint64_t bits = region_.constants[region_.registers[number].constant];
      region_.constants.push_back(bits);
    }
    region_.registers.push_back(row);
    region_.registers[chain.x].readers -= static_cast<uint32_t>(chain.constants.size()) - 2;
    step->fn = kernels_.polynomial;
    step->stream_fn = nullptr;
    step->is_polynomial = true;
    step->operand_count = 2;
    step->operands[0] = chain.x;
    step->operands[1] = static_cast<uint32_t>(region_.registers.size() - 1);
  }

  bool is_constant(uint32_t number) const { return region_.registers[number].constant != kNone; }

  // -- both ---------------------------------------------------------------------------------------

  // Whether the step that reads this one's result may take over computing it.
  bool may_vanish(size_t at) const {
    const Step& step = region_.steps[at];
    const Register& result = region_.registers[step.result];
    return step.round == nullptr && !result.uniform && result.readers == 1 && result.outputs.empty();
  }

  void remove_joined() {
    std::vector<Step>& steps = region_.steps;
    steps.erase(std::remove_if(steps.begin(), steps.end(), [](const Step& step) { return step.fn == nullptr; }),
                steps.end());
  }

  // Of float32 operands.
  BlockFn function(NodeKind kind) const { return kernels_.pointwise[index_of(kind)][index_of(DType::float32)]; }

  const VectorKernels& kernels_;
  Region& region_;
};

}  // namespace

void join_steps(const VectorKernels& kernels, Region* region) {
  Joins joins(kernels, region);
  joins.join_pairs();
  joins.join_polynomials();
}

}  // namespace mps
