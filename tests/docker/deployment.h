// The files that run Saldo elsewhere, and what the real programs say of them.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "yaml-cpp/yaml.h"

namespace saldo::deployment {

using Environment = std::vector<std::pair<std::string, std::string>>;

inline constexpr const char* kServer = "saldo-server";
inline constexpr const char* kRelay = "saldo-retranslator";

// Of a file below docker/; each fails the test when it cannot be read.
std::string Text(const std::string& path);
std::vector<YAML::Node> Documents(const std::string& path);
// The first group of every match.
std::vector<std::string> Matches(const std::string& text, const std::string& pattern);

// What the program listens on by default, by the section of its configuration.
std::map<std::string, int> Ports(const std::string& program);
std::set<int> PortNumbers(const std::string& program);

// How long a stop may take by default: what the program waits for, and some for the rest.
absl::Duration StopTime(const std::string& program);
// How long a start waits for the database by default.
absl::Duration StartTime(const std::string& program);

// What the program says of a file below docker/ ("": of none), in this environment: "" when it
// takes both. A variable that ends with _FILE gets a file that is there.
std::string Faults(const std::string& program, const std::string& path, Environment environment);

}  // namespace saldo::deployment
