#include "common/observability/metrics.h"

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <sstream>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/observability/log.h"
#include "common/observability/process_stats.h"
#include "prometheus/check_names.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"
#include "prometheus/registry.h"
#include "prometheus/text_serializer.h"

namespace saldo::metrics {
namespace {

struct Callback {
  std::string name;
  std::string help;
  Labels labels;
  prometheus::MetricType type;
  std::function<double()> read;
};

[[noreturn]] void Refuse(const std::string& name, std::string_view reason) {
  log::Error("a metric is defined wrongly", {{"metric", name}, {"reason", reason}});
  std::abort();
}

prometheus::ClientMetric ReadCallback(const Callback& callback) {
  prometheus::ClientMetric metric;
  for (const auto& [name, value] : callback.labels) metric.label.push_back({name, value});
  const double value = callback.read();
  if (callback.type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  return metric;
}

// prometheus-cpp throws on a malformed definition; our callers take no exceptions.
template <typename Body>
auto& DefinedOrRefused(const std::string& name, Body body) {
  try {
    return body();
  } catch (const std::exception& e) {
    Refuse(name, e.what());
  }
}

}  // namespace

const std::vector<double>& LatencyBuckets() {
  static const std::vector<double> buckets = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                              0.01,   0.025,   0.05,   0.1,   0.25,   0.5,
                                              1,      2.5,     5,      10};
  return buckets;
}

// What a scrape sees: the registry's metrics and the callbacks', one family a name.
class Registry::Collector : public prometheus::Collectable {
 public:
  explicit Collector(std::shared_ptr<prometheus::Registry> registry)
      : registry_(std::move(registry)) {}

  void Add(Callback callback) {
    absl::MutexLock lock(&mutex_);
    for (Callback& known : callbacks_) {
      if (known.name != callback.name) continue;
      if (known.type != callback.type) Refuse(callback.name, "the name has two kinds of metric");
      if (known.labels == callback.labels) {
        known.read = std::move(callback.read);
        return;
      }
    }
    callbacks_.push_back(std::move(callback));
  }

  std::vector<prometheus::MetricFamily> Collect() const override {
    std::vector<prometheus::MetricFamily> families = registry_->Collect();
    // Called without the lock, so that `read` may take locks of its own.
    for (const Callback& callback : Snapshot()) {
      auto family = std::find_if(families.begin(), families.end(),
                                 [&](const auto& known) { return known.name == callback.name; });
      if (family == families.end()) {
        families.push_back({callback.name, callback.help, callback.type, {}});
        family = std::prev(families.end());
      }
      family->metric.push_back(ReadCallback(callback));
    }
    return families;
  }

 private:
  std::vector<Callback> Snapshot() const {
    absl::MutexLock lock(&mutex_);
    return callbacks_;
  }

  const std::shared_ptr<prometheus::Registry> registry_;
  mutable absl::Mutex mutex_;
  std::vector<Callback> callbacks_ ABSL_GUARDED_BY(mutex_);
};

Registry::Registry()
    : registry_(std::make_shared<prometheus::Registry>()),
      collector_(std::make_shared<Collector>(registry_)) {}

Registry::Registry(const Registry& parent, const Labels& labels)
    : registry_(parent.registry_), collector_(parent.collector_), labels_(parent.All(labels)) {}

Registry::~Registry() = default;

Labels Registry::All(const Labels& labels) const {
  Labels all = labels;
  all.insert(labels_.begin(), labels_.end());
  return all;
}

Counter& Registry::AddCounter(const std::string& name, const std::string& help,
                              const Labels& labels) {
  return DefinedOrRefused(name, [&]() -> Counter& {
    return prometheus::BuildCounter().Name(name).Help(help).Register(*registry_).Add(All(labels));
  });
}

Gauge& Registry::AddGauge(const std::string& name, const std::string& help, const Labels& labels) {
  return DefinedOrRefused(name, [&]() -> Gauge& {
    return prometheus::BuildGauge().Name(name).Help(help).Register(*registry_).Add(All(labels));
  });
}

Histogram& Registry::AddHistogram(const std::string& name, const std::string& help,
                                  const Labels& labels, const std::vector<double>& buckets) {
  return DefinedOrRefused(name, [&]() -> Histogram& {
    return prometheus::BuildHistogram()
        .Name(name)
        .Help(help)
        .Register(*registry_)
        .Add(All(labels), buckets);
  });
}

void Registry::AddGaugeCallback(const std::string& name, const std::string& help,
                                const Labels& labels, std::function<double()> read) {
  if (!prometheus::CheckMetricName(name)) Refuse(name, "invalid metric name");
  collector_->Add({name, help, All(labels), prometheus::MetricType::Gauge, std::move(read)});
}

void Registry::AddCounterCallback(const std::string& name, const std::string& help,
                                  const Labels& labels, std::function<double()> read) {
  if (!prometheus::CheckMetricName(name)) Refuse(name, "invalid metric name");
  collector_->Add({name, help, All(labels), prometheus::MetricType::Counter, std::move(read)});
}

void Registry::AddProcessMetrics() {
  AddCounterCallback("process_cpu_seconds_total", "User and system CPU time spent, in seconds.", {},
                     [] { return ReadProcessStats().cpu_seconds; });
  AddGaugeCallback("process_resident_memory_bytes", "Resident memory, in bytes.", {},
                   [] { return ReadProcessStats().resident_bytes; });
  AddGaugeCallback("process_virtual_memory_bytes", "Virtual memory, in bytes.", {},
                   [] { return ReadProcessStats().virtual_bytes; });
  AddGaugeCallback("process_threads", "Threads of the process.", {},
                   [] { return ReadProcessStats().threads; });
  AddGaugeCallback("process_start_time_seconds",
                   "Start of the process, in seconds since the Unix epoch.", {},
                   [] { return ReadProcessStats().start_time_seconds; });
  AddGaugeCallback("process_open_fds", "Open file descriptors.", {}, [] { return ReadOpenFds(); });
  AddGaugeCallback("process_max_fds", "Limit on open file descriptors.", {},
                   [] { return ReadMaxFds(); });
}

std::shared_ptr<prometheus::Collectable> Registry::collectable() const { return collector_; }

std::string Registry::Text() const {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, collector_->Collect());
  return std::move(out).str();
}

}  // namespace saldo::metrics
