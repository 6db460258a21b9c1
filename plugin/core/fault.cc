#include "plugin/core/fault.h"

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <sstream>
#include <utility>
#include <vector>

#include "plugin/core/check.h"
#include "plugin/core/env.h"
#include "plugin/core/log.h"

namespace mps {
namespace {

constexpr const char* kNames[] = {
#define MPS_FAULT(kind, effect) #kind,
#include "plugin/core/fault.def"
#undef MPS_FAULT
};

const char* name(Fault fault) { return kNames[static_cast<size_t>(fault)]; }

[[noreturn]] void throw_injected(Fault fault, uint64_t number) {
  MPS_THROW(kDevice, "the device failed: expected it to do its work, got an injected fault (call ", number, " of ",
            name(fault), "). See PADDLE_MPS_FAULT.");
}

[[noreturn]] void throw_lost() {
  MPS_THROW(kDevice,
            "the device is lost: expected it to take work, got an injected fault (lose). Save what you need, it can "
            "still be read, and start the process again.");
}

// What a stream remembers of its injected failures: how much it was given, and the first failure.
struct Track {
  std::mutex mutex;
  uint64_t given = 0;
  uint64_t failed = 0;
  std::exception_ptr failure;

  void add(std::exception_ptr thrown) {
    std::lock_guard<std::mutex> lock(mutex);
    ++given;
    if (thrown == nullptr || failure != nullptr) return;
    failure = std::move(thrown);
    failed = given;
  }
  // Throws the kept failure if it happened at or before this point.
  void rethrow(uint64_t point) {
    std::exception_ptr thrown;
    {
      std::lock_guard<std::mutex> lock(mutex);
      if (failure == nullptr || failed > point) return;
      thrown = std::exchange(failure, nullptr);
    }
    std::rethrow_exception(thrown);
  }
  uint64_t last() {
    std::lock_guard<std::mutex> lock(mutex);
    return given;
  }
};

class FaultEvent final : public Event {
 public:
  FaultEvent(std::unique_ptr<Event> event, std::shared_ptr<Faults> faults)
      : event_(std::move(event)), faults_(std::move(faults)) {}

  bool query() const override { return event_->query(); }
  void enable_timing() override { event_->enable_timing(); }
  std::optional<double> reached_at() const override { return event_->reached_at(); }
  void drain() override { event_->drain(); }
  void synchronize() override {
    if (const uint64_t number = faults_->made(Fault::event)) throw_injected(Fault::event, number);
    std::shared_ptr<Track> track;
    uint64_t point;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      track = track_;
      point = point_;
    }
    event_->synchronize();
    if (track != nullptr) track->rethrow(point);
  }

  void set(std::shared_ptr<Track> track) {
    const uint64_t point = track->last();
    std::lock_guard<std::mutex> lock(mutex_);
    track_ = std::move(track);
    point_ = point;
  }
  Event& inner() { return *event_; }

 private:
  const std::unique_ptr<Event> event_;
  const std::shared_ptr<Faults> faults_;
  std::mutex mutex_;
  std::shared_ptr<Track> track_;
  uint64_t point_ = 0;
};

class FaultStream final : public Stream {
 public:
  FaultStream(std::unique_ptr<Stream> stream, std::shared_ptr<Faults> faults)
      : stream_(std::move(stream)), faults_(std::move(faults)), track_(std::make_shared<Track>()) {}
  ~FaultStream() override {
    try {
      track_->rethrow(track_->last());
    } catch (const Error& error) {
      MPS_LOG(kError, "a stream was destroyed with an error nobody has waited for: ", error.what());
    }
  }

  void encode(const std::shared_ptr<const Executable>& executable, Span<const Binding> feeds,
              Span<const Binding> results, const char* op) override {
    if (accepts(Fault::encode, op)) stream_->encode(executable, feeds, results, op);
  }
  void copy(const Range& to, const Range& from) override {
    if (accepts(Fault::copy, "copy")) stream_->copy(to, from);
  }
  void upload(const Range& to, const void* from) override {
    if (accepts(Fault::upload, "upload")) stream_->upload(to, from);
  }
  void download(void* to, const Range& from) override {
    if (accepts(Fault::download, "download")) stream_->download(to, from);
  }
  void fill(const Range& to, uint8_t value) override {
    if (accepts(Fault::fill, "fill")) stream_->fill(to, value);
  }
  void record(Event& event) override {
    if (const uint64_t number = faults_->made(Fault::record)) throw_injected(Fault::record, number);
    FaultEvent& mark = static_cast<FaultEvent&>(event);
    stream_->record(mark.inner());
    mark.set(track_);
  }
  void wait(Event& event) override {
    if (const uint64_t number = faults_->made(Fault::wait)) throw_injected(Fault::wait, number);
    stream_->wait(static_cast<FaultEvent&>(event).inner());
  }
  void add_callback(std::function<void()> callback) override { stream_->add_callback(std::move(callback)); }
  uint64_t submitted() const override { return stream_->submitted(); }
  uint64_t completed() const override { return stream_->completed(); }
  bool query() const override { return stream_->query(); }
  void drain() override { stream_->drain(); }
  void synchronize() override {
    if (const uint64_t number = faults_->made(Fault::synchronize)) throw_injected(Fault::synchronize, number);
    const uint64_t point = track_->last();
    stream_->synchronize();
    track_->rethrow(point);
  }

 private:
  // False if this piece of work is to fail: the failure is kept then, as that of work that has run would be.
  bool accepts(Fault fault, const char* op) {
    if (faults_->lost()) throw_lost();
    const uint64_t number = faults_->made(fault);
    const uint64_t lost = faults_->made(Fault::lose);
    if (number == 0 && lost == 0) {
      track_->add(nullptr);
      return true;
    }
    OpScope scope(op);
    try {
      if (lost != 0) throw_lost();
      throw_injected(fault, number);
    } catch (const Error&) {
      track_->add(std::current_exception());
    }
    return false;
  }

  const std::unique_ptr<Stream> stream_;
  const std::shared_ptr<Faults> faults_;
  const std::shared_ptr<Track> track_;
};

// "3" -> 3, 3; "3+" -> 3, the last there is.
bool parse_numbers(const std::string& text, uint64_t* first, uint64_t* times) {
  if (text.empty() || text.find_first_not_of("0123456789") < text.size() - 1) return false;
  const bool goes_on = text.back() == '+';
  if (!goes_on && (text.back() < '0' || text.back() > '9')) return false;
  *first = std::strtoull(text.c_str(), nullptr, 10);
  *times = goes_on ? UINT64_MAX : 1;
  return *first != 0;
}

}  // namespace

Fault fault_of(const std::string& wanted) {
  const auto* const found = std::find(std::begin(kNames), std::end(kNames), wanted);
  if (found != std::end(kNames)) return static_cast<Fault>(found - std::begin(kNames));
  std::string names;
  for (const char* known : kNames) names += names.empty() ? known : std::string(", ") + known;
  MPS_THROW(kArgument, "no such fault: expected one of ", names, ", got '", wanted,
            "'. Correct the name or PADDLE_MPS_FAULT.");
}

uint64_t Faults::count(Fault fault) const {
  std::lock_guard<std::mutex> lock(mutex_);
  return calls_[static_cast<size_t>(fault)].count;
}

void Faults::fail(Fault fault, uint64_t first, uint64_t times) {
  std::lock_guard<std::mutex> lock(mutex_);
  Calls& calls = calls_[static_cast<size_t>(fault)];
  calls.first = calls.count + first;
  calls.last = times > UINT64_MAX - calls.first ? UINT64_MAX : calls.first + times - 1;
}

void Faults::fail(const std::string& words) {
  struct Order {
    Fault fault;
    uint64_t first, times;
  };
  std::vector<Order> orders;
  std::istringstream list(words);
  for (std::string word; std::getline(list, word, ',');) {
    if (word == "none") continue;
    const size_t colon = std::min(word.find(':'), word.size());
    Order order{fault_of(word.substr(0, colon)), 1, 1};
    MPS_CHECK(colon == word.size() || parse_numbers(word.substr(colon + 1), &order.first, &order.times), kArgument,
              "bad fault: expected a kind and a number from 1 on, such as encode:3 or heap:2+, got '", word,
              "'. Correct it or PADDLE_MPS_FAULT.");
    orders.push_back(order);
  }
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (Calls& calls : calls_) calls.first = calls.last = 0;
  }
  for (const Order& order : orders) fail(order.fault, order.first, order.times);
}

bool Faults::lost() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return lost_;
}

uint64_t Faults::made(Fault fault) {
  std::lock_guard<std::mutex> lock(mutex_);
  Calls& calls = calls_[static_cast<size_t>(fault)];
  ++calls.count;
  if (calls.count < calls.first || calls.count > calls.last) return 0;
  if (fault == Fault::lose) lost_ = true;
  return calls.count;
}

FaultDevice::FaultDevice(std::unique_ptr<Device> device, const std::string& words)
    : device_(std::move(device)), faults_(std::make_shared<Faults>()) {
  faults_->fail(words);
}

std::unique_ptr<Heap> FaultDevice::new_heap(size_t bytes) {
  if (faults_->lost()) throw_lost();
  return faults_->made(Fault::heap) != 0 ? nullptr : device_->new_heap(bytes);
}

std::unique_ptr<Buffer> FaultDevice::wrap(void* address, size_t bytes) {
  if (faults_->lost()) throw_lost();
  return faults_->made(Fault::wrap) != 0 ? nullptr : device_->wrap(address, bytes);
}

std::unique_ptr<Stream> FaultDevice::new_stream() {
  return std::make_unique<FaultStream>(device_->new_stream(), faults_);
}

std::unique_ptr<Event> FaultDevice::new_event() { return std::make_unique<FaultEvent>(device_->new_event(), faults_); }

std::shared_ptr<const Executable> FaultDevice::compile(const Graph& graph) {
  if (faults_->lost()) throw_lost();
  if (const uint64_t number = faults_->made(Fault::compile)) throw_injected(Fault::compile, number);
  return device_->compile(graph);
}

std::unique_ptr<Device> with_faults(std::unique_ptr<Device> device) {
  if (env::fault().empty()) return device;
  return std::make_unique<FaultDevice>(std::move(device), env::fault());
}

}  // namespace mps
