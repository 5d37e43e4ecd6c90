// What every test program may need: a folder, a seed, a wait with a deadline.
#pragma once

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"

namespace saldo::testing {

// A folder under $TMPDIR or /tmp that everyone may enter, removed with all in it by the destructor.
// SALDO_TEST_KEEP=1 keeps it, to look at logs.
class TempDir {
 public:
  TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir();

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Asks `predicate` again and again, in small waits, until it is true (then true) or `timeout` has
// passed (then its last answer, asked once more).
bool Eventually(absl::Duration timeout, absl::FunctionRef<bool()> predicate);

// The seed of this run's random choices: SALDO_TEST_SEED, else a new one; the same for the whole
// program. Show it when a test fails: `INFO("SALDO_TEST_SEED=" << Seed());`
uint64_t Seed();

// "prefix_<pid>_<number>": differs between programs that run at once and between calls. Letters,
// digits and underscores.
std::string UniqueName(const std::string& prefix);

}  // namespace saldo::testing
