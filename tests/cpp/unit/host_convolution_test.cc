// The kernels under a convolution against the specification: oneDNN's, and the plain loops that stand in for them.
#include <random>
#include <thread>
#include <vector>

#include "plugin/host/convolution_kernel_host.h"
#include "plugin/host/reference_images_host.h"
#include "tests/cpp/unit/testing.h"

namespace mps {
namespace {

std::vector<float> numbers(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(static_cast<int>(random() % 5) - 2);
  return values;
}

struct Question {
  Shape x, weights;
  Sliding sliding;
};

Question question(Dims x, Dims weights, int64_t groups, int64_t stride, int64_t dilation, int64_t before,
                  int64_t padding, bool channels_last = false) {
  Question q{Shape(x), Shape(weights), {}};
  q.sliding.groups = groups;
  q.sliding.channels_last = channels_last;
  for (size_t i = 2; i < weights.size(); ++i) {
    q.sliding.size.push_back(weights[i]);
    q.sliding.strides.push_back(stride);
    q.sliding.dilations.push_back(dilation);
    q.sliding.before.push_back(before);
    q.sliding.padding.push_back(padding);
  }
  return q;
}

std::vector<Question> questions() {
  return {question({1, 1, 1, 1}, {1, 1, 1, 1}, 1, 1, 1, 0, 0),
          question({2, 3, 7, 9}, {4, 3, 3, 2}, 1, 1, 1, 1, 0),
          question({2, 17, 9, 8}, {33, 17, 3, 3}, 1, 2, 1, 1, 2),
          question({3, 4, 10, 11}, {6, 2, 2, 3}, 2, 1, 3, 2, 3),
          question({2, 8, 6, 7}, {8, 1, 3, 3}, 8, 1, 1, 1, 1),
          question({1, 3, 4, 4}, {2, 3, 3, 3}, 1, 3, 1, 9, 8),  // windows that see nothing but padding
          question({2, 6, 7, 5}, {3, 5, 3, 3}, 1, 2, 1, 1, 1, true),
          question({1, 2, 4, 5, 6}, {4, 2, 2, 3, 3}, 1, 2, 1, 1, 0),
          question({2, 3, 4, 5, 4}, {4, 2, 2, 3, 2}, 2, 1, 2, 1, 2, true)};
}

// Small whole numbers: every sum is exact, so that kernels must agree to the bit.
TEST(ConvolutionKernels, AgreeWithTheSpecification) {
  for (const Question& q : questions()) {
    SCOPED_TRACE(to_string(q.x) + " * " + to_string(q.weights));
    Graph graph;
    const Value x = graph.placeholder(DType::float32, q.x), weights = graph.placeholder(DType::float32, q.weights);
    const Value y = graph.convolution(x, weights, q.sliding);
    const Shape y_shape(graph.shape(y));
    const Value dy = graph.placeholder(DType::float32, y_shape);
    const Value asked[] = {y, graph.convolution_data_gradient(dy, weights, q.x, q.sliding),
                           graph.convolution_weights_gradient(dy, x, q.weights, q.sliding)};
    for (Value value : asked) {
      const ConvolutionNode node = ConvolutionNode::of(graph, value);
      std::vector<float> arrays[] = {numbers(element_count(q.x), 1), numbers(element_count(q.weights), 2),
                                     numbers(element_count(y_shape), 3)};
      const size_t result = node.what == Convolved::kX ? 0 : node.what == Convolved::kWeights ? 1 : 2;
      const size_t first = node.what == Convolved::kY ? 0 : 2, second = node.what == Convolved::kWeights ? 0 : 1;
      std::vector<float> want(arrays[result].size());
      const void* const operands[] = {arrays[first].data(), arrays[second].data()};
      reference_images(graph, value, {operands, 2}, want.data());
      for (const auto& kernel :
           {make_onednn_convolution(node.what, node.geometry), make_plain_convolution(node.what, node.geometry)}) {
        if (kernel == nullptr) continue;  // not built in, or not made for this
        for (int run = 0; run < 2; ++run) {
          std::vector<float>& got = arrays[result];
          got.assign(got.size(), -77.0f);
          kernel->run(arrays[0].data(), arrays[1].data(), arrays[2].data());
          ASSERT_EQ(got, want) << "result " << result << ", run " << run;
        }
      }
    }
  }
}

TEST(ConvolutionKernels, RunOnManyThreadsAtOnce) {
  const Question q = questions()[2];
  Graph graph;
  const Value y = graph.convolution(graph.placeholder(DType::float32, q.x),
                                    graph.placeholder(DType::float32, q.weights), q.sliding);
  const ConvolutionNode node = ConvolutionNode::of(graph, y);
  auto kernel = make_onednn_convolution(node.what, node.geometry);
  if (kernel == nullptr) kernel = make_plain_convolution(node.what, node.geometry);
  std::vector<float> x = numbers(element_count(q.x), 1), weights = numbers(element_count(q.weights), 2);
  std::vector<float> want(static_cast<size_t>(graph.elements(y)));
  kernel->run(x.data(), weights.data(), want.data());
  std::vector<std::thread> threads;
  std::vector<std::vector<float>> got(6, std::vector<float>(want.size()));
  for (std::vector<float>& mine : got) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) kernel->run(x.data(), weights.data(), mine.data());
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<float>& mine : got) EXPECT_EQ(mine, want);
}

}  // namespace
}  // namespace mps
