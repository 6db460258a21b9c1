// The MPSGraph of the double: it computes, and where the real one does something else than one would like, so does it.
#include <set>

#include "plugin/core/half.h"
#include "tests/apple_double/tests/graph_fixture.h"

namespace apple_double {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
const float kNaN = std::nanf("");

class Graphs : public GraphFixture {};

TEST_F(Graphs, Compute) {
  MPSGraphTensor* const x = placeholder(@[ @2, @3 ]);
  MPSGraphTensor* const y = [graph_ transposeTensor:x dimension:0 withDimension:1 name:nil];
  MPSGraphTensor* const two = [graph_ constantWithScalar:2 shape:@[ @1 ] dataType:MPSDataTypeFloat32];
  MPSGraphTensor* const z = [graph_ multiplicationWithPrimaryTensor:y secondaryTensor:two name:nil];
  EXPECT_TRUE([z.shape isEqual:(@[ @3, @2 ])]);
  EXPECT_EQ(z.dataType, MPSDataTypeFloat32);
  EXPECT_EQ((run<float>(x, std::vector<float>{1, 2, 3, 4, 5, 6}, z, 6)), (std::vector<float>{2, 8, 4, 10, 6, 12}));
}

TEST_F(Graphs, GiveSeveralTargetsInTheirOrder) {
  MPSGraphTensor* const x = placeholder(@[ @4 ]);
  MPSGraphTensor* const square = [graph_ squareWithTensor:x name:nil];
  MPSGraphTensor* const sum = [graph_ reductionSumWithTensor:square axis:-1 name:nil];
  id<MTLBuffer> const first = buffer(std::vector<float>(1)), second = buffer(std::vector<float>(4));
  encode(compile(@[ x ], @[ sum, square ]), @[ data(buffer(std::vector<float>{1, 2, 3, 4}), x) ],
         @[ data(first, sum), data(second, square) ]);
  EXPECT_EQ(read<float>(first, 1), std::vector<float>{30});
  EXPECT_EQ(read<float>(second, 4), (std::vector<float>{1, 4, 9, 16}));
}

TEST_F(Graphs, OrderTheirFeedsAsTheyLike) {
  MPSGraphTensor* const x = placeholder(@[ @1 ]);
  MPSGraphTensor* const y = placeholder(@[ @2 ]);
  MPSGraphTensor* const z = [graph_ additionWithPrimaryTensor:x secondaryTensor:y name:nil];
  std::set<bool> x_first;
  for (int i = 0; i < 100; ++i) {
    MPSGraphExecutable* const executable = compile(@[ x, y ], @[ z ]);
    EXPECT_EQ(executable.feedTensors.count, 2u);
    x_first.insert([executable.feedTensors objectAtIndex:0] == x);
  }
  EXPECT_EQ(x_first.size(), 2u);
}

TEST_F(Graphs, CommitOnTheirOwnNowAndThen) {
  MPSGraphTensor* const x = placeholder(@[ @1 ]);
  MPSGraphTensor* const y = [graph_ squareWithTensor:x name:nil];
  MPSGraphExecutable* const executable = compile(@[ x ], @[ y ]);
  id<MTLBuffer> const from = buffer(std::vector<float>{3}), to = buffer(std::vector<float>{0});
  MPSCommandBuffer* const commands = [MPSCommandBuffer commandBufferFromCommandQueue:queue_];
  std::set<void*> roots;
  for (int i = 0; i < 100; ++i) {
    [executable encodeToCommandBuffer:commands
                          inputsArray:@[ data(from, x) ]
                         resultsArray:@[ data(to, y) ]
                  executionDescriptor:nil];
    roots.insert((void*)commands.rootCommandBuffer);
  }
  EXPECT_GT(roots.size(), 1u);
  [commands commit];
}

TEST_F(Graphs, SaturateFloatsThatAreCast) {
  MPSGraphTensor* const x = placeholder(@[ @4 ]);
  MPSGraphTensor* const bytes = [graph_ castTensor:x toType:MPSDataTypeUInt8 name:nil];
  EXPECT_EQ((run<uint8_t>(x, std::vector<float>{300, -5, 2.9f, 255.5f}, bytes, 4)),
            (std::vector<uint8_t>{255, 0, 2, 255}));
  MPSGraphTensor* const whole = [graph_ castTensor:x toType:MPSDataTypeInt32 name:nil];
  const auto got = run<int32_t>(x, std::vector<float>{1e10f, -2.9f, kNaN, -kInfinity}, whole, 4);
  EXPECT_EQ(got[0], INT32_MAX);
  EXPECT_EQ(got[1], -2);
  EXPECT_NE(got[2], 0);  // what NaN becomes is not documented
  EXPECT_EQ(got[3], INT32_MIN);
}

TEST_F(Graphs, WrapIntegersThatAreCast) {
  MPSGraphTensor* const x = placeholder(@[ @3 ], MPSDataTypeInt32);
  MPSGraphTensor* const bytes = [graph_ castTensor:x toType:MPSDataTypeInt8 name:nil];
  EXPECT_EQ((run<int8_t>(x, std::vector<int32_t>{300, -129, 5}, bytes, 3)), (std::vector<int8_t>{44, 127, 5}));
  MPSGraphTensor* const truth = [graph_ castTensor:x toType:MPSDataTypeBool name:nil];
  EXPECT_EQ((run<uint8_t>(x, std::vector<int32_t>{256, 2, 1}, truth, 3)), (std::vector<uint8_t>{0, 2, 1}));  // bytes
}

TEST_F(Graphs, IgnoreNaNInMaximaUnlessAskedNotTo) {
  MPSGraphTensor* const x = placeholder(@[ @3 ]);
  MPSGraphTensor* const zero = [graph_ constantWithScalar:0 shape:@[ @3 ] dataType:MPSDataTypeFloat32];
  const std::vector<float> numbers = {kNaN, 1, -1};
  MPSGraphTensor* const plain = [graph_ maximumWithPrimaryTensor:x secondaryTensor:zero name:nil];
  EXPECT_EQ(run<float>(x, numbers, plain, 3)[0], 0);
  MPSGraphTensor* const kept = [graph_ maximumWithNaNPropagationWithPrimaryTensor:x secondaryTensor:zero name:nil];
  EXPECT_TRUE(std::isnan(run<float>(x, numbers, kept, 3)[0]));
  MPSGraphTensor* const most = [graph_ reductionMaximumWithTensor:x axes:nil name:nil];
  EXPECT_EQ(run<float>(x, numbers, most, 1)[0], 1);
  MPSGraphTensor* const nan = [graph_ reductionMaximumPropagateNaNWithTensor:x axes:nil name:nil];
  EXPECT_TRUE(std::isnan(run<float>(x, numbers, nan, 1)[0]));
  MPSGraphTensor* const relu = [graph_ reLUWithTensor:x name:nil];
  EXPECT_TRUE(std::isnan(run<float>(x, numbers, relu, 3)[0]));  // not documented; ours is 0
  MPSGraphTensor* const sign = [graph_ signWithTensor:x name:nil];
  EXPECT_EQ(run<float>(x, numbers, sign, 3)[0], 0);  // ours is NaN
}

TEST_F(Graphs, SumShortFloatsInShortFloats) {
  MPSGraphTensor* const x = placeholder(@[ @4096 ], MPSDataTypeFloat16);
  MPSGraphTensor* const sum = [graph_ reductionSumWithTensor:x axes:nil name:nil];
  EXPECT_EQ(static_cast<float>(run<mps::Half>(x, std::vector<mps::Half>(4096, mps::Half(1)), sum, 1)[0]), 2048);
  MPSGraphTensor* const row = [graph_ reshapeTensor:x withShape:@[ @1, @4096 ] name:nil];
  MPSGraphTensor* const column = [graph_ reshapeTensor:x withShape:@[ @4096, @1 ] name:nil];
  MPSGraphTensor* const product = [graph_ matrixMultiplicationWithPrimaryTensor:row secondaryTensor:column name:nil];
  EXPECT_EQ(static_cast<float>(run<mps::Half>(x, std::vector<mps::Half>(4096, mps::Half(1)), product, 1)[0]), 2048);
}

TEST_F(Graphs, DivideIntegersAsTheLanguageDoes) {
  MPSGraphTensor* const x = placeholder(@[ @4 ], MPSDataTypeInt32);
  NSData* const divisors = [NSData dataWithBytes:std::vector<int32_t>{28, 2, 0, -1}.data() length:16];
  MPSGraphTensor* const y = [graph_ constantWithData:divisors shape:@[ @4 ] dataType:MPSDataTypeInt32];
  MPSGraphTensor* const q = [graph_ divisionWithPrimaryTensor:x secondaryTensor:y name:nil];
  const auto got = run<int32_t>(x, std::vector<int32_t>{-616, -7, 5, INT32_MIN}, q, 4);
  EXPECT_EQ(got[0], -22);
  EXPECT_EQ(got[1], -3);
  EXPECT_NE(got[2], 0);  // undefined, and so is the next
  EXPECT_NE(got[3], INT32_MIN);
}

TEST_F(Graphs, GatherAndReverse) {
  MPSGraphTensor* const x = placeholder(@[ @2, @3 ]);
  const std::vector<float> numbers = {1, 2, 3, 4, 5, 6};
  MPSGraphTensor* const back = [graph_ reverseTensor:x axes:@[ @1 ] name:nil];
  EXPECT_EQ(run<float>(x, numbers, back, 6), (std::vector<float>{3, 2, 1, 6, 5, 4}));
  NSData* const indices = [NSData dataWithBytes:std::vector<int32_t>{2, 0}.data() length:8];
  MPSGraphTensor* const at = [graph_ constantWithData:indices shape:@[ @2 ] dataType:MPSDataTypeInt32];
  MPSGraphTensor* const columns = [graph_ gatherWithUpdatesTensor:x indicesTensor:at axis:1 batchDimensions:0 name:nil];
  EXPECT_EQ(run<float>(x, numbers, columns, 4), (std::vector<float>{3, 1, 6, 4}));
  MPSGraphTensor* const pairs = [graph_ reshapeTensor:at withShape:@[ @2, @1 ] name:nil];
  MPSGraphTensor* const flat = [graph_ reshapeTensor:x withShape:@[ @6 ] name:nil];
  MPSGraphTensor* const nd = [graph_ gatherNDWithUpdatesTensor:flat indicesTensor:pairs batchDimensions:0 name:nil];
  EXPECT_EQ(run<float>(x, numbers, nd, 2), (std::vector<float>{3, 1}));
  if (os_version().number() < 1203) return;
  MPSGraphTensor* const along = [graph_ gatherAlongAxis:1 withUpdatesTensor:x indicesTensor:pairs name:nil];
  EXPECT_EQ(run<float>(x, numbers, along, 2), (std::vector<float>{3, 4}));
  MPSGraphTensor* const place = [graph_ coordinateAlongAxis:1 withShape:@[ @2, @3 ] name:nil];
  MPSGraphTensor* const number = [graph_ castTensor:place toType:MPSDataTypeFloat32 name:nil];
  MPSGraphTensor* const sum = [graph_ additionWithPrimaryTensor:x secondaryTensor:number name:nil];
  EXPECT_EQ(run<float>(x, numbers, sum, 6), (std::vector<float>{1, 3, 5, 4, 6, 8}));
}

TEST_F(Graphs, TransformComplexNumbers) {
  if (os_version().number() < 1400) GTEST_SKIP() << "transforms are newer";
  MPSGraphTensor* const x = placeholder(@[ @1, @4, @1 ]);
  const std::vector<float> numbers = {1, 2, 3, 5};
  MPSGraphFFTDescriptor* const forward = [MPSGraphFFTDescriptor descriptor];
  MPSGraphFFTDescriptor* const inverse = [MPSGraphFFTDescriptor descriptor];
  inverse.inverse = YES;
  MPSGraphTensor* const half = [graph_ realToHermiteanFFTWithTensor:x axes:@[ @1 ] descriptor:forward name:nil];
  EXPECT_EQ(half.dataType, MPSDataTypeComplexFloat32);
  EXPECT_EQ([half.shape count], 3u);
  const auto parts = [&](MPSGraphTensor* complex, size_t count) {
    return std::pair(run<float>(x, numbers, [graph_ realPartOfTensor:complex name:nil], count),
                     run<float>(x, numbers, [graph_ imaginaryPartOfTensor:complex name:nil], count));
  };
  using Floats = std::vector<float>;
  EXPECT_EQ(parts(half, 3), std::pair(Floats({11, -2, -3}), Floats({0, 3, 0})));
  MPSGraphTensor* const both = [graph_ complexTensorWithRealTensor:x imaginaryTensor:x name:nil];
  MPSGraphTensor* const there = [graph_ fastFourierTransformWithTensor:both axes:@[ @1 ] descriptor:forward name:nil];
  EXPECT_EQ(parts(there, 4), std::pair(Floats({11, -5, -3, 1}), Floats({11, 1, -3, -5})));
  MPSGraphTensor* const back = [graph_ fastFourierTransformWithTensor:there axes:@[ @1 ] descriptor:inverse name:nil];
  EXPECT_EQ(parts(back, 4), std::pair(Floats({4, 8, 12, 20}), Floats({4, 8, 12, 20})));
}

TEST_F(Graphs, MoveInPlaceOnlyElementByElement) {
  MPSGraphTensor* const x = placeholder(@[ @4 ]);
  MPSGraphTensor* const y = [graph_ squareWithTensor:x name:nil];
  id<MTLBuffer> const both = buffer(std::vector<float>{1, 2, 3, 4});
  encode(compile(@[ x ], @[ y ]), @[ data(both, x) ], @[ data(both, y) ]);
  EXPECT_EQ(read<float>(both, 4), (std::vector<float>{1, 4, 9, 16}));
}

TEST_F(Graphs, TakeOffsetsFromMacOS15On) {
  if (os_version().number() < 1500) GTEST_SKIP() << "initWithBuffer:offset:descriptor: is newer";
  MPSGraphTensor* const x = placeholder(@[ @2, @3 ]);
  MPSGraphTensor* const y = [graph_ squareWithTensor:x name:nil];
  id<MTLBuffer> const from = buffer(std::vector<float>{0, 1, 2, 3, 4, 5, 6}), to = buffer(std::vector<float>(6));
  MPSNDArrayDescriptor* const descriptor = [MPSNDArrayDescriptor descriptorWithDataType:MPSDataTypeFloat32
                                                                                  shape:x.shape];
  descriptor.preferPackedRows = YES;
  EXPECT_EQ([descriptor lengthOfDimension:0], 3u);  // counted from the fastest
  MPSNDArray* const array = [[[MPSNDArray alloc] initWithBuffer:from offset:4 descriptor:descriptor] autorelease];
  MPSGraphTensorData* const view = [[[MPSGraphTensorData alloc] initWithMPSNDArray:array] autorelease];
  encode(compile(@[ x ], @[ y ]), @[ view ], @[ data(to, y) ]);
  EXPECT_EQ(read<float>(to, 6), (std::vector<float>{1, 4, 9, 16, 25, 36}));
}

TEST_F(Graphs, AreKeptInPackages) {
  if (os_version().number() < 1400) GTEST_SKIP() << "packages are newer";
  MPSGraphTensor* const x = placeholder(@[ @2 ]);
  MPSGraphTensor* const y = [graph_ squareWithTensor:[graph_ exponentWithTensor:x name:nil] name:nil];
  NSString* const path =
      [NSString stringWithFormat:@"%s/apple_double.%d.mpsgraphpackage", testing::TempDir().c_str(), getpid()];
  NSURL* const url = [NSURL fileURLWithPath:path];
  [compile(@[ x ], @[ y ]) serializeToMPSGraphPackageAtURL:url descriptor:nil];
  MPSGraphExecutable* const kept = [[[MPSGraphExecutable alloc] initWithMPSGraphPackageAtURL:url
                                                                       compilationDescriptor:level0()] autorelease];
  EXPECT_EQ(kept.feedTensors, nil);
  id<MTLBuffer> const to = buffer(std::vector<float>(2));
  encode(kept, @[ data(buffer(std::vector<float>{0, 1}), x) ], @[ data(to, y) ]);
  EXPECT_EQ(read<float>(to, 1), std::vector<float>{1});
  [[NSFileManager defaultManager] removeItemAtPath:path error:nullptr];
}

}  // namespace
}  // namespace apple_double
