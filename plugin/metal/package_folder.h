// A folder of compiled graphs that outlives the process. Plain C++: what a package is, its owner knows.
//
// An entry is a folder named by the hash of its key:
//
//   package    what the owner wrote, a file or a folder
//   contents   the whole key, the owner's notes, and size and checksum of every file of the package
//
// Many processes may use it at once: an entry is written aside and moved into place in one step, so it is whole or not
// there. An entry whose key differs (another graph with that hash) is not used, one whose bytes differ is removed. The
// folder is kept below a bound: what was not used for longest goes first.
//
// Reading a package may end the process, if the system does not like it; the checksums are there to prevent that, and
// for the case that they do not, a mark is left while one is read. A mark whose process is gone switches the folder
// off, until it is cleared: one crash is bad luck, one in every run would be our fault.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

namespace mps {

class PackageFolder {
 public:
  // Nothing is created before something is kept.
  PackageFolder(std::string path, uint64_t most_bytes) : path_(std::move(path)), most_bytes_(most_bytes) {}

  const std::string& path() const { return path_; }

  // Calls `read` with the package kept under this key and its notes; false if there is none. `read` returns false if it
  // cannot use it, which removes it.
  bool find(const std::string& key,
            const std::function<bool(const std::string& package, const std::string& notes)>& read);
  // Keeps the package that `write` writes at the path that it is given; false if that fails, which is logged and no
  // more.
  bool keep(const std::string& key, const std::string& notes,
            const std::function<bool(const std::string& path)>& write);
  // Removes everything; true if nothing is left.
  bool clear();

 private:
  std::string entry(const std::string& key) const;
  bool is_off();
  void switch_off(const std::string& why);
  void look_for_remains();
  void drop(const std::string& entry);
  void shrink_after(uint64_t kept_bytes);

  const std::string path_;
  const uint64_t most_bytes_;
  std::once_flag looked_;
  std::atomic<int64_t> room_{-1};  // bytes that may be kept before it is looked how many there are
};

}  // namespace mps
