#include "tests/cpp/conformance/exam.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <set>

#include "plugin/core/check.h"
#include "plugin/host/reference_host.h"

namespace mps::exam {
namespace {

constexpr unsigned char kSentinel = 0xA5;

std::set<std::pair<NodeKind, DType>>& asked() {
  static std::set<std::pair<NodeKind, DType>> set;
  return set;
}

// What a node is asked of: its last operand's dtype (the first may be a condition, or positions); its first one's where
// others tell of that; its own where it has none, or only codes.
DType dtype_of(const Graph& graph, const Node& node) {
  const NodeFamily family = info(node.kind).family;
  if (node.operand_count == 0 || node.kind == NodeKind::dequantize_blockwise) return node.dtype;
  const bool first = family == NodeFamily::kQuantized || family == NodeFamily::kAttention;
  return graph.dtype(graph.operand(node, first ? 0 : node.operand_count - 1));
}

void note(const Graph& graph) {
  for (uint32_t i = 0; i < graph.node_count(); ++i) asked().emplace(graph.node(i).kind, dtype_of(graph, graph.node(i)));
}

void set_value(Tensor* tensor, int64_t index, double value) {
  const uint64_t bits = is_integer(tensor->dtype) && std::abs(value) < 9e18
                            ? Scalar(static_cast<int64_t>(value)).bits(tensor->dtype)
                            : Scalar(value).bits(tensor->dtype);
  const size_t size = size_of(tensor->dtype);
  std::memcpy(tensor->bytes.data() + static_cast<size_t>(index) * size, &bits, size);
}

// The numbers of a float dtype in order, so that the difference of two positions counts the numbers between them.
int64_t position(DType dtype, const unsigned char* element) {
  if (size_of(dtype) == 4) {
    int32_t bits;
    std::memcpy(&bits, element, sizeof bits);
    return bits < 0 ? -int64_t{bits & INT32_MAX} : int64_t{bits};
  }
  int16_t bits;
  std::memcpy(&bits, element, sizeof bits);
  return bits < 0 ? -int64_t{bits & INT16_MAX} : int64_t{bits};
}

class LastWord : public ::testing::Environment {
 public:
  void TearDown() override {
    if (::testing::GTEST_FLAG(filter) != "*") return;
    for (const Exception& exception : exceptions()) {
      if (std::string(exception.question) == "Pointwise") return;
    }
    for (int kind = 0; kind < kNodeCount; ++kind) {
      for (int dtype = 0; dtype < kDTypeCount; ++dtype) {
        const auto k = static_cast<NodeKind>(kind);
        const auto d = static_cast<DType>(dtype);
        if (takes(k, d) && !was_asked(k, d)) ADD_FAILURE() << "never asked: " << info(k).name << " of " << name(d);
      }
    }
  }
};

const auto* const kLastWord = ::testing::AddGlobalTestEnvironment(new LastWord);

}  // namespace

Tensor empty_tensor(DType dtype, Dims shape) {
  Tensor tensor;
  tensor.dtype = dtype;
  tensor.shape = Shape(shape);
  tensor.bytes.resize(static_cast<size_t>(element_count(shape)) * size_of(dtype));
  return tensor;
}

Tensor tensor_of(DType dtype, Dims shape, const std::vector<double>& values) {
  Tensor tensor = empty_tensor(dtype, shape);
  for (int64_t i = 0; i < tensor.elements(); ++i) set_value(&tensor, i, values[static_cast<size_t>(i) % values.size()]);
  return tensor;
}

Tensor whole_numbers(DType dtype, Dims shape, int limit, uint32_t seed) {
  Tensor tensor = empty_tensor(dtype, shape);
  std::mt19937 random(seed);
  const bool is_unsigned = info(dtype).kind == DTypeKind::kUnsigned;
  std::uniform_int_distribution<int> numbers(is_unsigned || dtype == DType::bool_ ? 0 : -limit,
                                             dtype == DType::bool_ ? 1 : limit);
  for (int64_t i = 0; i < tensor.elements(); ++i) set_value(&tensor, i, numbers(random));
  return tensor;
}

Tensor random_numbers(DType dtype, Dims shape, double low, double high, uint32_t seed) {
  Tensor tensor = empty_tensor(dtype, shape);
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> numbers(low, high);
  for (int64_t i = 0; i < tensor.elements(); ++i) set_value(&tensor, i, numbers(random));
  return tensor;
}

Tensor special_values(DType dtype) {
  const double infinity = std::numeric_limits<double>::infinity();
  std::vector<double> values;
  switch (info(dtype).kind) {
    case DTypeKind::kBool:
      values = {0, 1};
      break;
    case DTypeKind::kUnsigned:
      values = {0, 1, 2, 7, 100, 127, 128, 254, 255};
      break;
    case DTypeKind::kSigned:
      values = {0, 1, -1, 2, -2, 7, -7, 100, 127, -128};
      for (double limit : {127., 255., 32767., 65535., 2147483647., 4294967295., 16777217., 1099511627776.}) {
        if (limit < std::ldexp(1.0, static_cast<int>(8 * size_of(dtype)) - 1))
          values.insert(values.end(), {limit, -limit - 1});
      }
      break;
    case DTypeKind::kFloat:
      values = {0.0,   -0.0, 1,   -1,   0.5,   -0.5,   1.5,    -1.5,  2.5,      3.14159,   1e-4,
                -1e-3, 10,   -10, 88.5, -87,   127.5,  -128.5, 255.5, 256,      3000,      -3000,
                300,   -300, 1e4, -1e4, 32767, -32769, 65504,  2048,  infinity, -infinity, std::nan("")};
      if (dtype != DType::float16) {
        values.insert(values.end(), {1e10, -1e10, 2147483648.0, -2147483648.0, 4e9, 9.3e18, -9.3e18, 1e30, -1e30, 1e-30,
                                     3.3e38, -3.3e38, 1.2e-38, 16777216.0});
      }
      break;
  }
  Tensor tensor = tensor_of(dtype, {static_cast<int64_t>(values.size())}, values);
  if (dtype == DType::int64) {  // what a double cannot hold
    tensor.data<int64_t>()[0] = INT64_MAX;
    tensor.data<int64_t>()[1] = INT64_MIN;
    tensor.data<int64_t>()[2] = 0;
    tensor.data<int64_t>()[3] = 1;
    tensor.data<int64_t>()[4] = -1;
  }
  return tensor;
}

double value_at(const Tensor& tensor, int64_t index) {
  return visit(tensor.dtype, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_arithmetic_v<T>) {
      return static_cast<double>(tensor.data<T>()[index]);
    } else {
      return static_cast<double>(static_cast<float>(tensor.data<T>()[index]));
    }
  });
}

void expect_close(const Tensor& got, const Tensor& want, int64_t ulp, double absolute) {
  ASSERT_EQ(got.dtype, want.dtype);
  ASSERT_EQ(to_string(got.shape), to_string(want.shape));
  const size_t size = size_of(got.dtype);
  int64_t wrong = 0;
  for (int64_t i = 0; i < got.elements(); ++i) {
    const unsigned char* const x = got.bytes.data() + static_cast<size_t>(i) * size;
    const unsigned char* const y = want.bytes.data() + static_cast<size_t>(i) * size;
    bool fine = std::memcmp(x, y, size) == 0;
    if (!fine && is_float(got.dtype)) {
      const double a = value_at(got, i), b = value_at(want, i);
      fine = (std::isnan(a) && std::isnan(b)) ||
             (!std::isnan(a) && !std::isnan(b) && std::abs(position(got.dtype, x) - position(want.dtype, y)) <= ulp &&
              ulp > 0) ||
             std::abs(a - b) < absolute;
    }
    if (fine) continue;
    if (++wrong <= 5) {
      ADD_FAILURE() << "element " << i << " of " << name(got.dtype) << to_string(got.shape) << ": got "
                    << value_at(got, i) << ", want " << value_at(want, i);
    }
  }
  EXPECT_EQ(wrong, 0) << "elements differ";
}

Block::Block(DeviceState& device, size_t bytes)
    : device_(device),
      bytes_(bytes),
      base_(static_cast<unsigned char*>(device.memory().allocate(bytes + 2 * kMargin).address)) {
  if (base_ == nullptr) throw std::bad_alloc();
  std::memset(base_, kSentinel, bytes + 2 * kMargin);
}

Block::~Block() {
  device_.drain();
  for (size_t i = 0; i < kMargin; ++i) {
    if (base_[i] != kSentinel || base_[kMargin + bytes_ + i] != kSentinel) {
      ADD_FAILURE() << "written outside of its " << bytes_
                    << " bytes: " << (base_[i] != kSentinel ? "before" : "behind");
      break;
    }
  }
  device_.memory().free(base_);
}

void Exam::SetUp() {
  const auto* const current = ::testing::UnitTest::GetInstance()->current_test_info();
  // Parameterised suites print as "Prefix/Suite.Question/Parameter".
  std::string suite = current->test_suite_name(), question = current->name();
  if (const size_t slash = suite.find('/'); slash != std::string::npos) suite.erase(0, slash + 1);
  question = suite + "." + question.substr(0, question.find('/'));
  for (const Exception& exception : exceptions()) {
    if (exception.question == suite || exception.question == question) GTEST_SKIP() << exception.reason;
  }
}

std::unique_ptr<Block> Exam::upload(const Tensor& tensor) {
  auto block = std::make_unique<Block>(device_, tensor.bytes.size());
  if (!tensor.bytes.empty()) stream_->upload(block->range(), tensor.bytes.data());
  return block;
}

Tensor Exam::download(const Block& block, DType dtype, Dims shape) {
  Tensor tensor = empty_tensor(dtype, shape);
  if (!tensor.bytes.empty()) stream_->download(tensor.bytes.data(), block.range());
  stream_->synchronize();
  return tensor;
}

std::vector<Tensor> Exam::run(const Graph& graph, const std::vector<Input>& inputs) {
  note(graph);
  if (const std::string why = device_.device().supports(graph); !why.empty()) {
    refuse(graph, why);
    return reference(graph, inputs);
  }
  std::vector<std::unique_ptr<Block>> feeds_memory, results_memory;
  std::vector<Feed> feeds;
  std::vector<void*> results;
  for (const Input& input : inputs) {
    if (input.is_scalar) {
      feeds.emplace_back(input.scalar);
    } else {
      feeds_memory.push_back(upload(input.tensor));
      feeds.emplace_back(feeds_memory.back()->address());
    }
  }
  for (uint32_t result : graph.results()) {
    results_memory.push_back(std::make_unique<Block>(device_, graph.bytes(Value{result})));
    results.push_back(results_memory.back()->address());
  }
  launch(device_, *stream_, graph, feeds, results);
  std::vector<Tensor> values;
  for (size_t i = 0; i < results.size(); ++i) {
    const Value value{graph.results()[i]};
    values.push_back(download(*results_memory[i], graph.dtype(value), graph.shape(value)));
  }
  return values;
}

void Exam::refuse(const Graph& graph, const std::string& why) {
  try {
    device_.cache().get(graph);
    ADD_FAILURE() << "compiled a graph that it does not support: " << why;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnsupported) << error.what();
    EXPECT_NE(std::string(error.what()).find(why), std::string::npos) << error.what();
  }
  GTEST_SKIP() << why;  // whatever else this question asks
}

std::vector<Tensor> Exam::reference(const Graph& graph, const std::vector<Input>& inputs) {
  std::vector<HostBinding> feeds(inputs.size()), results(graph.results().size());
  const auto bind = [](HostBinding& binding, std::vector<unsigned char>& bytes) {
    binding.address = bytes.empty() ? nullptr : reinterpret_cast<char*>(bytes.data());
    binding.bytes = bytes.size();
  };
  std::vector<Tensor> copies, values;
  for (const Input& input : inputs) copies.push_back(input.tensor);
  for (uint32_t i = 0; i < graph.node_count(); ++i) {
    const Node& node = graph.node(i);
    if (node.kind != NodeKind::placeholder && node.kind != NodeKind::scalar) continue;
    const size_t feed = static_cast<size_t>(graph.attributes(node)[0]);
    if (node.kind == NodeKind::scalar) feeds[feed].scalar_bits = inputs[feed].scalar.bits(node.dtype);
    if (node.kind == NodeKind::placeholder) bind(feeds[feed], copies[feed].bytes);
  }
  for (uint32_t result : graph.results()) {
    values.push_back(empty_tensor(graph.dtype(Value{result}), graph.shape(Value{result})));
  }
  for (size_t i = 0; i < values.size(); ++i) bind(results[i], values[i].bytes);
  compile_reference(graph)->run(feeds, results);
  return values;
}

void Exam::expect_reference(const Graph& graph, const std::vector<Input>& inputs, int64_t ulp, double absolute) {
  const std::vector<Tensor> got = run(graph, inputs), want = reference(graph, inputs);
  for (size_t i = 0; i < got.size(); ++i) {
    SCOPED_TRACE("result " + std::to_string(i));
    expect_close(got[i], want[i], ulp, absolute);
  }
}

Value record(Graph& graph, NodeKind kind, Span<const Value> operands, DType cast_to) {
  switch (kind) {
#define MPS_UNARY_NODE(kind) \
  case NodeKind::kind:       \
    return graph.kind(operands[0]);
#define MPS_BINARY_NODE(kind) \
  case NodeKind::kind:        \
    return graph.kind(operands[0], operands[1]);
#include "plugin/core/nodes_by_family.h"
    case NodeKind::select:
      return graph.select(operands[0], operands[1], operands[2]);
    case NodeKind::cast:
      return graph.cast(operands[0], cast_to);
    case NodeKind::placeholder:
    case NodeKind::scalar:
    case NodeKind::constant:
    case NodeKind::reshape:
    case NodeKind::transpose:
    case NodeKind::broadcast:
    case NodeKind::slice:
    case NodeKind::concatenation:
    case NodeKind::strided_view:
    case NodeKind::strided_update:
    case NodeKind::reduction_sum:
    case NodeKind::reduction_product:
    case NodeKind::reduction_maximum:
    case NodeKind::reduction_minimum:
    case NodeKind::matrix_multiplication:
#define MPS_WHOLE_NODE(name) case NodeKind::name:
#define MPS_CONVOLUTION_NODE(name) case NodeKind::name:
#define MPS_POOLING_NODE(name) case NodeKind::name:
#define MPS_ATTENTION_NODE(name) case NodeKind::name:
#define MPS_ALIGNMENT_NODE(name) case NodeKind::name:
#define MPS_FOURIER_NODE(name) case NodeKind::name:
#define MPS_QUANTIZED_NODE(name) case NodeKind::name:
#include "plugin/core/nodes_by_family.h"
      break;
  }
  ADD_FAILURE() << info(kind).name << " is not pointwise";
  return operands[0];
}

bool takes(NodeKind kind, DType dtype) { return accepts(info(kind).dtypes, dtype); }

bool was_asked(NodeKind kind, DType dtype) { return asked().count({kind, dtype}) != 0; }

}  // namespace mps::exam
