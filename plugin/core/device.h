// THE SEAM. What a device is, in one file: plugin/host implements it on the CPU, plugin/metal with
// Metal and MPSGraph, plugin/null by doing nothing. The conformance exam (tests/cpp/conformance)
// runs the same questions on each.
//
// The contract
//
// Memory. A Heap is a piece of device memory; a Buffer is a range of a heap. Memory is
// host-visible: `contents()` is an ordinary address, and what the GPU wrote may be read there once
// the writing stream has been synchronised. The host must not write memory that queued work may
// still read or write. Work that was given to a stream keeps what it needs of a Buffer, so a Buffer
// may be destroyed while such work is queued; its Heap may not.
//
// Executables. compile() turns a validated graph into something that can be encoded any number of
// times, from any thread. Feeds and results are dense, row-major ranges in the order of the graph;
// a scalar feed carries its bits. A result may be exactly the range of a feed (an op in place): the
// device behaves as if every feed was read before any result was written. Ranges that overlap in
// any other way are the caller's mistake and are refused by launch().
//
// Numbers. What a node computes is what plugin/host/reference_host.cc computes: NaN and infinities
// propagate, maximum and minimum propagate NaN, relu(NaN) is 0, integers wrap, integer division
// truncates and x / 0 is 0. A float cast to int32 or int64 truncates and saturates, with NaN as 0;
// to a narrower integer it is cast to int32 first and then wraps; one integer cast to another
// wraps; anything but 0 casts to true. add, subtract, multiply, divide, square root and casts are
// correctly rounded; other float functions stay within 4 ULP in float32. float16 and bfloat16 nodes
// round once per node. Sums and products of matrices may be accumulated in any order, in float32 at
// least.
//
// Streams. A stream is an in-order queue; its methods may be called from any thread and return
// before the work is done. Work of different streams is ordered by events only. A device may run
// work at once if nothing is queued before it. Streams have no priorities: Metal's queues have none.
//
// Copies. They may begin and end at any byte; without bytes they do nothing. An upload returns when its source may
// change: a small one is copied aside and keeps its place in the stream, a large one is waited for. All else happens in
// the order of the stream.
//
// Events. An event is recorded on streams of its own device; streams of any device of the backend may wait for it.
// An event with timing on keeps the moment at which its mark is reached, on a clock of its device: on the host, when
// the stream gets there; on Metal, the GPUEndTime of the command buffer that signals the event, so recording it ends
// that command buffer. The moment is known once the mark is reached. Moments of one device can be compared, others
// cannot.
//
// Errors. Misuse that can be seen at the call throws Error. A failure of queued work is kept by its
// stream and thrown, with the op's name and the device's own words, by the next synchronize of that
// stream, or of an event recorded on it after the failure; work queued after a failure still runs,
// and the stream is usable afterwards. Any wait on the host may also throw kInterrupted, where the
// waiting thread has asked for it; see interrupt.h. In a child of fork() work is refused, and waits
// return at once; see process.h.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "plugin/core/graph.h"

namespace mps {

inline constexpr size_t kLargeAlignment = 16 << 10;  // Apple silicon's page

struct DeviceProperties {
  std::string name;          // "Apple M2 Max"; on the host, the CPU's name
  std::string backend;       // "metal", "host" or "null"
  std::string architecture;  // GPU family or instruction set
  uint64_t total_memory = 0;
  uint64_t recommended_memory = 0;  // most bytes that should be in use at once
  uint64_t max_buffer_bytes = 0;
  size_t alignment = 256;  // of buffers in a heap: where they begin, and their sizes
  // Of buffers of more bytes it is kLargeAlignment, or `alignment` if that is more.
  size_t small_bytes = 64 << 10;
  size_t page_bytes = 4096;  // of memory given to wrap(): the system's page
  bool unified_memory = true;
  int core_count = 0;
  bool float16 = true;
  bool bfloat16 = true;
};

class Buffer {
 public:
  virtual ~Buffer() = default;
  virtual void* contents() const = 0;
  virtual size_t bytes() const = 0;
};

class Heap {
 public:
  virtual ~Heap() = default;
  virtual size_t bytes() const = 0;
  // A buffer over [offset, offset + bytes); both are multiples of the device's alignment for that many bytes. Buffers
  // of one heap that are alive at the same time do not overlap.
  virtual std::unique_ptr<Buffer> new_buffer(size_t offset, size_t bytes) = 0;
};

// A range of a buffer. Its address is always buffer->contents() + offset.
struct Range {
  Buffer* buffer = nullptr;
  size_t offset = 0;
  size_t bytes = 0;
  void* address() const { return static_cast<char*>(buffer->contents()) + offset; }
};

// One feed or result of an encoded executable. A feed that the compiled graph does not read may be
// left empty.
struct Binding {
  Range range;               // for placeholders and results
  uint64_t scalar_bits = 0;  // for scalars
};

class Executable {
 public:
  virtual ~Executable() = default;
  virtual size_t bytes() const = 0;  // memory held by the executable itself, for the cache's bound
};

// Marks a point in a stream. Recording again moves the mark. An event that was never recorded
// counts as reached.
class Event {
 public:
  virtual ~Event() = default;
  virtual bool query() const = 0;  // reached?
  virtual void drain() = 0;        // waits; a failure stays with the recorded stream
  virtual void synchronize() = 0;  // drains, then throws the error of the recorded stream, if it has one
  // From the next record on, the moment at which the mark is reached is kept.
  virtual void enable_timing() = 0;
  // That moment, in seconds; nothing if the mark is not reached, or timing was off when it was recorded.
  virtual std::optional<double> reached_at() const = 0;
};

class Stream {
 public:
  virtual ~Stream() = default;  // waits for its work; errors are logged

  uint32_t memory_slot = 0;  // Memory's, by which it knows this stream

  // `op` names the work in errors and traces; it must live for ever (op names are literals).
  virtual void encode(const std::shared_ptr<const Executable>& executable, Span<const Binding> feeds,
                      Span<const Binding> results, const char* op) = 0;
  virtual void copy(const Range& to,
                    const Range& from) = 0;                    // equal sizes; may overlap only exactly
  virtual void upload(const Range& to, const void* from) = 0;  // the source may be freed on return
  virtual void download(void* to, const Range& from) = 0;      // `to` must live until a wait
  virtual void fill(const Range& to, uint8_t value) = 0;
  virtual void record(Event& event) = 0;
  virtual void wait(Event& event) = 0;  // later work of this stream starts after the event's mark
  virtual void add_callback(std::function<void()> callback) = 0;  // on an unnamed thread, after the work before it
  // Pieces of work taken so far, and how many of the first ones are done. Once completed() has reached what submitted()
  // was, everything before that moment is done. Neither waits.
  virtual uint64_t submitted() const = 0;
  virtual uint64_t completed() const = 0;
  virtual bool query() const = 0;  // is everything done?
  virtual void drain() = 0;        // waits for everything queued so far; a failure is kept
  virtual void synchronize() = 0;  // drains, then throws the first failure kept since the last
                                   // synchronize, if any
};

class Device {
 public:
  virtual ~Device() = default;
  virtual const DeviceProperties& properties() const = 0;
  // Bytes that the system says this process holds on the device, everything included.
  virtual uint64_t driver_allocated_bytes() const = 0;
  // Null when the system has no memory of that size. `bytes` may be rounded up: read it back.
  virtual std::unique_ptr<Heap> new_heap(size_t bytes) = 0;
  // A buffer over memory of the program; see above. `address` and `bytes` are multiples of page_bytes. Null when the
  // system refuses.
  virtual std::unique_ptr<Buffer> wrap(void* address, size_t bytes) = 0;
  virtual std::unique_ptr<Stream> new_stream() = 0;
  virtual std::unique_ptr<Event> new_event() = 0;
  // Empty if the device can run the graph, else one sentence on what it cannot do.
  virtual std::string supports(const Graph& graph) const = 0;
  virtual std::shared_ptr<const Executable> compile(const Graph& graph) = 0;
  // Calls `handler` on some thread whenever the system runs short of memory, instead of an earlier one; null ends that.
  // Returns when no call of an earlier one is running. A device whose system does not tell does nothing.
  virtual void on_memory_pressure(std::function<void()> handler) { static_cast<void>(handler); }
  // The folder where executables are kept between runs; empty if they are not.
  virtual std::string kept_graphs_folder() const { return {}; }
  // Removes all of them, those of other programs, too. True if nothing is left.
  virtual bool clear_kept_graphs() { return true; }
};

// A kind of device that was linked in. `open` returns every device of its kind; none, with a
// reason, is an answer too.
struct Backend {
  const char* name;
  std::vector<std::unique_ptr<Device>> (*open)(std::string* reason_if_none);
};

}  // namespace mps
