// Mistakes with MPSGraph: each ends the program with a sentence, in a process of its own.
#include "tests/apple_double/tests/graph_fixture.h"

namespace apple_double {
namespace {

class GraphMistakes : public GraphFixture {
 protected:
  bool is(int number) { return os_version().number() >= number; }
};

TEST_F(GraphMistakes, Shapes) {
  EXPECT_DEATH(placeholder(@[ @2, @0 ]), "no elements");
  EXPECT_DEATH(placeholder(@[ @2147483648ll ]), "INT_MAX");
  EXPECT_DEATH(placeholder(@[ @65536, @65536 ]), "2\\^32");
  NSMutableArray* const many = [NSMutableArray array];
  for (int i = 0; i < 17; ++i) [many addObject:@1];
  EXPECT_DEATH(placeholder(many), "at most 16");
  MPSGraphTensor* const five = placeholder(@[ @1, @1, @1, @1, @2 ]);
  EXPECT_DEATH([graph_ squareWithTensor:five name:nil], "5 axes");
  MPSGraphTensor* const x = placeholder(@[ @2, @3 ]);
  MPSGraphTensor* const y = placeholder(@[ @4, @3 ]);
  EXPECT_DEATH([graph_ additionWithPrimaryTensor:x secondaryTensor:y name:nil], "Failed to infer result type");
  EXPECT_DEATH([graph_ reductionSumWithTensor:x axis:2 name:nil], "axis 2 of 2 axes");
}

TEST_F(GraphMistakes, Types) {
  MPSGraphTensor* const bytes = placeholder(@[ @2 ], MPSDataTypeUInt8);
  MPSGraphTensor* const ints = placeholder(@[ @2 ], MPSDataTypeInt32);
  MPSGraphTensor* const floats = placeholder(@[ @2 ]);
  EXPECT_DEATH([graph_ additionWithPrimaryTensor:bytes secondaryTensor:bytes name:nil], "of uint8: not known to work");
  EXPECT_DEATH([graph_ additionWithPrimaryTensor:ints secondaryTensor:floats name:nil], "different types");
  EXPECT_DEATH([graph_ maximumWithNaNPropagationWithPrimaryTensor:ints secondaryTensor:ints name:nil], "of int32");
  EXPECT_DEATH([graph_ floorWithTensor:ints name:nil], "of int32");
  MPSGraphTensor* const matrix = placeholder(@[ @2, @2 ], MPSDataTypeInt32);
  EXPECT_DEATH([graph_ matrixMultiplicationWithPrimaryTensor:matrix secondaryTensor:matrix name:nil], "of int32");
  EXPECT_DEATH([graph_ constantWithScalar:1 shape:@[ @1 ] dataType:MPSDataTypeBool], "come out wrong");
  MPSGraphTensor* const at = placeholder(@[ @1 ], MPSDataTypeInt32);
  EXPECT_DEATH([graph_ gatherWithUpdatesTensor:bytes indicesTensor:at axis:0 batchDimensions:0 name:nil], "82305");
  EXPECT_DEATH(placeholder(@[ @1 ], MPSDataTypeComplexFloat32), "none of dtype.def");
  if (!is(1400)) EXPECT_DEATH(placeholder(@[ @1 ], MPSDataTypeBFloat16), "from macOS 14.0 on");
  if (!is(1303)) {
    MPSGraphTensor* const large = placeholder(@[ @2 ], MPSDataTypeInt64);
    EXPECT_DEATH([graph_ additionWithPrimaryTensor:large secondaryTensor:large name:nil], "before macOS 13.3");
  }
}

TEST_F(GraphMistakes, Products) {
  MPSGraphTensor* const x = placeholder(@[ @16, @40000 ]);
  MPSGraphTensor* const y = placeholder(@[ @40000, @16 ]);
  EXPECT_DEATH([graph_ matrixMultiplicationWithPrimaryTensor:x secondaryTensor:y name:nil], "195163");
  if (!is(1404)) {
    MPSGraphTensor* const row = placeholder(@[ @1, @2 ]);
    MPSGraphTensor* const wide = placeholder(@[ @2, @40000 ]);
    EXPECT_DEATH([graph_ matrixMultiplicationWithPrimaryTensor:row secondaryTensor:wide name:nil], "116769");
  }
  MPSGraphTensor* const batch = placeholder(@[ @64, @128, @2 ]);
  MPSGraphTensor* const one = placeholder(@[ @2, @1024 ]);
  EXPECT_DEATH([graph_ matrixMultiplicationWithPrimaryTensor:batch secondaryTensor:one name:nil], "111634");
}

TEST_F(GraphMistakes, Convolutions) {
  const auto described = [](MPSGraphTensorNamedDataLayout data, MPSGraphPaddingStyle style) {
    return [MPSGraphConvolution2DOpDescriptor descriptorWithStrideInX:1
                                                            strideInY:1
                                                      dilationRateInX:1
                                                      dilationRateInY:1
                                                               groups:1
                                                          paddingLeft:0
                                                         paddingRight:0
                                                           paddingTop:0
                                                        paddingBottom:0
                                                         paddingStyle:style
                                                           dataLayout:data
                                                        weightsLayout:MPSGraphTensorNamedDataLayoutOIHW];
  };
  const auto convolve = [&](MPSGraphTensor* x, MPSGraphTensor* weights, MPSGraphConvolution2DOpDescriptor* descriptor) {
    return [graph_ convolution2DWithSourceTensor:x weightsTensor:weights descriptor:descriptor name:nil];
  };
  MPSGraphConvolution2DOpDescriptor* const usual =
      described(MPSGraphTensorNamedDataLayoutNCHW, MPSGraphPaddingStyleExplicit);
  MPSGraphTensor* const x = placeholder(@[ @2, @1, @300, @4 ]);
  MPSGraphTensor* const w = placeholder(@[ @1, @1, @3, @3 ]);
  EXPECT_NE(convolve(x, w, usual), nil);
  EXPECT_DEATH(convolve(x, w, described(MPSGraphTensorNamedDataLayoutNHWC, MPSGraphPaddingStyleExplicit)), "180984");
  EXPECT_DEATH(convolve(x, w, described(MPSGraphTensorNamedDataLayoutNCHW, MPSGraphPaddingStyleTF_SAME)), "explicit");
  EXPECT_DEATH(convolve(x, placeholder(@[ @1, @1, @256, @1 ]), usual), "188335");
  EXPECT_DEATH(convolve(placeholder(@[ @1, @1, @1, @1 ]), placeholder(@[ @65537, @1, @1, @1 ]), usual), "129207");
  EXPECT_DEATH(convolve(x, placeholder(@[ @1, @2, @3, @3 ]), usual), "Failed to infer result type");
  MPSGraphTensor* const half = placeholder(@[ @1, @1, @3, @3 ], MPSDataTypeFloat16);
  EXPECT_DEATH(convolve(half, half, usual), "short floats");
}

TEST_F(GraphMistakes, Compilation) {
  MPSGraphTensor* const x = placeholder(@[ @2 ]);
  MPSGraphTensor* const y = [graph_ squareWithTensor:x name:nil];
  if (is(1203)) {
    EXPECT_DEATH([graph_ compileWithDevice:nil
                                     feeds:@{}
                             targetTensors:@[ y ]
                          targetOperations:nil
                     compilationDescriptor:nil],
                 "MPSGraphOptimizationLevel0");
  }
  EXPECT_DEATH(compile(@[], @[ y ]), "not among the feeds");
  EXPECT_DEATH(compile(@[ x ], @[ x ]), "a target that is a placeholder");
  EXPECT_DEATH(compile(@[ x ], @[ y, y ]), "a target twice");
  MPSGraph* const other = [[MPSGraph new] autorelease];
  EXPECT_DEATH([other squareWithTensor:x name:nil], "of another graph");
}

TEST_F(GraphMistakes, Feeds) {
  MPSGraphTensor* const x = placeholder(@[ @2, @3 ]);
  MPSGraphTensor* const y = [graph_ squareWithTensor:x name:nil];
  MPSGraphExecutable* const executable = compile(@[ x ], @[ y ]);
  id<MTLBuffer> const from = buffer(std::vector<float>(8)), to = buffer(std::vector<float>(6));
  EXPECT_DEATH(data(buffer(std::vector<float>(5)), x), "buffer is not large enough. Must be 24 bytes");
  EXPECT_DEATH(encode(executable, @[], @[ data(to, y) ]), "0 inputs for 1 feeds");
  EXPECT_DEATH(encode(executable, @[ data(from, @[ @3, @2 ]) ], @[ data(to, y) ]),
               "expected float32\\[2, 3\\], got float32");
  EXPECT_DEATH(encode(executable, @[ data(from, x.shape, MPSDataTypeInt32) ], @[ data(to, y) ]), "got int32");
  if (is(1203)) {
    MPSGraphTensorData* const rows = [[MPSGraphTensorData alloc] initWithMTLBuffer:from
                                                                             shape:x.shape
                                                                          dataType:MPSDataTypeFloat32
                                                                          rowBytes:16];
    EXPECT_DEATH(encode(executable, @[ rows ], @[ data(to, y) ]), "a strided feed");
    [rows release];
  }
  if (is(1500)) {
    // Without preferPackedRows, rows are padded.
    MPSNDArrayDescriptor* const descriptor = [MPSNDArrayDescriptor descriptorWithDataType:MPSDataTypeFloat32
                                                                                    shape:@[ @2, @3 ]];
    MPSNDArray* const array = [[MPSNDArray alloc] initWithBuffer:from offset:0 descriptor:descriptor];
    MPSGraphTensorData* const padded = [[MPSGraphTensorData alloc] initWithMPSNDArray:array];
    EXPECT_DEATH(encode(executable, @[ padded ], @[ data(to, y) ]), "a strided feed");
    EXPECT_DEATH([[MPSNDArray alloc] initWithBuffer:from offset:2 descriptor:descriptor], "not a multiple");
    for (id object : {(id)array, (id)padded}) [object release];
  } else {
    MPSNDArrayDescriptor* const descriptor = [MPSNDArrayDescriptor descriptorWithDataType:MPSDataTypeFloat32
                                                                                    shape:@[ @2, @3 ]];
    EXPECT_DEATH([[MPSNDArray alloc] initWithBuffer:from offset:4 descriptor:descriptor], "from macOS 15.0 on");
  }
  MPSGraphTensor* const scalar = placeholder(@[]);
  MPSGraphTensor* const target = [graph_ squareWithTensor:scalar name:nil];
  EXPECT_DEATH(encode(compile(@[ scalar ], @[ target ]), @[ data(from, scalar) ], @[ data(to, target) ]),
               "fed as \\[1\\]");
  MPSGraphTensor* const five = placeholder(@[ @1, @1, @1, @1, @2 ]);
  MPSGraphTensor* const flat = [graph_ squareWithTensor:[graph_ reshapeTensor:five withShape:@[ @2 ] name:nil]
                                                   name:nil];
  EXPECT_DEATH(encode(compile(@[ five ], @[ flat ]), @[ data(from, five) ], @[ data(to, flat) ]), "5 axes");
}

TEST_F(GraphMistakes, Results) {
  MPSGraphTensor* const x = placeholder(@[ @2, @2 ]);
  MPSGraphTensor* const square = [graph_ squareWithTensor:x name:nil];
  MPSGraphTensor* const turned = [graph_ transposeTensor:x dimension:0 withDimension:1 name:nil];
  id<MTLBuffer> const both = buffer(std::vector<float>(8)), other = buffer(std::vector<float>(4));
  EXPECT_DEATH(encode(compile(@[ x ], @[ turned ]), @[ data(both, x) ], @[ data(both, turned) ]), "element by element");
  EXPECT_DEATH(
      encode(compile(@[ x ], @[ square, turned ]), @[ data(both, x) ], @[ data(both, square), data(other, turned) ]),
      "another target");
  EXPECT_DEATH(
      encode(compile(@[ x ], @[ square, turned ]), @[ data(both, x) ], @[ data(other, square), data(other, turned) ]),
      "overlaps result 0");
}

TEST_F(GraphMistakes, Encoding) {
  MPSGraphTensor* const x = placeholder(@[ @2 ]);
  MPSGraphTensor* const y = [graph_ squareWithTensor:x name:nil];
  MPSGraphExecutable* const executable = compile(@[ x ], @[ y ]);
  NSArray* const inputs = @[ data(buffer(std::vector<float>(2)), x) ];
  NSArray* const results = @[ data(buffer(std::vector<float>(2)), y) ];
  MPSCommandBuffer* const commands = [MPSCommandBuffer commandBufferFromCommandQueue:queue_];
  EXPECT_DEATH(
      {
        [commands blitCommandEncoder];
        [executable encodeToCommandBuffer:commands inputsArray:inputs resultsArray:results executionDescriptor:nil];
      },
      "an encoder of this command buffer is still open");
  EXPECT_DEATH(
      {
        id plain = [queue_ commandBuffer];
        [executable encodeToCommandBuffer:plain inputsArray:inputs resultsArray:results executionDescriptor:nil];
      },
      "expected an MPSCommandBuffer");
  // A graph that is gone, and its tensors with it.
  EXPECT_DEATH(
      {
        MPSGraph* const gone = [MPSGraph new];
        MPSGraphTensor* const tensor = [[gone placeholderWithShape:@[ @1 ] dataType:MPSDataTypeFloat32
                                                              name:nil] retain];
        [gone release];
        [gone squareWithTensor:tensor name:nil];
      },
      "was sent to a deallocated MPSGraph");
}

TEST_F(GraphMistakes, Indices) {
  MPSGraphTensor* const x = placeholder(@[ @2 ], MPSDataTypeInt32);
  MPSGraphTensor* const from = [graph_ constantWithScalar:1 shape:@[ @3 ] dataType:MPSDataTypeFloat32];
  MPSGraphTensor* const y = [graph_ gatherWithUpdatesTensor:from indicesTensor:x axis:0 batchDimensions:0 name:nil];
  EXPECT_DEATH((run<float>(x, std::vector<int32_t>{0, 3}, y, 2)), "index 3 of an axis of 3");
  EXPECT_DEATH((run<float>(x, std::vector<int32_t>{-1, 0}, y, 2)), "index -1 of an axis of 3");
}

TEST_F(GraphMistakes, Complex) {
  if (os_version().number() < 1400) GTEST_SKIP() << "complex numbers are newer";
  MPSGraphTensor* const x = placeholder(@[ @1, @4, @1 ]);
  MPSGraphTensor* const both = [graph_ complexTensorWithRealTensor:x imaginaryTensor:x name:nil];
  MPSGraphFFTDescriptor* const what = [MPSGraphFFTDescriptor descriptor];
  EXPECT_DEATH([graph_ negativeWithTensor:both name:nil], "of complex numbers");
  EXPECT_DEATH([graph_ realPartOfTensor:x name:nil], "of real numbers");
  EXPECT_DEATH([graph_ fastFourierTransformWithTensor:x axes:@[ @1 ] descriptor:what name:nil], "of real numbers");
  EXPECT_DEATH([graph_ HermiteanToRealFFTWithTensor:both axes:@[ @1 ] descriptor:what name:nil], "126649");
  EXPECT_DEATH(compile(@[ x ], @[ both ]), "a target of complex numbers");
  what.inverse = YES;
  EXPECT_DEATH([graph_ realToHermiteanFFTWithTensor:x axes:@[ @1 ] descriptor:what name:nil], "positive exponents");
}

TEST_F(GraphMistakes, Scatters) {
  MPSGraphTensor* const at = placeholder(@[ @2 ], MPSDataTypeInt32);
  const auto scatter = [&](MPSDataType type, MPSShape* shape) {
    return [graph_ scatterWithDataTensor:[graph_ reshapeTensor:placeholder(@[ @3 ], type)
                                                     withShape:@[ @3, @1 ]
                                                          name:nil]
                           updatesTensor:[graph_ reshapeTensor:placeholder(@[ @2 ], type) withShape:shape name:nil]
                           indicesTensor:at
                                    axis:0
                                    mode:MPSGraphScatterModeAdd
                                    name:nil];
  };
  EXPECT_DEATH(scatter(MPSDataTypeFloat16, (@[ @2, @1 ])), "88542");
  EXPECT_DEATH(scatter(MPSDataTypeUInt8, (@[ @2, @1 ])), "of uint8: not known to work");
  EXPECT_DEATH(scatter(MPSDataTypeFloat32, @[ @2 ]), "expected updates of");
  MPSGraphTensor* const data = [graph_ constantWithScalar:1 shape:@[ @3 ] dataType:MPSDataTypeFloat32];
  MPSGraphTensor* const updates = [graph_ constantWithScalar:2 shape:@[ @2 ] dataType:MPSDataTypeFloat32];
  MPSGraphTensor* const sum = [graph_ scatterWithDataTensor:data
                                              updatesTensor:updates
                                              indicesTensor:at
                                                       axis:0
                                                       mode:MPSGraphScatterModeAdd
                                                       name:nil];
  EXPECT_EQ((run<float>(at, std::vector<int32_t>{2, 2}, sum, 3)), (std::vector<float>{1, 1, 5}));
  EXPECT_DEATH((run<float>(at, std::vector<int32_t>{0, 3}, sum, 3)), "index 3 of an axis of 3");
}

TEST_F(GraphMistakes, Packages) {
  if (!is(1400)) GTEST_SKIP() << "packages are newer";
  NSURL* const nowhere = [NSURL fileURLWithPath:@"/nowhere/at.all"];
  EXPECT_DEATH([[MPSGraphExecutable alloc] initWithMPSGraphPackageAtURL:nowhere compilationDescriptor:level0()],
               "no package, or a damaged one");
  MPSGraphTensor* const x = placeholder(@[ @2 ]);
  MPSGraphExecutable* const executable = compile(@[ x ], @[ [graph_ squareWithTensor:x name:nil] ]);
  NSURL* const there = [NSURL fileURLWithPath:@"/tmp"];
  EXPECT_DEATH([executable serializeToMPSGraphPackageAtURL:there descriptor:nil], "exists");
}

TEST_F(GraphMistakes, NewerSelectors) {
  MPSGraphTensor* const x = placeholder(@[ @2, @3 ]);
  if (!is(1300)) {
    EXPECT_DEATH(([graph_ transposeTensor:x permutation:@[ @1, @0 ] name:nil]),
                 "transposeTensor:permutation:name:. is there");
    EXPECT_DEATH([graph_ truncateWithTensor:x name:nil], "from macOS 13.0 on");
  }
  if (!is(1300)) {
    EXPECT_DEATH([graph_ cumulativeSumWithTensor:x axis:0 exclusive:NO reverse:NO name:nil], "from macOS 13.0 on");
  }
  if (!is(1203)) EXPECT_DEATH([graph_ coordinateAlongAxis:0 withShape:@[ @2 ] name:nil], "from macOS 12.3 on");
  EXPECT_EQ([MPSGraph instancesRespondToSelector:@selector(truncateWithTensor:name:)], is(1300));
  EXPECT_TRUE([MPSGraph instancesRespondToSelector:@selector(squareWithTensor:name:)]);
  EXPECT_DEATH([graph_ softMaxWithTensor:x axis:0 name:nil], "no such method");
}

}  // namespace
}  // namespace apple_double
