#include "tests/apple_double/mpsgraph/run.h"

#include <algorithm>
#include <cstring>

#include "tests/apple_double/base/violation.h"

namespace apple_double {
namespace {

void fill(const Node& node, char* to) {
  const size_t size = static_cast<size_t>(mps::element_count(node.shape)) * mps::size_of(node.dtype);
  for (size_t at = 0; at < size; at += node.bytes.size()) std::memcpy(to + at, node.bytes.data(), node.bytes.size());
}

size_t bytes_of(const Node& node) {
  return static_cast<size_t>(mps::element_count(node.shape)) * mps::size_of(node.dtype);
}

}  // namespace

Compiled::Compiled(Program program, std::vector<uint32_t> feeds, std::vector<uint32_t> targets)
    : program_(std::move(program)), feeds_(std::move(feeds)), targets_(std::move(targets)) {
  const std::vector<bool> live = needed(program_, targets_);
  last_use_.resize(program_.nodes.size(), 0);
  host_.resize(program_.nodes.size());
  kernels_.resize(program_.nodes.size(), nullptr);
  for (uint32_t i = 0; i < program_.nodes.size(); ++i) {
    Node& node = program_.nodes[i];
    if (!live[i]) {
      node = Node();  // an empty kernel: nothing to do
      continue;
    }
    for (uint32_t operand : node.operands) last_use_[operand] = i;
    if (node.kernel == "placeholder") {
      require(std::find(feeds_.begin(), feeds_.end(), i) != feeds_.end(),
              "compileWithDevice: a placeholder that the "
              "targets need is not among the feeds: the assertion fails.");
    } else if (node.kernel == "host") {
      host_[i] = compile_host(program_, node);
    } else if (node.kernel != "constant") {
      kernels_[i] = find_kernel(node.kernel);
      require(kernels_[i] != nullptr, "the double has no kernel '", node.kernel, "'.");
    }
  }
}

std::string Compiled::in_place(size_t target, size_t feed) const {
  // What depends on the feed: element by element, or in another way.
  enum Way : uint8_t { kNo, kElements, kOther };
  std::vector<Way> way(program_.nodes.size(), kNo);
  way[feeds_[feed]] = kElements;
  for (size_t i = 0; i < program_.nodes.size(); ++i) {
    const Node& node = program_.nodes[i];
    for (uint32_t operand : node.operands) {
      if (way[operand] == kNo) continue;
      const bool same =
          node.pointwise && mps::element_count(program_.nodes[operand].shape) == mps::element_count(node.shape);
      way[i] = std::max(way[i], same && way[operand] == kElements ? kElements : kOther);
    }
  }
  if (way[targets_[target]] == kOther) return "it is not made of the feed element by element";
  for (size_t i = 0; i < targets_.size(); ++i) {
    if (i != target && way[targets_[i]] != kNo) return "another target is made of the feed, too";
  }
  const Node &from = program_.nodes[feeds_[feed]], &to = program_.nodes[targets_[target]];
  if (mps::size_of(from.dtype) != mps::size_of(to.dtype)) return "its elements are of another size";
  return way[targets_[target]] == kNo ? "it is not made of the feed at all" : "";
}

void Compiled::run(const std::vector<char*>& feeds, const std::vector<char*>& targets) const {
  const size_t count = program_.nodes.size();
  std::vector<char*> address(count, nullptr);
  std::vector<std::vector<char>> memory(count);
  for (size_t i = 0; i < feeds_.size(); ++i) address[feeds_[i]] = feeds[i];
  for (size_t i = 0; i < targets_.size(); ++i) address[targets_[i]] = targets[i];
  for (uint32_t i = 0; i < count; ++i) {
    const Node& node = program_.nodes[i];
    if (node.kernel.empty() || node.kernel == "placeholder") continue;
    if (address[i] == nullptr) {
      memory[i].resize(bytes_of(node));
      address[i] = memory[i].data();
    }
    if (node.kernel == "constant") {
      fill(node, address[i]);
    } else if (host_[i] != nullptr) {
      std::vector<mps::HostBinding> from(node.operands.size());
      for (size_t k = 0; k < from.size(); ++k) {
        from[k].address = address[node.operands[k]];
        from[k].bytes = bytes_of(program_.nodes[node.operands[k]]);
      }
      mps::HostBinding to;
      to.address = address[i];
      to.bytes = bytes_of(node);
      host_[i]->run({from.data(), from.size()}, {&to, 1});
    } else {
      std::vector<Array> from;
      for (uint32_t operand : node.operands) {
        from.push_back({program_.nodes[operand].dtype, program_.nodes[operand].shape, address[operand]});
      }
      kernels_[i](node, {from.data(), from.size()}, {node.dtype, node.shape, address[i]});
    }
    for (uint32_t operand : node.operands) {
      if (last_use_[operand] == i) std::vector<char>().swap(memory[operand]);
    }
  }
}

}  // namespace apple_double
