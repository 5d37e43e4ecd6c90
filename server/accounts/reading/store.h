// The SQL of balances, turnovers and lists of events. Each function is one statement, and so one
// snapshot, in one round trip.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "common/base/call_context.h"
#include "common/base/decimal.h"
#include "common/postgres/pool.h"
#include "saldo/v1/account_service.pb.h"
#include "server/accounts/reading/selection.h"

namespace saldo::accounts {

// Plans of a connection are kept and contain every partition of every type, each of which is locked
// by each execution. With more types than these, plans are made anew each time, for one type.
inline constexpr size_t kTypesOfKeptPlansMax = 10;

class ReadingStore {
 public:
  // `pool` outlives the store.
  explicit ReadingStore(postgres::Pool& pool) : pool_(pool) {}

  // What all questions have in common.
  struct Scope {
    int32_t type_id;
    bool keep_plans;  // see kTypesOfKeptPlansMax
    std::vector<AttributeFilter> filter;
  };

  // When the days begin in the ledger's time zone. NOT_FOUND before any server was started.
  absl::StatusOr<std::vector<absl::Time>> DayStarts(const CallContext& context,
                                                    const std::vector<absl::CivilDay>& days);

  // The sums of all events of one subaccount before a moment.
  struct SumsBefore {
    size_t account;  // index into the keys
    size_t moment;   // index into the moments
    std::string attributes;
    Sums sums;
    // The moment lies inside a day of which events may have been dropped: the sums are wrong, while
    // those at the start of this day and of the next are answered.
    bool dropped;
    absl::Time day_start;
    absl::Time next_day_start;
  };
  // Of all subaccounts of these accounts that there are.
  absl::StatusOr<std::vector<SumsBefore>> ReadSums(const CallContext& context, const Scope& scope,
                                                   const std::vector<std::string>& keys,
                                                   const std::vector<absl::Time>& moments);

  // The turnover of one subaccount in one period.
  struct PeriodSums {
    std::string day;  // the period's first
    std::string attributes;
    Sums sums;
  };
  // Of the periods that begin in [from, to), in no order, and perhaps in two parts each.
  absl::StatusOr<std::vector<PeriodSums>> ReadTurnovers(const CallContext& context,
                                                        const Scope& scope, const std::string& key,
                                                        v1::Period period, absl::CivilDay from,
                                                        absl::CivilDay to);

  struct ListedEvent {
    int64_t batch_id;
    int32_t ordinal;
    int64_t subaccount_id;
    std::string attributes;
    bool is_credit;
    Decimal amount;
    absl::Time occurred_at;
    std::optional<Decimal> balance_after;
    std::string info;
  };
  struct EventRange {
    absl::Time from;
    absl::Time to;
    bool descending;
    // Begin after this event, which need not be there.
    absl::Time after_occurred_at;
    int64_t after_batch_id;
    int32_t after_ordinal;
    int64_t limit;
  };
  struct EventList {
    // Events that occurred from here on are all kept.
    absl::Time complete_from;
    std::vector<ListedEvent> events;
  };
  // By occurred_at, batch_id and ordinal.
  absl::StatusOr<EventList> ReadEvents(const CallContext& context, const Scope& scope,
                                       const std::string& key, const EventRange& range);

 private:
  absl::StatusOr<postgres::Result> Read(const CallContext& context, const Scope& scope,
                                        const postgres::Statement& statement,
                                        const postgres::Params& params);

  postgres::Pool& pool_;
};

}  // namespace saldo::accounts
