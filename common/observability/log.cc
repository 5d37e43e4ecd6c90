#include "common/observability/log.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <optional>

#include "absl/base/attributes.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/observability/text.h"
#include "common/observability/trace.h"
#include "common/runtime/thread_shard.h"

namespace saldo::log {
namespace {

constexpr size_t kTextBytesMax = 4096;
constexpr size_t kBufferBytesKept = 16 * 1024;
constexpr int kNoOverride = -1;
constexpr std::string_view kShardKey = "shard";
constexpr std::string_view kLevels[] = {"debug", "info", "warning", "error"};
constexpr std::string_view kConsoleLevels[] = {"DEBUG", "INFO ", "WARN ", "ERROR"};

struct Config {
  Format format = Format::kConsole;
  std::string service;
  int fd = STDERR_FILENO;
  // Replaced configurations stay: another thread may be writing a line with one.
  const Config* replaced = nullptr;
};

const Config kDefaultConfig;
std::atomic<const Config*> config{&kDefaultConfig};
std::atomic<int> process_level{static_cast<int>(Level::kInfo)};
thread_local int thread_level = kNoOverride;

// One write(2) a line would do on a local file, but not on every file system, nor on a full pipe.
ABSL_CONST_INIT absl::Mutex write_mutex(absl::kConstInit);

template <typename Number>
void AppendNumber(Number number, std::string* out) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof(digits), number).ptr;
  out->append(digits, end);
}

// A duration as a number in the unit that its key names.
std::optional<double> InUnitOfKey(std::string_view key, absl::Duration value) {
  if (key.ends_with("_ns")) return absl::ToDoubleNanoseconds(value);
  if (key.ends_with("_us")) return absl::ToDoubleMicroseconds(value);
  if (key.ends_with("_ms")) return absl::ToDoubleMilliseconds(value);
  if (key.ends_with("_s") || key.ends_with("_seconds")) {
    return absl::ToDoubleSeconds(value);
  }
  return std::nullopt;
}

// Writes one line's values; `json` tells how text is quoted.
class ValueWriter {
 public:
  ValueWriter(std::string_view key, bool json, std::string* out)
      : key_(key), json_(json), out_(out) {}

  void operator()(std::string_view text) const {
    const std::string_view kept = text::CutUtf8(text, kTextBytesMax);
    const bool bare = !json_ && !kept.empty() && std::all_of(kept.begin(), kept.end(), [](char c) {
      return c > ' ' && c < 0x7F && c != '"' && c != '\\' && c != '=';
    });
    if (bare) {
      out_->append(kept);
      return;
    }
    out_->push_back('"');
    text::AppendJsonEscaped(kept, out_);
    if (kept.size() < text.size()) out_->append("...");
    out_->push_back('"');
  }
  void operator()(const std::string& text) const { (*this)(std::string_view(text)); }
  void operator()(bool value) const { out_->append(value ? "true" : "false"); }
  void operator()(int64_t value) const { AppendNumber(value, out_); }
  void operator()(uint64_t value) const { AppendNumber(value, out_); }
  void operator()(double value) const {
    if (std::isfinite(value)) return AppendNumber(value, out_);
    // JSON has no such numbers; these are the spellings of protobuf's JSON.
    (*this)(std::string_view(std::isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity"));
  }
  void operator()(absl::Duration value) const {
    if (const auto number = InUnitOfKey(key_, value)) return (*this)(*number);
    (*this)(std::string_view(absl::FormatDuration(value)));
  }

 private:
  const std::string_view key_;
  const bool json_;
  std::string* const out_;
};

void AppendTime(std::string* out) {
  out->append(absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", absl::Now(), absl::UTCTimeZone()));
}

void AppendJsonField(std::string_view key, const Value::Variant& value, std::string* out) {
  out->push_back(',');
  text::AppendJsonString(key, out);
  out->push_back(':');
  std::visit(ValueWriter(key, true, out), value);
}

// Of the thread, unless the line names one itself.
std::string_view ShardOf(Fields fields) {
  const bool named = std::any_of(fields.begin(), fields.end(),
                                 [](const Field& field) { return field.key == kShardKey; });
  return named ? "" : runtime::CurrentShard();
}

void AppendJsonLine(const std::string& service, Level level, std::string_view message,
                    Fields fields, const trace::SpanContext* span, std::string* out) {
  out->append("{\"time\":\"");
  AppendTime(out);
  out->append("\",\"level\":\"").append(kLevels[static_cast<size_t>(level)]).append("\"");
  AppendJsonField("message", message, out);
  if (!service.empty()) AppendJsonField("service", service, out);
  for (const Field& field : fields) AppendJsonField(field.key, field.value.get(), out);
  if (const std::string_view shard = ShardOf(fields); !shard.empty())
    AppendJsonField(kShardKey, shard, out);
  if (span != nullptr) {
    AppendJsonField("trace_id", span->trace_id_hex(), out);
    AppendJsonField("span_id", span->span_id_hex(), out);
  }
  out->append("}\n");
}

void AppendConsoleLine(Level level, std::string_view message, Fields fields,
                       const trace::SpanContext* span, std::string* out) {
  AppendTime(out);
  out->append(" ").append(kConsoleLevels[static_cast<size_t>(level)]).append(" ");
  text::AppendJsonEscaped(text::CutUtf8(message, kTextBytesMax), out);
  for (const Field& field : fields) {
    out->push_back(' ');
    text::AppendJsonEscaped(field.key, out);
    out->push_back('=');
    std::visit(ValueWriter(field.key, false, out), field.value.get());
  }
  if (const std::string_view shard = ShardOf(fields); !shard.empty()) {
    out->append(" shard=");
    ValueWriter(kShardKey, false, out)(shard);
  }
  if (span != nullptr) out->append(" trace_id=").append(span->trace_id_hex());
  out->push_back('\n');
}

// A full disk or a closed pipe must not stop the process, and there is nowhere to report it.
void WriteAll(int fd, std::string_view line) {
  absl::MutexLock lock(&write_mutex);
  while (!line.empty()) {
    const ssize_t written = write(fd, line.data(), line.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    line.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

void Configure(const Options& options) {
  auto* made = new Config{options.format, options.service, options.fd, nullptr};
  made->replaced = config.load(std::memory_order_acquire);
  while (!config.compare_exchange_weak(made->replaced, made, std::memory_order_acq_rel)) {
  }
  process_level.store(static_cast<int>(options.level), std::memory_order_relaxed);
}

bool Enabled(Level level) {
  const int least =
      thread_level != kNoOverride ? thread_level : process_level.load(std::memory_order_relaxed);
  return static_cast<int>(level) >= least;
}

void Write(Level level, std::string_view message, Fields fields) {
  const Config& now = *config.load(std::memory_order_acquire);
  const trace::SpanContext* span = trace::CurrentSpan();
  thread_local std::string line;
  line.clear();
  if (now.format == Format::kJson) {
    AppendJsonLine(now.service, level, message, fields, span, &line);
  } else {
    AppendConsoleLine(level, message, fields, span, &line);
  }
  const int saved_errno = errno;
  WriteAll(now.fd, line);
  errno = saved_errno;
  if (line.capacity() > kBufferBytesKept) std::string().swap(line);
}

ScopedLevel::ScopedLevel(Level level) : previous_(thread_level) {
  thread_level = static_cast<int>(level);
}

ScopedLevel::~ScopedLevel() { thread_level = previous_; }

absl::Status ParseLevel(std::string_view text, Level* level) {
  for (size_t i = 0; i < std::size(kLevels); ++i) {
    if (text == kLevels[i]) {
      *level = static_cast<Level>(i);
      return absl::OkStatus();
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("log level \"", std::string(text), "\" is none of debug, info, warning, error"));
}

}  // namespace saldo::log
