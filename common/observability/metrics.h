// The metrics of one process. Names and units follow Prometheus' conventions: snake_case, base
// units, `_total` on counters.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"

namespace prometheus {
class Registry;
class Collectable;
}  // namespace prometheus

namespace saldo::metrics {

using Labels = std::map<std::string, std::string>;
using prometheus::Counter;
using prometheus::Gauge;
using prometheus::Histogram;

// Seconds, from 100 microseconds to 10 s: fits calls, statements and waits.
const std::vector<double>& LatencyBuckets();

class Registry {
 public:
  Registry();
  // A view of `parent`, without metrics of its own, that adds `labels` to all that is added through
  // it, unless given there: for a part that exists more than once. What it exposes is the parent's.
  // `parent` need not outlive it.
  Registry(const Registry& parent, const Labels& labels);
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // The same name and labels give the same metric. References stay valid as long as the registry.
  // Names, label names and buckets are constants of the program: a malformed one, or a name used
  // for two kinds of metric, ends the process with a message.
  Counter& AddCounter(const std::string& name, const std::string& help, const Labels& labels = {});
  Gauge& AddGauge(const std::string& name, const std::string& help, const Labels& labels = {});
  Histogram& AddHistogram(const std::string& name, const std::string& help, const Labels& labels,
                          const std::vector<double>& buckets);
  // A gauge read at each scrape. `read` runs on the scrape's thread, must be quick, must not throw
  // and must outlive the registry's use. The same name and labels replace the earlier `read`.
  void AddGaugeCallback(const std::string& name, const std::string& help, const Labels& labels,
                        std::function<double()> read);
  // The same for a figure that only grows.
  void AddCounterCallback(const std::string& name, const std::string& help, const Labels& labels,
                          std::function<double()> read);
  // process_* figures of this process: CPU seconds, resident and virtual bytes, open files and
  // their limit, threads, start time.
  void AddProcessMetrics();

  // All of the above, for an exposer.
  std::shared_ptr<prometheus::Collectable> collectable() const;
  // The exposition text, as a scrape would get it.
  std::string Text() const;

 private:
  class Collector;

  // The labels that a metric is added with, and those of the view.
  Labels All(const Labels& labels) const;

  const std::shared_ptr<prometheus::Registry> registry_;
  const std::shared_ptr<Collector> collector_;
  const Labels labels_;
};

}  // namespace saldo::metrics
