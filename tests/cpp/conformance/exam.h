// The conformance exam: the same questions to every device, through the API that kernels use (launch, Memory, Stream,
// Event). What a graph must compute is asked of the reference interpreter (plugin/host/reference_host.cc), which is the
// specification.
//
// A backend under exam is one file, exam_<backend>.cc, that opens its device and lists the questions that make no sense
// for it, each with a reason. A result that is written outside of its range fails any question: sentinels lie around
// it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "plugin/core/launch.h"
#include "plugin/core/runtime.h"

namespace mps::exam {

// -- given by the backend --------------------------------------------------------------------------------------------

// With delay_us > 0, queued work starts after a random delay of at most that long, if the backend can do so.
std::unique_ptr<Device> open_device(int64_t delay_us);

struct Exception {
  const char* question;  // "Suite" or "Suite.Question", as GoogleTest prints them
  const char* reason;
};
Span<const Exception> exceptions();

// -- tensors on the host ---------------------------------------------------------------------------------------------

struct Tensor {
  DType dtype = DType::float32;
  Shape shape;
  std::vector<unsigned char> bytes;

  int64_t elements() const { return element_count(shape); }
  template <typename T>
  T* data() {
    return reinterpret_cast<T*>(bytes.data());
  }
  template <typename T>
  const T* data() const {
    return reinterpret_cast<const T*>(bytes.data());
  }
};

Tensor empty_tensor(DType dtype, Dims shape);
// Element i is values[i % values.size()], converted to the dtype.
Tensor tensor_of(DType dtype, Dims shape, const std::vector<double>& values);
// Whole numbers from -limit to limit (from 0 for unsigned dtypes, 0 and 1 for bool). Their sums and products are exact
// in any order as long as they stay small.
Tensor whole_numbers(DType dtype, Dims shape, int limit, uint32_t seed);
// Numbers from low to high, for float dtypes.
Tensor random_numbers(DType dtype, Dims shape, double low, double high, uint32_t seed);
// Zeros, ones, limits, infinities, NaN, values around the limits of other dtypes.
Tensor special_values(DType dtype);
double value_at(const Tensor& tensor, int64_t index);

// `ulp`: how many representable numbers of the dtype may lie between them; 0 asks for the same bits, any NaN for a NaN.
// `absolute`: an error that is allowed whatever the number, for functions whose terms cancel.
void expect_close(const Tensor& got, const Tensor& want, int64_t ulp, double absolute = 0);

// -- the exam --------------------------------------------------------------------------------------------------------

// What a launch is given: a tensor, or a number.
struct Input {
  Input(Tensor value) : tensor(std::move(value)) {}        // NOLINT: tensors convert
  Input(Scalar value) : scalar(value), is_scalar(true) {}  // NOLINT: numbers convert
  Tensor tensor;
  Scalar scalar = 0;
  bool is_scalar = false;
};

// Memory of the device between two sentinels. The sentinels are checked when it goes.
class Block {
 public:
  Block(DeviceState& device, size_t bytes);
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  void* address() const { return base_ + kMargin; }
  size_t bytes() const { return bytes_; }
  Range range() const { return device_.memory().resolve(address(), bytes_); }

 private:
  static constexpr size_t kMargin = 256;
  DeviceState& device_;
  const size_t bytes_;
  unsigned char* base_;
};

class Exam : public ::testing::Test {
 protected:
  explicit Exam(int64_t delay_us = 0) : device_(0, open_device(delay_us)), stream_(device_.create_stream()) {}
  void SetUp() override;

  DeviceState& device() { return device_; }
  Stream& stream() { return *stream_; }

  std::unique_ptr<Block> upload(const Tensor& tensor);
  Tensor download(const Block& block, DType dtype, Dims shape);

  // Launches the graph with feeds and results in fresh memory; synchronises. If the device does not support the graph,
  // compiling must say so, the question counts as skipped, and what the reference says is returned.
  std::vector<Tensor> run(const Graph& graph, const std::vector<Input>& inputs);
  // What the reference interpreter says.
  static std::vector<Tensor> reference(const Graph& graph, const std::vector<Input>& inputs);
  void expect_reference(const Graph& graph, const std::vector<Input>& inputs, int64_t ulp = 0, double absolute = 0);
  void refuse(const Graph& graph, const std::string& why);

 private:
  DeviceState device_;
  Stream* const stream_;
};

// Records a pointwise node of any kind; `cast` goes to `cast_to`.
Value record(Graph& graph, NodeKind kind, Span<const Value> operands, DType cast_to = DType::float32);
// Whether the node table lets this kind have operands of this dtype.
bool takes(NodeKind kind, DType dtype);

// True if this kind was launched on operands of this dtype; the last word of a full exam is that none was left out.
bool was_asked(NodeKind kind, DType dtype);

}  // namespace mps::exam
