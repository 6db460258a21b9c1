// Memory for temporaries while an executable runs. Blocks are kept and lent again: a fresh block of megabytes costs
// more in page faults than most executables take to run.
//
// Thread-safe. A lease belongs to one run; two runs at once get two blocks.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

namespace mps {

class Scratch : public std::enable_shared_from_this<Scratch> {
 public:
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept;
    Lease& operator=(Lease&& other) = delete;
    ~Lease();
    char* data() const { return data_; }

   private:
    friend class Scratch;
    Lease(Scratch* owner, char* data, size_t bytes) : owner_(owner), data_(data), bytes_(bytes) {}
    Scratch* owner_ = nullptr;
    char* data_ = nullptr;
    size_t bytes_ = 0;
  };

  Scratch() = default;
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  // At least `bytes` bytes, aligned to 64, with any contents. Throws std::bad_alloc. The lease ends before the Scratch.
  Lease take(size_t bytes);
  size_t bytes() const;  // held, lent or not

 private:
  struct Block {
    char* data;
    size_t bytes;
  };
  void give_back(char* data, size_t bytes);

  mutable std::mutex mutex_;
  std::vector<Block> idle_;
  size_t idle_bytes_ = 0;
  size_t total_bytes_ = 0;
};

// For what has no device at hand. It lives as long as the process: threads may use it until then.
Scratch& shared_scratch();

}  // namespace mps
