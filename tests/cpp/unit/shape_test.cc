// Shapes, strides and broadcasting.
#include "plugin/core/shape.h"

#include "tests/cpp/unit/testing.h"

namespace mps {
namespace {

TEST(Shape, ElementCount) {
  EXPECT_EQ(element_count({}), 1);
  EXPECT_EQ(element_count({2, 3, 4}), 24);
  EXPECT_EQ(element_count({2, 0, 4}), 0);
  EXPECT_EQ(element_count({65536, 65535}), int64_t{65536} * 65535);  // more than an int holds
}

TEST(Shape, ContiguousStrides) {
  EXPECT_EQ(to_string(contiguous_strides({2, 3, 4})), "[12, 4, 1]");
  EXPECT_EQ(to_string(contiguous_strides({})), "[]");
}

TEST(Shape, IsContiguous) {
  EXPECT_TRUE(is_contiguous({2, 3}, {3, 1}));
  EXPECT_FALSE(is_contiguous({2, 3}, {1, 2}));
  EXPECT_FALSE(is_contiguous({2, 3}, {4, 1}));
  EXPECT_FALSE(is_contiguous({2}, {-1}));
  EXPECT_TRUE(is_contiguous({1, 3, 1}, {99, 1, -5}));  // axes of size 1 may have any stride
  EXPECT_TRUE(is_contiguous({0, 3}, {7, 7}));
  EXPECT_TRUE(is_contiguous({}, {}));
}

TEST(Shape, Broadcast) {
  EXPECT_EQ(to_string(broadcast_shapes({4, 1}, {3})), "[4, 3]");
  EXPECT_EQ(to_string(broadcast_shapes({}, {2, 3})), "[2, 3]");
  EXPECT_EQ(to_string(broadcast_shapes({2, 3}, {2, 3})), "[2, 3]");
  EXPECT_EQ(to_string(broadcast_shapes({1}, {0})), "[0]");
  EXPECT_EQ(error_of(ErrorKind::kArgument, [] { broadcast_shapes({2, 3}, {4, 3}); }),
            "[mps] shapes do not broadcast: expected dimensions that are equal or 1, got [2, 3] and [4, 3] (2 against "
            "4 in dimension 0 of the result). Reshape or unsqueeze one of them.");
}

TEST(Shape, BroadcastsTo) {
  EXPECT_TRUE(broadcasts_to({3, 1}, {2, 3, 4}));
  EXPECT_TRUE(broadcasts_to({}, {2}));
  EXPECT_FALSE(broadcasts_to({2, 3}, {3}));
  EXPECT_FALSE(broadcasts_to({2}, {3}));
  EXPECT_FALSE(broadcasts_to({3}, {1}));
}

TEST(Shape, NormalizeAxis) {
  EXPECT_EQ(normalize_axis(-1, 3), 2);
  EXPECT_EQ(normalize_axis(0, 3), 0);
  EXPECT_EQ(error_of(ErrorKind::kArgument, [] { normalize_axis(3, 2); }),
            "[mps] axis out of range: expected -2..1 for rank 2, got 3. Count axes from 0, or from the end with a "
            "minus sign.");
  EXPECT_NE(error_of(ErrorKind::kArgument, [] { normalize_axis(-3, 2); }), "");
}

TEST(SmallVector, GrowsBeyondItsInlineStorage) {
  SmallVector<int64_t, 2> vector{1, 2};
  for (int64_t i = 3; i <= 100; ++i) vector.push_back(vector[0] * i);
  EXPECT_EQ(vector.size(), 100u);
  EXPECT_EQ(vector[99], 100);
  SmallVector<int64_t, 2> copy = vector;
  EXPECT_TRUE(copy == vector);
  copy[50] = 0;
  EXPECT_TRUE(copy != vector);
  copy = vector;
  EXPECT_TRUE(copy == vector);
}

TEST(SmallVector, PushesAnElementOfItself) {
  SmallVector<int64_t, 2> vector{7, 8};
  vector.push_back(vector[0]);  // grows while the argument lies in the old storage
  EXPECT_EQ(vector[2], 7);
}

TEST(SmallVector, ResizeFillsWithTheValue) {
  SmallVector<int, 4> vector{1};
  vector.resize(6, 9);
  EXPECT_EQ(vector[0], 1);
  EXPECT_EQ(vector[5], 9);
  vector.resize(2);
  EXPECT_EQ(vector.size(), 2u);
}

}  // namespace
}  // namespace mps
