#include "common/observability/metrics.h"

#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <map>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"

namespace saldo::metrics {
namespace {

// The samples of an exposition text, by name and labels.
std::map<std::string, double> Samples(const std::string& text) {
  std::map<std::string, double> samples;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (absl::StartsWith(line, "#")) continue;
    const size_t space = line.rfind(' ');
    double value = 0;
    INFO(std::string(line));
    REQUIRE(absl::SimpleAtod(line.substr(space + 1), &value));
    REQUIRE(samples.emplace(std::string(line.substr(0, space)), value).second);
  }
  return samples;
}

TEST_CASE("the same name and labels give the same metric") {
  Registry registry;
  Counter& a = registry.AddCounter("jobs_total", "Jobs.", {{"kind", "a"}});
  Counter& b = registry.AddCounter("jobs_total", "Jobs.", {{"kind", "b"}});
  CHECK(&a != &b);
  CHECK(&a == &registry.AddCounter("jobs_total", "Jobs.", {{"kind", "a"}}));
  a.Increment();
  a.Increment(2);
  b.Increment();
  Gauge& gauge = registry.AddGauge("depth", "Depth.");
  CHECK(&gauge == &registry.AddGauge("depth", "Depth."));
  gauge.Set(-1.5);
  Histogram& histogram = registry.AddHistogram("wait_seconds", "Waits.", {}, {0.1, 1});
  CHECK(&histogram == &registry.AddHistogram("wait_seconds", "Waits.", {}, {0.1, 1}));
  histogram.Observe(0.05);
  histogram.Observe(0.5);
  histogram.Observe(5);

  const std::string text = registry.Text();
  const auto samples = Samples(text);
  CHECK(samples.at("jobs_total{kind=\"a\"}") == 3);
  CHECK(samples.at("jobs_total{kind=\"b\"}") == 1);
  CHECK(samples.at("depth") == -1.5);
  CHECK(samples.at("wait_seconds_bucket{le=\"0.1\"}") == 1);
  CHECK(samples.at("wait_seconds_bucket{le=\"1\"}") == 2);
  CHECK(samples.at("wait_seconds_bucket{le=\"+Inf\"}") == 3);
  CHECK(samples.at("wait_seconds_count") == 3);
  CHECK(absl::StrContains(text, "# HELP jobs_total Jobs.\n# TYPE jobs_total counter\n"));
  CHECK(absl::StrContains(text, "# TYPE depth gauge\n"));
  CHECK(absl::StrContains(text, "# TYPE wait_seconds histogram\n"));
}

TEST_CASE("callbacks are read at each scrape, one family a name") {
  Registry registry;
  double lag = 1;
  registry.AddGauge("lag", "Lag.", {{"shard", "plain"}}).Set(7);
  registry.AddGaugeCallback("lag", "Lag.", {{"shard", "0"}}, [&] { return lag; });
  registry.AddGaugeCallback("lag", "Lag.", {{"shard", "1"}}, [&] { return -lag; });
  registry.AddCounterCallback("bytes_total", "Bytes.", {}, [&] { return 10 * lag; });
  CHECK(Samples(registry.Text()).at("lag{shard=\"0\"}") == 1);
  lag = 2;
  const std::string text = registry.Text();
  const auto samples = Samples(text);
  CHECK(samples.at("lag{shard=\"0\"}") == 2);
  CHECK(samples.at("lag{shard=\"1\"}") == -2);
  CHECK(samples.at("lag{shard=\"plain\"}") == 7);
  CHECK(samples.at("bytes_total") == 20);
  const std::string header = "# TYPE lag gauge\n";
  CHECK(text.find(header) != std::string::npos);
  CHECK(text.find(header) == text.rfind(header));
  CHECK(absl::StrContains(text, "# TYPE bytes_total counter\n"));

  registry.AddGaugeCallback("lag", "Lag.", {{"shard", "0"}}, [] { return 42.0; });
  CHECK(Samples(registry.Text()).at("lag{shard=\"0\"}") == 42);
}

TEST_CASE(
    "a view adds its labels to all that is added through it, and shows its parent's metrics") {
  Registry registry;
  {
    Registry north(registry, {{"shard", "north"}});
    const Registry inner(north, {{"part", "x"}, {"shard", "own"}});
    Registry south(registry, {{"shard", "south"}});
    north.AddCounter("jobs_total", "Jobs.", {{"kind", "a"}}).Increment(2);
    south.AddCounter("jobs_total", "Jobs.", {{"kind", "a"}}).Increment(3);
    registry.AddCounter("jobs_total", "Jobs.", {{"kind", "a"}}).Increment(4);
    north.AddGauge("depth", "Depth.").Set(5);
    south.AddHistogram("wait_seconds", "Waits.", {}, {1}).Observe(6);
    north.AddGaugeCallback("lag", "Lag.", {}, [] { return 7; });
    south.AddCounterCallback("reads_total", "Reads.", {}, [] { return 8; });
    Registry(inner, {}).AddGauge("deep", "Deep.").Set(9);
    CHECK(&north.AddGauge("depth", "Depth.") ==
          &registry.AddGauge("depth", "Depth.", {{"shard", "north"}}));
    CHECK(north.Text() == registry.Text());
  }
  // The metrics stay when the views are gone.
  const std::map<std::string, double> expected = {
      {"jobs_total{kind=\"a\",shard=\"north\"}", 2},
      {"jobs_total{kind=\"a\",shard=\"south\"}", 3},
      {"jobs_total{kind=\"a\"}", 4},
      {"depth{shard=\"north\"}", 5},
      {"wait_seconds_bucket{shard=\"south\",le=\"+Inf\"}", 1},
      {"wait_seconds_bucket{shard=\"south\",le=\"1\"}", 0},
      {"wait_seconds_count{shard=\"south\"}", 1},
      {"wait_seconds_sum{shard=\"south\"}", 6},
      {"lag{shard=\"north\"}", 7},
      {"reads_total{shard=\"south\"}", 8},
      {"deep{part=\"x\",shard=\"own\"}", 9},
  };
  INFO(registry.Text());
  CHECK(Samples(registry.Text()) == expected);
}

TEST_CASE("the process' own figures are plausible") {
  Registry registry;
  registry.AddProcessMetrics();
  const int fd = dup(STDERR_FILENO);
  const double open_before = Samples(registry.Text()).at("process_open_fds");
  const int more = dup(fd);
  const auto samples = Samples(registry.Text());
  CHECK(samples.at("process_open_fds") == open_before + 1);
  close(more);
  close(fd);
  CHECK(samples.at("process_max_fds") >= samples.at("process_open_fds"));
  CHECK(samples.at("process_resident_memory_bytes") > 1e6);
  CHECK(samples.at("process_virtual_memory_bytes") >= samples.at("process_resident_memory_bytes"));
  CHECK(samples.at("process_threads") >= 1);
  const double now = absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch());
  CHECK(samples.at("process_start_time_seconds") <= now + 2);
  CHECK(samples.at("process_start_time_seconds") > now - 3600);
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  const double cpu_before = samples.at("process_cpu_seconds_total");
  while (Samples(registry.Text()).at("process_cpu_seconds_total") <= cpu_before) {
    REQUIRE(absl::Now() < deadline);  // spends CPU time until it shows
  }
}

TEST_CASE("latency buckets grow") {
  const auto& buckets = LatencyBuckets();
  CHECK(buckets.front() == 0.0001);
  CHECK(buckets.back() == 10);
  CHECK(std::is_sorted(buckets.begin(), buckets.end()));
}

}  // namespace
}  // namespace saldo::metrics
