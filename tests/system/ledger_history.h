// What writers of events were told, held against what the ledger stored and published. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/decimal.h"
#include "saldo/v1/account_event.pb.h"
#include "saldo/v1/account_service.pb.h"

namespace saldo::testing {

enum class Fate {
  kWritten,   // acknowledged: there once, as it was asked for and answered
  kRejected,  // refused: nothing of it is there
  kUnknown,   // all of it is there once, or nothing
};

struct SentRequest {
  v1::WriteEventsRequest request;
  Fate fate = Fate::kUnknown;
  v1::WriteEventsResponse answer = {};  // when it was written
};

// Of a type that keeps balances.
struct Limits {
  std::optional<Decimal> min;
  std::optional<Decimal> max;
};

struct LedgerHistory {
  std::map<std::string, SentRequest> requests;  // by id
  // Answers that are wrong in themselves, in words.
  std::vector<std::string> surprises;
};

// What the ledger has.
struct LedgerContent {
  // In the order of batches and ordinals, as the topics should tell them.
  std::vector<v1::AccountEvent> events;
  std::map<int64_t, int64_t> seq_of_batch;
  std::map<std::string, Limits> limits;  // by type
};

// A message as received, in the order of its partition.
struct PublishedEvent {
  std::string key;
  std::string id;  // the header ce_id
  v1::AccountEvent event;
};

// Every fault found, in words. None when each acknowledged request is there exactly once with the
// content and the answer that were given, no other is there but whole ones of unknown fate, each
// stored balance follows from the one before it within its limits, and the topics tell every event,
// in the order of batches per key (repeated messages aside).
std::vector<std::string> FindFaults(const LedgerHistory& history, const LedgerContent& content,
                                    const std::vector<PublishedEvent>& published);

}  // namespace saldo::testing
