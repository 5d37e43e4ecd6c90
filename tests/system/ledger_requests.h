// Random requests to a ledger of three account types.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "saldo/v1/account_service.pb.h"
#include "tests/system/ledger_history.h"

namespace saldo::testing {

// fee: no limits, with attributes. wallet: from 0 to 5,000. points: from -50 on, of one asset.
extern const char* const kLedgerTypes;  // the types file
std::map<std::string, Limits> LedgerLimits();

// A request, and what must come of it.
struct PlannedRequest {
  v1::WriteEventsRequest request;
  // What it must be answered with: a code and, with it, a reason or a field. Without
  // one it must be written, or break a limit.
  std::optional<absl::StatusCode> refusal = {};
  std::string reason = {};
  // Of a repetition: the first answer.
  std::optional<v1::WriteEventsResponse> again = {};
};

// One caller's. Of one thread.
class LedgerRequests {
 public:
  // Ids begin with `caller`.
  LedgerRequests(std::string caller, uint64_t seed) : caller_(std::move(caller)), random_(seed) {}

  PlannedRequest Next();
  // Remembers what may be repeated.
  void Acknowledged(const v1::WriteEventsRequest& request, const v1::WriteEventsResponse& answer);

  // Puts something into each of the wallets that are debited, so that all of these exist.
  static v1::WriteEventsRequest FillWallets();

 private:
  int Pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  PlannedRequest Refused();
  PlannedRequest Known(bool other_content);
  void AddFee(v1::WriteEventsRequest* request);
  void AddWallet(v1::WriteEventsRequest* request);
  void AddTransfer(v1::WriteEventsRequest* request);
  void AddPoints(v1::WriteEventsRequest* request);
  std::string Client();
  v1::NewEvent* AddEvent(v1::WriteEventsRequest* request, const std::string& type,
                         const std::string& client, const std::string& asset, v1::Side side,
                         const std::string& amount);

  const std::string caller_;
  std::mt19937_64 random_;
  int made_ = 0;
  std::vector<std::pair<v1::WriteEventsRequest, v1::WriteEventsResponse>> known_;
};

}  // namespace saldo::testing
