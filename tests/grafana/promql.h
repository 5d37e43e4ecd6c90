// As much of PromQL as it takes to check queries: what they name, and what fills them in. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace saldo::grafana {

using Variables = std::map<std::string, std::string>;

// Puts values in place of $name and ${name}, longer names first. What is not known stays.
std::string Fill(std::string text, const Variables& variables);

// One value as it stands in a regular expression in a query's quotes, as Grafana writes it there.
std::string AsRegex(std::string_view value);

// A metric as a query names it.
struct Selector {
  std::string metric;
  std::string labels;  // what stands in braces; "" without any
};
std::vector<Selector> Selectors(std::string_view query);

// What stands in brackets: "5m", "$__rate_interval".
std::vector<std::string> Ranges(std::string_view query);

// A rule's condition as queries that have samples, 0 or 1, also where it does not hold: what `and`,
// `or` and `unless` join is a query of its own, and comparisons answer instead of dropping what
// does not pass. Without what has samples only in trouble: absent(...), and the alerts that fire.
std::vector<std::string> Measured(std::string_view condition);

}  // namespace saldo::grafana
