#include "plugin/metal/packages_metal.h"

#include <cstdlib>
#include <sstream>
#include <utility>

#include "plugin/core/env.h"
#include "plugin/core/files.h"
#include "plugin/core/print.h"
#include "plugin/metal/kept_graphs.h"
#include "plugin/metal/lower_metal.h"
#include "plugin/metal/os.h"
#include "plugin/metal/package_folder.h"

namespace mps {
namespace {

// Null if nothing is to be kept.
PackageFolder* folder() {
  static const std::unique_ptr<PackageFolder> folder = []() -> std::unique_ptr<PackageFolder> {
    std::string path = env::graph_folder();
    if (path == "off" || !os_at_least(14, 0)) return nullptr;
    if (path.empty()) {
      const char* const home = std::getenv("HOME");
      const std::string caches = std::string(home == nullptr ? "" : home) + "/Library/Caches";
      if (!files::is_folder(caches)) return nullptr;
      path = caches + "/paddle_mps/graphs";
    }
    return std::make_unique<PackageFolder>(path, static_cast<uint64_t>(env::graph_folder_bytes()));
  }();
  return folder.get();
}

// All that a compiled graph depends on.
std::string key_of(id<MTLDevice> device, const Graph& legal) {
  NSString* const system = [[NSProcessInfo processInfo] operatingSystemVersionString];  // with the build
  return std::string(lowering_version()) + "\n" + text_of(system) + "\n" + text_of([device name]) + "\n" +
         to_string(legal);
}

// The order of feeds and results: an executable read from a package does not know its tensors.
std::string notes_of(const Compiled& compiled) {
  std::string text;
  for (const std::vector<uint32_t>* numbers : {&compiled.feeds, &compiled.results}) {
    text += std::to_string(numbers->size());
    for (uint32_t number : *numbers) text += " " + std::to_string(number);
    text += "\n";
  }
  return text;
}

bool read_notes(const std::string& text, Compiled* compiled) {
  std::istringstream in(text);
  for (std::vector<uint32_t>* numbers : {&compiled->feeds, &compiled->results}) {
    size_t count = 0;
    if (!(in >> count)) return false;
    numbers->resize(count);
    for (uint32_t& number : *numbers) {
      if (!(in >> number)) return false;
    }
  }
  return true;
}

MPSGraphShapedType* type_of(const Graph& legal, Value value) {
  return autorelease([[MPSGraphShapedType alloc] initWithShape:mps_shape(legal.shape(value))
                                                      dataType:mps_type(legal.dtype(value))]);
}

NSArray<MPSGraphType*>* feed_types(const Graph& legal, const std::vector<uint32_t>& feeds) {
  NSMutableArray<MPSGraphType*>* const types = [NSMutableArray arrayWithCapacity:feeds.size()];
  for (uint32_t feed : feeds) {
    for (uint32_t i = 0; i < legal.node_count(); ++i) {
      const Node& node = legal.node(i);
      const bool is_feed = node.kind == NodeKind::placeholder || node.kind == NodeKind::scalar;
      if (is_feed && legal.attributes(node)[0] == int64_t{feed}) [types addObject:type_of(legal, Value{i})];
    }
  }
  return types;
}

// Whether an executable gives the results of the graph.
bool fits(const Graph& legal, const Compiled& compiled, NSArray<MPSGraphShapedType*>* types) {
  if ([types count] != compiled.results.size()) return false;
  for (size_t i = 0; i < compiled.results.size(); ++i) {
    if (compiled.results[i] >= legal.results().size()) return false;
    const Value want{legal.results()[compiled.results[i]]};
    MPSGraphShapedType* const got = [types objectAtIndex:i];
    if (got.dataType != mps_type(legal.dtype(want))) return false;
    if (![got.shape isEqualToArray:mps_shape(legal.shape(want))]) return false;
  }
  return true;
}

}  // namespace

Compiled load_package(id<MTLDevice> device, const Graph& legal, MPSGraphCompilationDescriptor* options) {
  Compiled compiled;
  if (folder() == nullptr) return compiled;
  if (MPS_AVAILABLE(14, 0)) {
    folder()->find(key_of(device, legal), [&](const std::string& package, const std::string& notes) {
      Compiled read;
      if (!read_notes(notes, &read)) return false;
      NSURL* const url = [NSURL fileURLWithPath:ns_string(package.c_str())];
      read.executable = adopt([[MPSGraphExecutable alloc] initWithMPSGraphPackageAtURL:url
                                                                 compilationDescriptor:options]);
      if (!read.executable) return false;
      MPSGraphDevice* const target = [MPSGraphDevice deviceWithMTLDevice:device];
      NSArray<MPSGraphType*>* const feeds = feed_types(legal, read.feeds);
      if ([feeds count] != read.feeds.size()) return false;
      if (!fits(legal, read,
                [read.executable.get() getOutputTypesWithDevice:target
                                                     inputTypes:feeds
                                          compilationDescriptor:options])) {
        return false;
      }
      [read.executable.get() specializeWithDevice:target inputTypes:feeds compilationDescriptor:options];
      read.executable.get().options = MPSGraphOptionsNone;
      compiled = std::move(read);
      return true;
    });
  }
  return compiled;
}

void keep_package(id<MTLDevice> device, const Graph& legal, const Compiled& compiled) {
  if (folder() == nullptr) return;
  if (MPS_AVAILABLE(14, 0)) {
    folder()->keep(key_of(device, legal), notes_of(compiled), [&](const std::string& path) {
      NSURL* const url = [NSURL fileURLWithPath:ns_string(path.c_str())];
      MPSGraphExecutableSerializationDescriptor* const how =
          autorelease([MPSGraphExecutableSerializationDescriptor new]);
      [compiled.executable.get() serializeToMPSGraphPackageAtURL:url descriptor:how];
      return true;
    });
  }
}

std::string kept_graphs_folder() { return folder() == nullptr ? std::string() : folder()->path(); }

bool clear_kept_graphs() { return folder() == nullptr || folder()->clear(); }

}  // namespace mps
