// Running a compiled program on memory.
#pragma once

#include <memory>
#include <vector>

#include "tests/apple_double/mpsgraph/kernels.h"
#include "tests/apple_double/mpsgraph/program.h"

namespace apple_double {

// A program whose feeds and targets are settled. Immutable; any thread may run it.
class Compiled {
 public:
  Compiled(Program program, std::vector<uint32_t> feeds, std::vector<uint32_t> targets);

  const Program& program() const { return program_; }
  const std::vector<uint32_t>& feeds() const { return feeds_; }
  const std::vector<uint32_t>& targets() const { return targets_; }
  const Node& feed(size_t i) const { return program_.nodes[feeds_[i]]; }
  const Node& target(size_t i) const { return program_.nodes[targets_[i]]; }

  // Empty if target `target` may lie where feed `feed` lies, else why not.
  std::string in_place(size_t target, size_t feed) const;

  // Addresses of dense arrays, in the order of feeds() and targets(). Feeds are read when a node needs them, and
  // targets are written when their node is reached.
  void run(const std::vector<char*>& feeds, const std::vector<char*>& targets) const;

 private:
  Program program_;  // without what the targets do not need
  std::vector<uint32_t> feeds_, targets_;
  std::vector<uint32_t> last_use_;  // by node: after which one its memory may go
  std::vector<std::shared_ptr<const mps::HostExecutable>> host_;
  std::vector<Kernel> kernels_;
};

}  // namespace apple_double
