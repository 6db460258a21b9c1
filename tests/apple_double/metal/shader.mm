#include "tests/apple_double/metal/shader.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <regex>
#include <sstream>

#include "tests/apple_double/base/control.h"
#include "tests/apple_double/metal/device.h"

namespace apple_double {
namespace {

struct LibraryState {
  Kept<NSString*> label;
  std::vector<Kernel> kernels;
};

struct FunctionState {
  Kept<NSString*> label;
  Kernel kernel;
};

struct CompileOptionsState {
  BOOL fastMathEnabled = YES;  // Metal's default
  MTLMathMode mathMode = MTLMathModeFast;
  MTLMathFloatingPointFunctions mathFloatingPointFunctions = MTLMathFloatingPointFunctionsFast;
  MTLLanguageVersion languageVersion = MTLLanguageVersion2_4;
  BOOL preserveInvariance = NO;
  Kept<NSDictionary*> preprocessorMacros;
};

struct Parameter {
  std::string type, name, attribute;
};

// "device uchar* to [[buffer(0)]]" -> {"device uchar*", "to", "buffer(0)"}
std::vector<Parameter> parameters(const std::string& text) {
  static const std::regex one(R"(\s*([^,\[\]]*?[\s*&])(\w+)\s*\[\[\s*([^\]]*?)\s*\]\]\s*(,|$))");
  std::vector<Parameter> found;
  for (std::sregex_iterator i(text.begin(), text.end(), one), end; i != end; ++i)
    found.push_back({(*i)[1], (*i)[2], (*i)[3]});
  return found;
}

// A function that calls the kernel for every thread of a grid.
std::string caller(const std::string& name, const std::vector<Parameter>& all, std::vector<unsigned>* buffers) {
  std::ostringstream text;
  text << "extern \"C\" __attribute__((visibility(\"default\"))) void run_" << name
       << "(void* const* buffers, const uint* grid) {\n"
       << "  for (uint z = 0; z < grid[2]; ++z) for (uint y = 0; y < grid[1]; ++y) for (uint x = 0; x < grid[0]; "
          "++x)\n    "
       << name << "(";
  const char* separator = "";
  for (const Parameter& parameter : all) {
    static const std::regex buffer(R"(buffer\(\s*(\d+)\s*\))");
    std::smatch match;
    text << separator;
    separator = ", ";
    const std::string vector = parameter.type.find('3') != std::string::npos   ? "(uint3){$x, $y, $z}"
                               : parameter.type.find('2') != std::string::npos ? "(uint2){$x, $y}"
                                                                               : "$x";
    const auto filled = [&](const std::string& x, const std::string& y, const std::string& z) {
      std::string result = std::regex_replace(vector, std::regex("\\$x"), x);
      result = std::regex_replace(result, std::regex("\\$y"), y);
      return std::regex_replace(result, std::regex("\\$z"), z);
    };
    if (std::regex_match(parameter.attribute, match, buffer)) {
      buffers->push_back(static_cast<unsigned>(std::stoul(match[1])));
      const bool reference = parameter.type.find('&') != std::string::npos;
      const std::string type = std::regex_replace(parameter.type, std::regex("&"), "*");
      text << (reference ? "*" : "") << "(" << type << ")buffers[" << match[1] << "]";
    } else if (parameter.attribute == "thread_position_in_grid") {
      text << filled("x", "y", "z");
    } else if (parameter.attribute == "threads_per_grid") {
      text << filled("grid[0]", "grid[1]", "grid[2]");
    } else {
      violation("a kernel parameter [[" + parameter.attribute + "]]: the double does not know it.");
    }
  }
  text << ");\n}\n";
  return text.str();
}

std::string read(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Compiled libraries are kept by what was compiled, so that only the first process pays.
std::string folder() {
  const char* const temporary = std::getenv("TMPDIR");
  const std::string path =
      std::string(temporary == nullptr ? "/tmp" : temporary) + "/apple_double_shaders." + std::to_string(getuid());
  mkdir(path.c_str(), 0700);
  return path;
}

// Empty on success, else the compiler's words.
std::string compile(const std::string& text, bool fast_math, std::string* library) {
  const std::string flags = fast_math ? "-ffast-math" : "-ffp-contract=off";
  const std::string base = folder() + "/" + std::to_string(std::hash<std::string>()(text + flags + APPLE_DOUBLE_CLANG));
  *library = base + ".so";
  if (access(library->c_str(), R_OK) == 0) return "";
  const std::string mine = base + "." + std::to_string(getpid());
  std::ofstream(mine + ".cc") << text;
  const std::string command = std::string(APPLE_DOUBLE_CLANG) + " -x c++ -std=c++17 -O2 -fPIC -shared -w -I" +
                              APPLE_DOUBLE_SHIM + " " + flags + " -o " + mine + ".so " + mine + ".cc 2>" + mine +
                              ".txt";
  const bool fine = std::system(command.c_str()) == 0;
  const std::string words = fine ? "" : read(mine + ".txt") + " (from: " + command + ")";
  if (fine) std::rename((mine + ".so").c_str(), library->c_str());
  for (const char* end : {".cc", ".txt"}) std::remove((mine + end).c_str());
  return words;
}

}  // namespace

DoubleLibrary* new_library(NSString* source, MTLCompileOptions* options, NSError** error) {
  if (error != nullptr) *error = nil;
  const CompileOptionsState settings = options == nil ? CompileOptionsState() : state<CompileOptionsState>(options);
  const bool fast = os_at_least(15, 0) ? settings.mathMode != MTLMathModeSafe : settings.fastMathEnabled;
  std::string text = apple_double::text(source);
  static const std::regex kernel_head(R"(\bkernel\s+void\s+(\w+)\s*\(([^)]*(?:\([^)]*\)[^)]*)*)\)\s*\{)");
  std::vector<Kernel> kernels;
  std::string callers;
  for (std::sregex_iterator i(text.begin(), text.end(), kernel_head), end; i != end; ++i) {
    Kernel kernel;
    kernel.name = (*i)[1];
    callers += caller(kernel.name, parameters((*i)[2]), &kernel.buffers);
    kernels.push_back(kernel);
  }
  std::string library;
  const std::string words = compile("#include <metal_stdlib>\n" + text + "\n" + callers, fast, &library);
  void* const loaded = words.empty() ? dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
  if (loaded == nullptr) {
    if (error != nullptr) {
      NSString* const reason = [NSString stringWithUTF8String:(words.empty() ? dlerror() : words.c_str())];
      *error = [NSError errorWithDomain:MTLLibraryErrorDomain
                                   code:MTLLibraryErrorCompileFailure
                               userInfo:@{NSLocalizedDescriptionKey : reason}];
    }
    return nil;
  }
  DoubleLibrary* const made = [[DoubleLibrary alloc] init];
  for (Kernel& kernel : kernels) {
    kernel.run = reinterpret_cast<decltype(kernel.run)>(dlsym(loaded, ("run_" + kernel.name).c_str()));
    state<LibraryState>(made).kernels.push_back(kernel);
  }
  return made;
}

DoubleComputePipelineState* new_pipeline(id<MTLFunction> function) {
  require([(id)function isKindOfClass:[DoubleFunction class]], "expected an MTLFunction, got ", public_name(function),
          ".");
  DoubleComputePipelineState* const made = [[DoubleComputePipelineState alloc] init];
  state<PipelineState>(made).kernel = state<FunctionState>(function).kernel;
  return made;
}

}  // namespace apple_double

using namespace apple_double;

NSErrorDomain const MTLLibraryErrorDomain = @"MTLLibraryErrorDomain";

@implementation MTLCompileOptions
APPLE_DOUBLE_STATE(CompileOptionsState)
APPLE_DOUBLE_PROPERTY(CompileOptionsState, BOOL, fastMathEnabled, setFastMathEnabled)
APPLE_DOUBLE_PROPERTY(CompileOptionsState, MTLMathMode, mathMode, setMathMode)
APPLE_DOUBLE_PROPERTY(CompileOptionsState, MTLMathFloatingPointFunctions, mathFloatingPointFunctions,
                      setMathFloatingPointFunctions)
APPLE_DOUBLE_PROPERTY(CompileOptionsState, MTLLanguageVersion, languageVersion, setLanguageVersion)
APPLE_DOUBLE_PROPERTY(CompileOptionsState, BOOL, preserveInvariance, setPreserveInvariance)
APPLE_DOUBLE_PROPERTY(CompileOptionsState, NSDictionary*, preprocessorMacros, setPreprocessorMacros)
- (id)copyWithZone:(NSZone*)zone {
  (void)zone;
  MTLCompileOptions* const made = [[MTLCompileOptions alloc] init];
  state<CompileOptionsState>(made) = state<CompileOptionsState>(self);
  return made;
}
@end

@implementation DoubleLibrary
APPLE_DOUBLE_STATE(LibraryState)
APPLE_DOUBLE_PROPERTY(LibraryState, NSString*, label, setLabel)
- (id<MTLDevice>)device {
  return given(the_device());
}
- (NSArray<NSString*>*)functionNames {
  NSMutableArray* const names = [NSMutableArray array];
  for (const Kernel& kernel : state<LibraryState>(self).kernels) {
    [names addObject:[NSString stringWithUTF8String:kernel.name.c_str()]];
  }
  return names;
}
- (id<MTLFunction>)newFunctionWithName:(NSString*)name {
  for (const Kernel& kernel : state<LibraryState>(self).kernels) {
    if (kernel.name != text(name)) continue;
    DoubleFunction* const made = [[DoubleFunction alloc] init];
    state<FunctionState>(made).kernel = kernel;
    return made;
  }
  return nil;
}
@end

@implementation DoubleFunction
APPLE_DOUBLE_STATE(FunctionState)
APPLE_DOUBLE_PROPERTY(FunctionState, NSString*, label, setLabel)
- (id<MTLDevice>)device {
  return given(the_device());
}
- (MTLFunctionType)functionType {
  return MTLFunctionTypeKernel;
}
- (NSString*)name {
  return [NSString stringWithUTF8String:state<FunctionState>(self).kernel.name.c_str()];
}
@end

@implementation DoubleComputePipelineState
APPLE_DOUBLE_STATE(PipelineState)
- (id<MTLDevice>)device {
  return given(the_device());
}
- (NSUInteger)maxTotalThreadsPerThreadgroup {
  return kThreadsPerThreadgroup;
}
- (NSUInteger)threadExecutionWidth {
  return 32;
}
- (NSUInteger)staticThreadgroupMemoryLength {
  return 0;
}
@end
