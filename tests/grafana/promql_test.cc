#include "tests/grafana/promql.h"

#include <catch2/catch.hpp>

namespace saldo::grafana {
namespace {

std::string Named(std::string_view query) {
  std::string names;
  for (const Selector& selector : Selectors(query))
    names += selector.metric + "{" + selector.labels + "} ";
  return names;
}

}  // namespace

TEST_CASE("a query's metrics are told from its other words") {
  CHECK(Named("up") == "up{} ");
  CHECK(Named("sum by (job, le) (rate(a_bucket{job=~\"a}b\", x!=\"y\"}[5m])) / on () "
              "group_left (x) clamp_min(b:c, 1e-9)") == "a_bucket{job=~\"a}b\", x!=\"y\"} b:c{} ");
  CHECK(
      Named("(a > bool 0 unless b) or on () label_replace(vector(0), \"c\", \"d\", \"\", \"\")") ==
      "a{} b{} ");
  CHECK(Named("avg_over_time(a[5m:1m] offset 1h)") == "a{} ");
  CHECK(Named("time() - 14.4 * 0.001").empty());
}

TEST_CASE("a query's ranges are found") {
  CHECK(Ranges("rate(a{b=\"[1m]\"}[5m]) + rate(c[$__rate_interval])") ==
        std::vector<std::string>{"5m", "$__rate_interval"});
}

TEST_CASE("variables are filled in, longer names first") {
  const Variables variables = {{"job", "x"}, {"jobs", "y"}, {"__range", "30s"}};
  CHECK(Fill("$jobs ${job}s $job [$__range] $other", variables) == "y xs x [30s] $other");
  CHECK(AsRegex("127.0.0.1:80") == "127\\\\.0\\\\.0\\\\.1:80");
}

TEST_CASE("a condition's parts answer also where they do not hold") {
  CHECK(Measured("a{b=\"x > y or z\", c=~\"d\"} > 1 and e >= 2 or f != 3 and g == 4") ==
        std::vector<std::string>{"a{b=\"x > y or z\", c=~\"d\"} > bool 1", "e >= bool 2",
                                 "f != bool 3", "g == bool 4"});
  CHECK(Measured("(max by (x) (a) < 5\n  or (b <= 6 and rate(c[5m]) > 0))\n  unless on (x, y) "
                 "max(d or e) == 0\n  unless on (x) ALERTS{alertname=\"a\"}\n") ==
        std::vector<std::string>{"max by (x) (a) < bool 5", "b <= bool 6", "rate(c[5m]) > bool 0",
                                 "max(d or e) == bool 0"});
  CHECK(Measured("up == 0 or absent(up{job=\"a\"})") == std::vector<std::string>{"up == bool 0"});
  CHECK(Measured("(a) > (b)") == std::vector<std::string>{"(a) > bool (b)"});
  CHECK(Measured("((a > 1))") == std::vector<std::string>{"a > bool 1"});
}

}  // namespace saldo::grafana
