// What clients were told, held against what the topic says. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace saldo::testing {

enum class Outcome {
  kDone,     // acknowledged: the event must be there
  kUnknown,  // no answer: the event may be there; the client never touches this package again
  kRefused,  // refused: the event must not be there
};

struct Change {
  int type;           // hablof.proto.v1.EventType
  std::string title;  // of the package after it (before it, when removed); unique in the history
                      // for creates and updates
  Outcome outcome;
};

// An event as received, in the order of its partition.
struct ReceivedEvent {
  uint64_t event_id;
  uint64_t package_id;
  int type;
  std::string title;
};

struct History {
  // By package id; the changes of a package in the order in which one client made them.
  std::map<uint64_t, std::vector<Change>> packages;
  // Titles of creates without an answer: no one knows their ids.
  std::vector<std::string> unknown_creates;
  // Titles that the server refused.
  std::vector<std::string> refused;
};

// Every fault found, in words; empty when the topic tells the history: each acknowledged change at
// least once, none that was refused or never asked for, and per package the changes in their order
// (repeated ones aside).
std::vector<std::string> FindFaults(const History& history,
                                    const std::vector<ReceivedEvent>& events);

}  // namespace saldo::testing
