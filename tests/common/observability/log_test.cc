#include "common/observability/log.h"

#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdint>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/observability/trace.h"
#include "common/runtime/thread.h"
#include "common/runtime/thread_shard.h"
#include "tests/common/observability/json.h"

namespace saldo::log {
namespace {

using saldo::testing::JsonFields;
using saldo::testing::ParseJson;

// Takes the log of the process while it lives.
class Capture {
 public:
  explicit Capture(Format format, Level level = Level::kInfo)
      : fd_(memfd_create("log", MFD_CLOEXEC)) {
    REQUIRE(fd_ >= 0);
    Configure({.level = level, .format = format, .service = "saldo-test", .fd = fd_});
  }
  ~Capture() {
    Options options;
    options.format = Format::kConsole;
    Configure(options);
    close(fd_);
  }

  std::string text() const {
    std::string out(static_cast<size_t>(lseek(fd_, 0, SEEK_END)), '\0');
    REQUIRE(pread(fd_, out.data(), out.size(), 0) == static_cast<ssize_t>(out.size()));
    return out;
  }
  std::vector<std::string> lines() const {
    const std::string all = text();
    REQUIRE((all.empty() || all.back() == '\n'));
    return absl::StrSplit(all, '\n', absl::SkipEmpty());
  }

 private:
  const int fd_;
};

// Without the time at its start, which varies.
std::string WithoutTime(const std::string& line) {
  return line.substr(line.find(",\"level\"") + 1);
}

TEST_CASE("a JSON line holds the time, the level, the message, the service and typed fields") {
  Capture capture(Format::kJson);
  const absl::Time before = absl::Now();
  Write(Level::kWarning, "pool is full",
        {{"pool", "main"},
         {"waiting", 3},
         {"big", std::numeric_limits<uint64_t>::max()},
         {"negative", std::numeric_limits<int64_t>::min()},
         {"ratio", 0.1},
         {"on", true},
         {"wait_ms", absl::Microseconds(1500)},
         {"delay", absl::Milliseconds(1500)},
         {"error", absl::NotFoundError("no row")}});
  const auto lines = capture.lines();
  REQUIRE(lines.size() == 1);
  CHECK(WithoutTime(lines[0]) ==
        R"("level":"warning","message":"pool is full","service":"saldo-test","pool":"main",)"
        R"("waiting":3,"big":18446744073709551615,"negative":-9223372036854775808,"ratio":0.1,)"
        R"("on":true,"wait_ms":1.5,"delay":"1.5s","error":"NOT_FOUND: no row"})");
  const std::string time = ParseJson(lines[0]).at("time").string_value();
  CHECK(time.size() == std::string("2026-11-20T10:15:30.000001Z").size());
  absl::Time parsed;
  std::string error;
  REQUIRE(absl::ParseTime(absl::RFC3339_full, time, &parsed, &error));
  CHECK(parsed >= before - absl::Microseconds(1));
  CHECK(parsed <= absl::Now());
}

TEST_CASE("any bytes make a valid JSON line, and well-formed text comes back") {
  struct Row {
    std::string in;
    std::string out;
  };
  const std::string bad = "\xEF\xBF\xBD";
  const std::vector<Row> rows = {
      {"", ""},
      {"plain", "plain"},
      {"quote \" backslash \\ slash /", "quote \" backslash \\ slash /"},
      {"line\nfeed\r\ttab\b\f", "line\nfeed\r\ttab\b\f"},
      {std::string("nul\0inside", 10), std::string("nul\0inside", 10)},
      {"\x01\x1F\x7F", "\x01\x1F\x7F"},
      {"сальдо € 𝄞", "сальдо € 𝄞"},
      {"\xC3", bad},
      {"a\xFFz", "a" + bad + "z"},
      {"\xC0\xAF", bad + bad},                      // an overlong slash
      {"\xED\xA0\x80", bad + bad + bad},            // a surrogate
      {"\xF4\x90\x80\x80", bad + bad + bad + bad},  // beyond U+10FFFF
      {"\xE2\x82", bad + bad},                      // cut off
      {"\xF0\x9D\x84\x9E\x80", "𝄞" + bad},          // a stray continuation
      {"\xE2\x82\xE2\x82\xAC", bad + bad + "€"},
  };
  Capture capture(Format::kJson);
  for (const Row& row : rows) Info("row", {{"text", row.in}});
  Info("key", {{"a\"b", 1}});
  const auto lines = capture.lines();
  REQUIRE(lines.size() == rows.size() + 1);
  for (size_t i = 0; i < rows.size(); ++i) {
    INFO("row " << i);
    CHECK(ParseJson(lines[i]).at("text").string_value() == rows[i].out);
  }
  CHECK(ParseJson(lines.back()).contains("a\"b"));
}

TEST_CASE("long text is cut between characters") {
  Capture capture(Format::kJson);
  std::string text = "x";
  while (text.size() < 10'000) text += "€";
  Info("long", {{"text", text}});
  const std::string out = ParseJson(capture.lines()[0]).at("text").string_value();
  CHECK(out.size() <= 4096 + 3);
  CHECK(out.size() > 4090);
  CHECK(out.substr(out.size() - 6) == "€...");
}

TEST_CASE("a status is told without its payloads") {
  absl::Status status = absl::UnavailableError("no connection");
  status.SetPayload("saldo/kind", absl::Cord("1"));
  Capture capture(Format::kJson);
  Warning("failed", {{"error", status}});
  REQUIRE(capture.lines().size() == 1);
  CHECK(ParseJson(capture.lines()[0]).at("error").string_value() == "UNAVAILABLE: no connection");
}

TEST_CASE("numbers that JSON lacks are text") {
  Capture capture(Format::kJson);
  Info("numbers", {{"nan", std::numeric_limits<double>::quiet_NaN()},
                   {"inf", std::numeric_limits<double>::infinity()},
                   {"wait_ms", -absl::InfiniteDuration()}});
  const JsonFields line = ParseJson(capture.lines()[0]);
  CHECK(line.at("nan").string_value() == "NaN");
  CHECK(line.at("inf").string_value() == "Infinity");
  CHECK(line.at("wait_ms").string_value() == "-Infinity");
}

TEST_CASE("lines below the level are not written, and a thread can have its own level") {
  Capture capture(Format::kJson, Level::kWarning);
  CHECK_FALSE(Enabled(Level::kInfo));
  CHECK(Enabled(Level::kWarning));
  Info("hidden");
  {
    const ScopedLevel debug(Level::kDebug);
    CHECK(Enabled(Level::kDebug));
    Debug("shown 1");
    {
      const ScopedLevel error(Level::kError);
      CHECK_FALSE(Enabled(Level::kWarning));
      Warning("hidden");
    }
    Debug("shown 2");
    bool elsewhere = true;
    runtime::Thread("other", [&] { elsewhere = Enabled(Level::kDebug); }).Join();
    CHECK_FALSE(elsewhere);
  }
  CHECK_FALSE(Enabled(Level::kInfo));
  Error("shown 3");
  const auto lines = capture.lines();
  REQUIRE(lines.size() == 3);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(ParseJson(lines[i]).at("message").string_value() == "shown " + std::to_string(i + 1));
  }
}

TEST_CASE("a line inside a span carries its ids") {
  Capture capture(Format::kJson);
  const trace::Tracer tracer(nullptr, 1);
  std::string trace_id;
  std::string span_id;
  {
    const trace::Span span(tracer, "work", trace::Kind::kServer, std::nullopt);
    trace_id = span.context().trace_id_hex();
    span_id = span.context().span_id_hex();
    Info("inside");
  }
  Info("outside");
  const auto lines = capture.lines();
  REQUIRE(lines.size() == 2);
  CHECK(WithoutTime(lines[0]) ==
        R"("level":"info","message":"inside","service":"saldo-test","trace_id":")" + trace_id +
            R"(","span_id":")" + span_id + "\"}");
  CHECK_FALSE(ParseJson(lines[1]).contains("trace_id"));
}

TEST_CASE("lines of a thread that works for a shard name it, and so do those of its threads") {
  Capture capture(Format::kJson);
  {
    const std::string name = "north";
    const runtime::ScopedShard north(name);
    Info("of its own", {{"n", 1}});
    runtime::Thread thread;
    {
      const runtime::ScopedShard south("south");
      thread = runtime::Thread("south", [] { Info("inherited"); });
    }
    thread.Join();
    const runtime::ScopedShard nothing("");
    Info("as before");
    Info("named", {{"shard", "west"}});
  }
  Info("none");
  const auto lines = capture.lines();
  REQUIRE(lines.size() == 5);
  CHECK(WithoutTime(lines[0]) ==
        R"("level":"info","message":"of its own","service":"saldo-test","n":1,"shard":"north"})");
  CHECK(ParseJson(lines[1]).at("shard").string_value() == "south");
  CHECK(ParseJson(lines[2]).at("shard").string_value() == "north");
  CHECK(WithoutTime(lines[3]) ==
        R"("level":"info","message":"named","service":"saldo-test","shard":"west"})");
  CHECK_FALSE(ParseJson(lines[4]).contains("shard"));
}

TEST_CASE("the console format names the shard, too") {
  Capture capture(Format::kConsole);
  const runtime::ScopedShard shard("north east");
  Info("line", {{"n", 1}});
  Info("line", {{"shard", 7}});
  const auto lines = capture.lines();
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].ends_with(R"(INFO  line n=1 shard="north east")"));
  CHECK(lines[1].ends_with("INFO  line shard=7"));
}

TEST_CASE("the console format quotes what would be ambiguous") {
  Capture capture(Format::kConsole);
  Warning("two\nlines", {{"bare", "a-b/c:1"},
                         {"spaced", "a b"},
                         {"empty", ""},
                         {"quoted", "say \"hi\""},
                         {"pair", "a=b"},
                         {"n", 7}});
  const auto lines = capture.lines();
  REQUIRE(lines.size() == 1);
  CHECK(
      lines[0].substr(lines[0].find(' ') + 1) ==
      R"(WARN  two\nlines bare=a-b/c:1 spaced="a b" empty="" quoted="say \"hi\"" pair="a=b" n=7)");
}

TEST_CASE("lines of many threads do not mix") {
  constexpr int kThreads = 4;
  constexpr int kLines = 500;
  Capture capture(Format::kJson);
  {
    std::vector<runtime::Thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back("writer", [t] {
        const std::string filler(static_cast<size_t>(100 + 700 * t), static_cast<char>('a' + t));
        for (int i = 0; i < kLines; ++i) Info("line", {{"text", filler}, {"i", i}});
      });
    }
  }
  const auto lines = capture.lines();
  REQUIRE(lines.size() == kThreads * kLines);
  for (const std::string& line : lines) {
    const std::string text = ParseJson(line).at("text").string_value();
    REQUIRE(text.find_first_not_of(text[0]) == std::string::npos);
    REQUIRE(text.size() == static_cast<size_t>(100 + 700 * (text[0] - 'a')));
  }
}

TEST_CASE("levels are read by name") {
  Level level = Level::kInfo;
  CHECK(ParseLevel("debug", &level).ok());
  CHECK(level == Level::kDebug);
  CHECK(ParseLevel("error", &level).ok());
  CHECK(level == Level::kError);
  const absl::Status status = ParseLevel("DEBUG", &level);
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK(level == Level::kError);
}

}  // namespace
}  // namespace saldo::log
