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
  ~Registry();

  // The same name and labels give the same metric. References stay valid as long as the registry.
  Counter& AddCounter(const std::string& name, const std::string& help, const Labels& labels = {});
  Gauge& AddGauge(const std::string& name, const std::string& help, const Labels& labels = {});
  Histogram& AddHistogram(const std::string& name, const std::string& help, const Labels& labels,
                          const std::vector<double>& buckets);
  // A gauge read at each scrape. `read` runs on the scrape's thread, must be quick and must outlive
  // the registry's use.
  void AddGaugeCallback(const std::string& name, const std::string& help, const Labels& labels,
                        std::function<double()> read);
  // process_* figures of this process: CPU seconds, resident bytes, open files, threads, start
  // time.
  void AddProcessMetrics();

  std::shared_ptr<prometheus::Collectable> collectable() const;
  // The exposition text, as a scrape would get it.
  std::string Text() const;

 private:
  struct Callbacks;
  std::shared_ptr<prometheus::Registry> registry_;
  std::shared_ptr<Callbacks> callbacks_;
};

}  // namespace saldo::metrics
