// Shape and dtype rules, and the sentence for each way to break them.
#include "plugin/core/infer.h"

#include "tests/cpp/unit/testing.h"

namespace mps {
namespace {

class Infer : public ::testing::Test {
 protected:
  Value x(Dims shape, DType dtype = DType::float32) { return graph_.placeholder(dtype, shape); }

  // The message when recording fails; `[op] what: expected E, got G. What to do.`
  template <typename F>
  std::string refusal(F&& record) {
    OpScope scope("op");
    const std::string text = error_of(ErrorKind::kArgument, record);
    EXPECT_EQ(text.rfind("[op] ", 0), 0u) << text;
    EXPECT_NE(text.find(": expected "), std::string::npos) << text;
    EXPECT_NE(text.find(", got "), std::string::npos) << text;
    EXPECT_EQ(text.back(), '.') << text;
    return text;
  }

  Graph graph_;
};

TEST_F(Infer, PointwiseShapesBroadcast) {
  const Value y = graph_.addition(x({4, 1}), x({3}));
  EXPECT_TRUE(same_shape(graph_.shape(y), {4, 3}));
  const Value z = graph_.less_than(x({2}, DType::int8), x({}, DType::int8));
  EXPECT_EQ(graph_.dtype(z), DType::bool_);
  const Value s = graph_.select(x({5, 1}, DType::bool_), x({1, 2}), x({}));
  EXPECT_TRUE(same_shape(graph_.shape(s), {5, 2}));
}

TEST_F(Infer, RefusesDTypesThatDiffer) {
  EXPECT_EQ(refusal([&] { graph_.addition(x({2}), x({2}, DType::int32)); }),
            "[op] dtypes of addition differ: expected one dtype, got float32 and int32. Cast one of them.");
  refusal([&] { graph_.select(x({2}, DType::bool_), x({2}), x({2}, DType::int8)); });
  refusal([&] { graph_.matrix_multiplication(x({2, 2}), x({2, 2}, DType::int8)); });
  const Value parts[] = {x({2}), x({2}, DType::int8)};
  refusal([&] { graph_.concatenation({parts, 2}, 0); });
  refusal([&] { graph_.strided_update(x({4}), x({2}, DType::int8), {1}, 0); });
}

TEST_F(Infer, RefusesDTypesThatANodeDoesNotTake) {
  EXPECT_EQ(refusal([&] { graph_.exponent(x({2}, DType::int32)); }),
            "[op] wrong dtype for exponent: expected float32, float16 or bfloat16, got int32. Cast the operand.");
  EXPECT_EQ(refusal([&] { graph_.negative(x({2}, DType::bool_)); }),
            "[op] wrong dtype for negative: expected a number, got bool. Cast the operand.");
  EXPECT_EQ(refusal([&] { graph_.logical_not(x({2})); }),
            "[op] wrong dtype for logical_not: expected bool, got float32. Cast the operand.");
  refusal([&] { graph_.reduction_sum(x({2}, DType::bool_), {0}); });
  refusal([&] { graph_.matrix_multiplication(x({2, 2}, DType::bool_), x({2, 2}, DType::bool_)); });
  refusal([&] { graph_.select(x({2}), x({2}), x({2})); });
}

TEST_F(Infer, RefusesShapesThatDoNotFit) {
  refusal([&] { graph_.addition(x({2, 3}), x({4})); });
  refusal([&] { graph_.reshape(x({2, 3}), {4, 2}); });
  refusal([&] { graph_.broadcast(x({2, 3}), {2, 4}); });
  refusal([&] { graph_.broadcast(x({2, 3}), {3}); });
  const Value parts[] = {x({2, 3}), x({2, 4})};
  EXPECT_EQ(refusal([&] { graph_.concatenation({parts, 2}, 0); }),
            "[op] shapes do not concatenate along axis 0: expected equal dimensions elsewhere, got [2, 3] and [2, 4]. "
            "Reshape one of them.");
  EXPECT_EQ(refusal([&] { graph_.matrix_multiplication(x({2, 3}), x({4, 5})); }),
            "[op] inner dimensions differ: expected [.., M, K] x [.., K, N], got [2, 3] and [4, 5] (K is 3 and 4). "
            "Transpose or reshape one of them.");
  refusal([&] { graph_.matrix_multiplication(x({2, 3, 4}), x({3, 4, 5})); });
}

TEST_F(Infer, RefusesBadPermutations) {
  refusal([&] { graph_.transpose(x({2, 3}), {0, 0}); });
  refusal([&] { graph_.transpose(x({2, 3}), {0, 2}); });
  refusal([&] { graph_.transpose(x({2, 3}), {1}); });
  refusal([&] { graph_.transpose(x({2, 3}), {-1, 0}); });
}

TEST_F(Infer, Slices) {
  EXPECT_TRUE(same_shape(graph_.shape(graph_.slice(x({10}), {1}, {8}, {3})), {3}));
  EXPECT_TRUE(same_shape(graph_.shape(graph_.slice(x({10}), {5}, {5}, {1})), {0}));
  EXPECT_TRUE(same_shape(graph_.shape(graph_.slice(x({10}), {7}, {2}, {1})), {0}));
  refusal([&] { graph_.slice(x({10}), {4}, {11}, {1}); });
  refusal([&] { graph_.slice(x({10}), {-1}, {5}, {1}); });
}

TEST_F(Infer, StridedViewsStayInsideTheirStorage) {
  graph_.strided_view(x({10}), {2, 5}, {5, 1}, 0);
  graph_.strided_view(x({10}), {10}, {-1}, 9);
  graph_.strided_view(x({10}), {0, 3}, {100, 100}, 0);  // no elements, nothing to leave
  EXPECT_EQ(refusal([&] { graph_.strided_view(x({10}), {2, 5}, {5, 1}, 1); }),
            "[op] strided view outside of its storage: expected elements 0..9, got 1..10. Check offset, shape and "
            "strides.");
  refusal([&] { graph_.strided_view(x({10}), {3}, {-1}, 1); });
  refusal([&] { graph_.strided_update(x({10}), x({3}), {4}, 2); });
}

TEST_F(Infer, ReductionsKeepTheirAxes) {
  EXPECT_TRUE(same_shape(graph_.shape(graph_.reduction_sum(x({2, 3, 4}), {0, 2})), {1, 3, 1}));
}

TEST_F(Infer, MatrixProducts) {
  EXPECT_TRUE(same_shape(graph_.shape(graph_.matrix_multiplication(x({5, 1, 2, 3}), x({4, 3, 6}))), {5, 4, 2, 6}));
}

TEST_F(Infer, Images) {
  Sliding s;
  s.size = {3, 3}, s.strides = {2, 1}, s.dilations = {1, 2}, s.before = {1, 0}, s.padding = {0, 2};
  const Value y = graph_.convolution(x({2, 4, 6, 7}), x({8, 4, 3, 3}), s);
  EXPECT_EQ(to_string(graph_.shape(y)), "[2, 8, 3, 5]");
  s.channels_last = true;
  const Value z = graph_.convolution(x({2, 6, 7, 4}), x({8, 4, 3, 3}), s);
  EXPECT_EQ(to_string(graph_.shape(z)), "[2, 3, 5, 8]");
  s.channels_last = false;

  EXPECT_NE(refusal([&] { graph_.convolution(x({2, 4, 6, 7}), x({8, 3, 3, 3}), s); }).find("weights do not fit"),
            std::string::npos);
  EXPECT_NE(refusal([&] { graph_.convolution(x({2, 4, 1, 2}), x({8, 4, 3, 3}), s); }).find("larger than the image"),
            std::string::npos);
  EXPECT_NE(refusal([&] {
              graph_.convolution_data_gradient(x({2, 8, 3, 4}), x({8, 4, 3, 3}), {2, 4, 6, 7}, s);
            }).find("incoming gradient"),
            std::string::npos);
  const auto pool = [&](Dims shape) { graph_.pooling(NodeKind::max_pooling, x({2, 4, 6, 7}), shape, s); };
  EXPECT_NE(refusal([&] { pool({2, 4, 3, 5}); }).find("without gaps"), std::string::npos);
  s.dilations = {1, 1};
  pool({2, 4, 3, 5});
  EXPECT_NE(refusal([&] { pool({2, 5, 3, 5}); }).find("do not fit"), std::string::npos);
  s.strides = {0, 1};
  EXPECT_NE(refusal([&] { pool({2, 4, 3, 5}); }).find("bad window"), std::string::npos);
}

TEST_F(Infer, FourierTransforms) {
  const auto gives = [&](Value made, Dims shape) { EXPECT_TRUE(same_shape(graph_.shape(made), shape)); };
  gives(graph_.fast_fourier_transform(x({2, 9, 3, 2}), true), {2, 9, 3, 2});
  gives(graph_.real_to_hermitean_fft(x({2, 9, 3}), false), {2, 5, 3, 2});
  gives(graph_.hermitean_to_real_fft(x({2, 5, 3, 2}), 8, false), {2, 8, 3});
  gives(graph_.hermitean_to_real_fft(x({2, 5, 3, 2}), 9, false), {2, 9, 3});
  EXPECT_EQ(refusal([&] { graph_.fast_fourier_transform(x({1, 4, 1, 2}, DType::float16), false); }),
            "[op] wrong dtype for fast_fourier_transform: expected float32, got float16. Cast the operand.");
  const auto bad = [&](auto record) { return error_of(ErrorKind::kInternal, record); };
  EXPECT_NE(bad([&] { graph_.fast_fourier_transform(x({1, 4, 1, 3}), false); }).find("pairs of parts"),
            std::string::npos);
  EXPECT_NE(bad([&] { graph_.real_to_hermitean_fft(x({1, 4, 1, 2}), false); }).find("[B, N, I]"), std::string::npos);
  EXPECT_NE(bad([&] { graph_.hermitean_to_real_fft(x({1, 4, 1, 2}), 8, false); }).find("expected 5 numbers"),
            std::string::npos);
}

TEST_F(Infer, LimitsOfADevice) {
  EXPECT_EQ(refusal([&] { x({1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}); }),
            "[op] too many dimensions: expected at most 16, got 17. Merge some with reshape.");
  refusal([&] { x({int64_t{1} << 31}); });
  refusal([&] { x({-1}); });
  EXPECT_EQ(refusal([&] { x({65536, 65536}); }),
            "[op] tensor too large: expected fewer than 2^32 elements, got shape [65536, 65536]. Split the tensor.");
  x({65536, 65535});
  x({65536, 65536, 0});  // nothing in it
}

}  // namespace
}  // namespace mps
