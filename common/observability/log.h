// Structured logs: a fixed message and typed fields, one line each on standard error, as JSON or
// for a console. Lines written inside a span carry its trace and span ids, and those of a thread
// that works for one shard of several (runtime/thread_shard.h) its name.
//
// JSON: {"time":"2026-11-20T10:15:30.000001Z","level":"info","message":"...","service":"...",
// fields...,"shard":"...","trace_id":"...","span_id":"..."}. These names are taken: no field may
// use them, but for "shard", which then stands in place of the thread's. Each line is one write(2),
// and lines of several threads do not mix. A line that cannot be written is dropped: logging never
// fails.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace saldo::log {

enum class Level { kDebug, kInfo, kWarning, kError };
enum class Format { kJson, kConsole };

struct Options {
  Level level = Level::kInfo;
  Format format = Format::kJson;
  std::string service;  // "saldo-server"; in every JSON line unless empty
  int fd = 2;           // where the lines go; stays open and is not closed
};

// Call once at the start of main; the default is info, console, no service.
// Safe while other threads write.
void Configure(const Options& options);

// A field's value. Text is not copied and must live until Write returns; text over 4 KiB is cut.
// A duration is a number in the unit that ends its key (_ns, _us, _ms, _s or _seconds), else text
// such as "1.5s".
class Value {
 public:
  // NOLINTBEGIN(google-explicit-constructor): a field is written as its value
  Value(std::string_view v) : value_(v) {}
  Value(const char* v) : value_(std::string_view(v)) {}
  Value(const std::string& v) : value_(std::string_view(v)) {}
  Value(bool v) : value_(v) {}
  Value(double v) : value_(v) {}
  Value(absl::Duration v) : value_(v) {}
  // Without its payloads, which are for programs.
  Value(const absl::Status& v) : value_(v.ToString(absl::StatusToStringMode::kWithNoExtraData)) {}
  template <typename Int>
  using Wide = std::conditional_t<std::is_signed_v<Int>, int64_t, uint64_t>;
  template <typename Int>
  requires(std::is_integral_v<Int> && !std::is_same_v<Int, bool>) Value(Int v)
      : value_(static_cast<Wide<Int>>(v)) {}
  // NOLINTEND(google-explicit-constructor)

  using Variant =
      std::variant<std::string_view, std::string, bool, double, int64_t, uint64_t, absl::Duration>;
  const Variant& get() const { return value_; }

 private:
  Variant value_;
};

struct Field {
  std::string_view key;  // snake_case, unit last: "wait_ms"
  Value value;
};
using Fields = std::initializer_list<Field>;

// True when a line of this level would be written by this thread now.
bool Enabled(Level level);

// `message` is a fixed text; whatever varies goes into fields.
void Write(Level level, std::string_view message, Fields fields = {});

inline void Debug(std::string_view message, Fields fields = {}) {
  if (Enabled(Level::kDebug)) Write(Level::kDebug, message, fields);
}
inline void Info(std::string_view message, Fields fields = {}) {
  if (Enabled(Level::kInfo)) Write(Level::kInfo, message, fields);
}
inline void Warning(std::string_view message, Fields fields = {}) {
  if (Enabled(Level::kWarning)) Write(Level::kWarning, message, fields);
}
inline void Error(std::string_view message, Fields fields = {}) {
  if (Enabled(Level::kError)) Write(Level::kError, message, fields);
}

// Lowers or raises the level for this thread while it lives: how one call alone is logged in
// detail.
class ScopedLevel {
 public:
  explicit ScopedLevel(Level level);
  ~ScopedLevel();
  ScopedLevel(const ScopedLevel&) = delete;
  ScopedLevel& operator=(const ScopedLevel&) = delete;

 private:
  int previous_;
};

// "debug", "info", "warning" or "error"; INVALID_ARGUMENT otherwise.
absl::Status ParseLevel(std::string_view text, Level* level);

}  // namespace saldo::log
