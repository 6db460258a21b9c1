#include "plugin/host/steps_host.h"

#include <utility>

namespace mps {
namespace {

char* address(char* const* slots, const SlotAt& at) { return slots[at.slot] + at.offset_bytes; }

using Inputs = SmallVector<const void*, 16>;
using Outputs = SmallVector<void*, 8>;

Inputs addresses(char* const* slots, const std::vector<SlotAt>& places) {
  Inputs result;
  for (const SlotAt& at : places) result.push_back(address(slots, at));
  return result;
}

class PointwiseStep final : public PlanStep {
 public:
  PointwiseStep(PointwiseProgram program, std::vector<SlotAt> inputs, std::vector<SlotAt> outputs, bool in_rows)
      : program_(std::move(program)), inputs_(std::move(inputs)), outputs_(std::move(outputs)) {
    bool at_start = !in_rows;
    for (const SlotAt& output : outputs_) at_start = at_start && output.offset_bytes == 0;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      reads.push_back({inputs_[i].slot, at_start && program_.input_is_dense(i) && inputs_[i].offset_bytes == 0});
    }
    for (const SlotAt& output : outputs_) writes.push_back(output.slot);
  }
  void run(char* const* slots) const override { program_.run(addresses(slots, inputs_), output_addresses(slots)); }
  std::optional<RowAccesses> row_accesses(int64_t rows) const override {
    RowAccesses accesses;
    const auto add = [&](const SlotAt& at, bool is_output, const std::optional<PointwiseProgram::Row>& row) {
      if (row) accesses.push_back({at, is_output, row->stride, row->bytes});
      return row.has_value();
    };
    for (size_t i = 0; i < inputs_.size(); ++i) {
      if (!add(inputs_[i], false, program_.input_row(i, rows))) return std::nullopt;
    }
    for (size_t i = 0; i < outputs_.size(); ++i) {
      if (!add(outputs_[i], true, program_.output_row(i, rows))) return std::nullopt;
    }
    return accesses;
  }
  void run_rows(char* const* slots, int64_t rows, int64_t begin, int64_t end) const override {
    program_.run_rows(addresses(slots, inputs_), output_addresses(slots), rows, begin, end);
  }
  uint64_t cost_ns() const override { return program_.cost_ns(); }
  size_t bytes() const override { return sizeof *this + program_.bytes(); }

 private:
  Outputs output_addresses(char* const* slots) const {
    Outputs result;
    for (const SlotAt& at : outputs_) result.push_back(address(slots, at));
    return result;
  }

  const PointwiseProgram program_;
  const std::vector<SlotAt> inputs_, outputs_;
};

class ReduceStep final : public PlanStep {
 public:
  ReduceStep(ReduceProgram program, std::vector<SlotAt> inputs, SlotAt output)
      : program_(std::move(program)), inputs_(std::move(inputs)), output_(output) {
    for (const SlotAt& input : inputs_) reads.push_back({input.slot, false});
    writes.push_back(output_.slot);
  }
  void run(char* const* slots) const override { program_.run(addresses(slots, inputs_), address(slots, output_)); }
  uint64_t cost_ns() const override { return program_.cost_ns(); }
  size_t bytes() const override { return sizeof *this + program_.bytes(); }

 private:
  const ReduceProgram program_;
  const std::vector<SlotAt> inputs_;
  const SlotAt output_;
};

class WholeStep final : public PlanStep {
 public:
  WholeStep(WholeProgram program, std::vector<SlotAt> inputs, SlotAt output)
      : program_(std::move(program)), inputs_(std::move(inputs)), output_(output) {
    for (const SlotAt& input : inputs_) reads.push_back({input.slot, false});
    writes.push_back(output_.slot);
  }
  void run(char* const* slots) const override { program_.run(addresses(slots, inputs_), address(slots, output_)); }
  uint64_t cost_ns() const override { return program_.cost_ns; }
  size_t bytes() const override { return sizeof *this + program_.bytes; }

 private:
  const WholeProgram program_;
  const std::vector<SlotAt> inputs_;
  const SlotAt output_;
};

class MatmulStep final : public PlanStep {
 public:
  MatmulStep(MatmulProgram program, SlotAt x, SlotAt y, std::optional<SlotAt> packed_y, SlotAt to)
      : program_(std::move(program)), x_(x), y_(y), packed_y_(packed_y), to_(to) {
    reads = {{x_.slot, false}, {y_.slot, false}};
    if (packed_y_) reads.push_back({packed_y_->slot, false});
    writes = {to_.slot};
  }
  void run(char* const* slots) const override {
    program_.run(address(slots, x_), address(slots, y_), address(slots, to_),
                 packed_y_ ? address(slots, *packed_y_) : nullptr);
  }
  int64_t rows() const override { return packed_y_ ? program_.geometry().rows : 0; }
  std::optional<RowAccesses> row_accesses(int64_t rows) const override {
    const MatmulGeometry& g = program_.geometry();
    const int64_t size = sizeof(float);
    if (!packed_y_ || rows != g.rows || g.x_inner != 1) return std::nullopt;
    if (g.batch != 1 && g.to_batch % (rows * g.to_row) != 0) return std::nullopt;
    return RowAccesses{{x_, false, g.x_row * size, g.inner * size},
                       {y_},
                       {*packed_y_},
                       {to_, true, g.to_row * size, g.columns * size}};
  }
  void run_rows(char* const* slots, int64_t, int64_t begin, int64_t end) const override {
    program_.run_rows(address(slots, x_), address(slots, y_), address(slots, to_), address(slots, *packed_y_), begin,
                      end);
  }
  uint64_t cost_ns() const override { return program_.cost_ns(); }
  size_t bytes() const override { return sizeof *this + program_.bytes(); }

 private:
  const MatmulProgram program_;
  const SlotAt x_, y_;
  const std::optional<SlotAt> packed_y_;
  const SlotAt to_;
};

class PackStep final : public PlanStep {
 public:
  PackStep(std::shared_ptr<const SplitProduct> product, SlotAt y, SlotAt to)
      : product_(std::move(product)), y_(y), to_(to) {
    reads = {{y_.slot, false}};
    writes = {to_.slot};
  }
  void run(char* const* slots) const override {
    product_->pack_y(reinterpret_cast<const float*>(address(slots, y_)), address(slots, to_));
  }
  uint64_t cost_ns() const override { return product_->packed_bytes() / 20; }
  size_t bytes() const override { return sizeof *this; }

 private:
  const std::shared_ptr<const SplitProduct> product_;
  const SlotAt y_, to_;
};

class CopyStep final : public PlanStep {
 public:
  CopyStep(CopyProgram program, SlotAt from, SlotAt to) : program_(program), from_(from), to_(to) {
    const bool in_place = program_.is_dense() && from_.offset_bytes == 0 && to_.offset_bytes == 0;
    reads = {{from_.slot, in_place}};
    writes = {to_.slot};
  }
  void run(char* const* slots) const override { program_.run(address(slots, to_), address(slots, from_)); }
  uint64_t cost_ns() const override { return program_.cost_ns(); }
  size_t bytes() const override { return sizeof *this; }

 private:
  const CopyProgram program_;
  const SlotAt from_, to_;
};

}  // namespace

std::unique_ptr<PlanStep> make_pointwise_step(PointwiseProgram program, std::vector<SlotAt> inputs,
                                              std::vector<SlotAt> outputs, bool in_rows) {
  return std::make_unique<PointwiseStep>(std::move(program), std::move(inputs), std::move(outputs), in_rows);
}

std::unique_ptr<PlanStep> make_reduce_step(ReduceProgram program, std::vector<SlotAt> inputs, SlotAt output) {
  return std::make_unique<ReduceStep>(std::move(program), std::move(inputs), output);
}

std::unique_ptr<PlanStep> make_whole_step(WholeProgram program, std::vector<SlotAt> inputs, SlotAt output) {
  return std::make_unique<WholeStep>(std::move(program), std::move(inputs), output);
}

std::unique_ptr<PlanStep> make_matmul_step(MatmulProgram program, SlotAt x, SlotAt y, std::optional<SlotAt> packed_y,
                                           SlotAt to) {
  return std::make_unique<MatmulStep>(std::move(program), x, y, packed_y, to);
}

std::unique_ptr<PlanStep> make_pack_step(std::shared_ptr<const SplitProduct> product, SlotAt y, SlotAt to) {
  return std::make_unique<PackStep>(std::move(product), y, to);
}

std::unique_ptr<PlanStep> make_copy_step(CopyProgram program, SlotAt from, SlotAt to) {
  return std::make_unique<CopyStep>(program, from, to);
}

}  // namespace mps
