#include "tests/support/test_env.h"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <random>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/runtime/stop_signal.h"

namespace saldo::testing {

TempDir::TempDir() {
  const char* parent = std::getenv("TMPDIR");
  path_ = absl::StrCat(parent == nullptr ? "/tmp" : parent, "/saldo-test-XXXXXX");
  if (mkdtemp(path_.data()) == nullptr) {
    std::perror(path_.c_str());
    std::abort();
  }
  // A server that runs as another user must pass.
  chmod(path_.c_str(), 0755);
}

TempDir::~TempDir() {
  if (const char* keep = std::getenv("SALDO_TEST_KEEP"); keep != nullptr && *keep == '1') {
    std::cerr << "kept " << path_ << "\n";
    return;
  }
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

bool Eventually(absl::Duration timeout, absl::FunctionRef<bool()> predicate) {
  constexpr absl::Duration kPoll = absl::Milliseconds(5);
  const absl::Time deadline = absl::Now() + timeout;
  runtime::StopSignal wait;
  while (absl::Now() < deadline) {
    if (predicate()) return true;
    wait.WaitFor(kPoll);
  }
  return predicate();
}

uint64_t Seed() {
  static const uint64_t seed = [] {
    uint64_t value = 0;
    const char* given = std::getenv("SALDO_TEST_SEED");
    if (given != nullptr && absl::SimpleAtoi(given, &value)) return value;
    std::random_device random;
    return (uint64_t{random()} << 32) | random();
  }();
  return seed;
}

std::string UniqueName(const std::string& prefix) {
  static std::atomic<int> next{1};
  return absl::StrCat(prefix, "_", getpid(), "_", next.fetch_add(1));
}

}  // namespace saldo::testing
