// The folder of compiled graphs: what is kept is found again, and nothing else ever is.
#include "plugin/metal/package_folder.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

namespace mps {
namespace {

namespace fs = std::filesystem;

void write_file(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

std::string read_file(const fs::path& path) {
  std::ostringstream all;
  all << std::ifstream(path, std::ios::binary).rdbuf();
  return all.str();
}

class Packages : public ::testing::Test {
 protected:
  Packages() {
    std::string name = (fs::temp_directory_path() / "mps_packages.XXXXXX").string();
    root_ = ::mkdtemp(name.data());
  }
  ~Packages() override { fs::remove_all(root_); }

  PackageFolder folder(uint64_t most_bytes = 1 << 20) const {
    return PackageFolder((root_ / "graphs").string(), most_bytes);
  }

  // A package of two files, as MPSGraph's are folders too.
  static bool keep(PackageFolder& folder, const std::string& key, const std::string& text = "model") {
    return folder.keep(key, "notes of " + key, [&](const std::string& path) {
      fs::create_directories(fs::path(path) / "inner");
      write_file(fs::path(path) / "manifest", text);
      write_file(fs::path(path) / "inner" / "weights", std::string(1000, '\0') + text);
      return true;
    });
  }

  // What is found under the key; empty if nothing is.
  static std::string find(PackageFolder& folder, const std::string& key) {
    std::string found;
    folder.find(key, [&](const std::string& package, const std::string& notes) {
      EXPECT_EQ(notes, "notes of " + key);
      found = read_file(fs::path(package) / "manifest");
      EXPECT_EQ(read_file(fs::path(package) / "inner" / "weights"), std::string(1000, '\0') + found);
      return true;
    });
    return found;
  }

  // The folder of the only entry.
  fs::path entry() const {
    std::vector<fs::path> found;
    for (const auto& each : fs::directory_iterator(root_ / "graphs")) found.push_back(each.path());
    EXPECT_EQ(found.size(), 1u);
    return found.at(0);
  }

  size_t entries() const {
    size_t count = 0;
    for (const auto& each : fs::directory_iterator(root_ / "graphs")) count += each.is_directory() ? 1 : 0;
    return count;
  }

  fs::path root_;
};

TEST_F(Packages, WhatIsKeptIsFound) {
  PackageFolder here = folder();
  EXPECT_EQ(find(here, "a"), "");
  EXPECT_FALSE(fs::exists(here.path()));  // looking makes no folder
  EXPECT_TRUE(keep(here, "a", "one"));
  EXPECT_TRUE(keep(here, "b", "two"));
  PackageFolder later = folder();
  EXPECT_EQ(find(later, "a"), "one");
  EXPECT_EQ(find(later, "b"), "two");
  EXPECT_EQ(find(later, "c"), "");
  EXPECT_FALSE(keep(later, "a", "other"));  // there already
  EXPECT_EQ(find(later, "a"), "one");
  EXPECT_TRUE(later.clear());
  EXPECT_EQ(find(later, "a"), "");
  EXPECT_TRUE(keep(later, "a", "again"));
}

TEST_F(Packages, AnotherKeyOfTheSameHashIsNotFound) {
  PackageFolder here = folder();
  ASSERT_TRUE(keep(here, "a"));
  const fs::path of_a = entry();
  ASSERT_TRUE(here.clear());
  ASSERT_TRUE(keep(here, "b"));
  fs::rename(entry(), of_a);
  EXPECT_EQ(find(here, "a"), "");
  EXPECT_TRUE(fs::exists(of_a));  // it is whole, so it stays
}

TEST_F(Packages, DamageIsNoticedAndRemoved) {
  const std::vector<void (*)(const fs::path&)> damages = {
      [](const fs::path& entry) {  // a bit
        std::string text = read_file(entry / "package" / "inner" / "weights");
        text[500] = 1;
        write_file(entry / "package" / "inner" / "weights", text);
      },
      [](const fs::path& entry) { fs::resize_file(entry / "package" / "manifest", 3); },
      [](const fs::path& entry) { fs::remove(entry / "package" / "manifest"); },
      [](const fs::path& entry) { write_file(entry / "package" / "more", ""); },
      [](const fs::path& entry) { fs::remove_all(entry / "package"); },
      [](const fs::path& entry) { fs::resize_file(entry / "contents", fs::file_size(entry / "contents") - 1); },
      [](const fs::path& entry) { fs::resize_file(entry / "contents", 0); },
      [](const fs::path& entry) {
        std::string text = read_file(entry / "contents");
        text[text.find("notes")] = 'N';
        write_file(entry / "contents", text);
      },
  };
  for (size_t i = 0; i < damages.size(); ++i) {
    SCOPED_TRACE(i);
    PackageFolder here = folder();
    ASSERT_TRUE(keep(here, "a"));
    damages[i](entry());
    EXPECT_EQ(find(here, "a"), "");
    EXPECT_EQ(entries(), 0u);
    EXPECT_TRUE(keep(here, "a"));
    EXPECT_EQ(find(here, "a"), "model");
    EXPECT_TRUE(here.clear());
  }
}

TEST_F(Packages, WhatCannotBeUsedIsRemoved) {
  PackageFolder here = folder();
  ASSERT_TRUE(keep(here, "a"));
  EXPECT_FALSE(here.find("a", [](const std::string&, const std::string&) { return false; }));
  EXPECT_EQ(entries(), 0u);
}

TEST_F(Packages, WhatIsNotWrittenIsNotKept) {
  PackageFolder here = folder();
  EXPECT_FALSE(here.keep("a", "", [](const std::string&) { return false; }));
  EXPECT_FALSE(here.keep("a", "", [](const std::string&) { return true; }));  // it wrote nothing
  EXPECT_EQ(entries(), 0u);
  write_file(root_ / "file", "");
  PackageFolder impossible((root_ / "file" / "below").string(), 1 << 20);
  EXPECT_FALSE(keep(impossible, "a"));
  EXPECT_EQ(find(impossible, "a"), "");
}

TEST_F(Packages, TheLeastRecentlyUsedGoFirst) {
  PackageFolder here = folder(6200);  // five of some 1,150 bytes
  const auto tick = [] { std::this_thread::sleep_for(std::chrono::milliseconds(15)); };
  for (const char* key : {"a", "b", "c", "d", "e"}) {
    ASSERT_TRUE(keep(here, key));
    tick();
  }
  EXPECT_EQ(find(here, "a"), "model");
  tick();
  for (const char* key : {"f", "g"}) {
    ASSERT_TRUE(keep(here, key));
    tick();
  }
  EXPECT_EQ(find(here, "b"), "");
  for (const char* key : {"a", "f", "g"}) EXPECT_EQ(find(here, key), "model") << key;
  EXPECT_EQ(find(here, "c"), "");
  EXPECT_EQ(entries(), 5u);
}

TEST_F(Packages, ManyProcessesAtOnce) {
  std::vector<pid_t> children;
  for (int i = 0; i < 6; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      bool fine = true;
      for (int round = 0; round < 40; ++round) {
        PackageFolder here = folder(20000);
        const std::string key = std::to_string(round % 7);
        keep(here, key, "model " + key);
        const std::string found = find(here, key);
        fine = fine && (found.empty() || found == "model " + key);
      }
      ::_exit(fine && !::testing::Test::HasFailure() ? 0 : 1);
    }
    children.push_back(child);
  }
  for (pid_t child : children) {
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  PackageFolder here = folder();
  for (int i = 0; i < 7; ++i) {
    const std::string key = std::to_string(i);
    const std::string found = find(here, key);
    EXPECT_TRUE(found.empty() || found == "model " + key);
  }
  for (const auto& each : fs::directory_iterator(root_ / "graphs")) {
    EXPECT_EQ(each.path().filename().string().find("aside"), std::string::npos) << each.path();
  }
}

TEST_F(Packages, ACrashWhileReadingSwitchesTheFolderOff) {
  PackageFolder here = folder();
  ASSERT_TRUE(keep(here, "a"));
  ASSERT_TRUE(keep(here, "b"));
  const pid_t child = ::fork();
  if (child == 0) {
    here.find("a", [](const std::string&, const std::string&) -> bool { ::_exit(3); });
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(WEXITSTATUS(status), 3);
  EXPECT_EQ(find(here, "a"), "");
  EXPECT_EQ(find(here, "b"), "");
  EXPECT_FALSE(keep(here, "c"));
  EXPECT_TRUE(here.clear());
  EXPECT_TRUE(keep(here, "a"));
  EXPECT_EQ(find(here, "a"), "model");
}

TEST_F(Packages, ACrashWhileWritingSwitchesTheFolderOff) {
  {
    PackageFolder here = folder();
    ASSERT_TRUE(keep(here, "a"));
    const pid_t child = ::fork();
    if (child == 0) {
      here.keep("b", "", [](const std::string&) -> bool { ::_exit(3); });
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_EQ(WEXITSTATUS(status), 3);
  }
  PackageFolder next = folder();
  EXPECT_EQ(find(next, "a"), "");
  EXPECT_FALSE(keep(next, "c"));
  EXPECT_EQ(entries(), 1u);  // what the child left is gone
  EXPECT_TRUE(next.clear());
  EXPECT_TRUE(keep(next, "a"));
}

TEST_F(Packages, TwoMayReadAtOnce) {
  PackageFolder here = folder(), other = folder();
  ASSERT_TRUE(keep(here, "a"));
  const pid_t child = ::fork();
  if (child == 0) {
    here.find("a", [](const std::string&, const std::string&) {
      ::pause();  // until the test ends it
      return true;
    });
    ::_exit(0);
  }
  for (int i = 0; i < 500 && !fs::exists(entry() / ("reading." + std::to_string(child))); ++i) ::usleep(10000);
  EXPECT_EQ(find(other, "a"), "model");
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

}  // namespace
}  // namespace mps
