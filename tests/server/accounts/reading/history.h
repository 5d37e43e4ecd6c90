// A random history of a ledger, and the same as a list in memory.
#pragma once

#include <deque>
#include <optional>
#include <random>

#include "server/accounts/aggregation/aggregation.h"
#include "tests/server/accounts/reading/reading_test_util.h"

namespace saldo::accounts {

class History {
 public:
  static constexpr int kClients = 2;

  History(const std::string& zone, uint64_t seed)
      : database_(zone), random_(seed), first_day_(1999, 12, 1) {
    std::vector<AccountType> types;
    for (const char* name : {"wallet", "reward"})
      types.push_back(TestType(database_.AddType(name), name));
    types_ = std::make_unique<AccountTypes>(std::move(types));
    for (const auto row : absl::StrSplit(
             database_.Query("SELECT (extract(epoch FROM day_start('1999-12-01'::date + n, "
                             "time_zone)))::int8 FROM ledger, generate_series(0, 10500) AS n "
                             "ORDER BY n"),
             '\n'))
      starts_.push_back(absl::FromUnixSeconds(std::stoll(std::string(row))));
  }

  LedgerDatabase& database() { return database_; }
  const AccountTypes& types() const { return *types_; }
  const std::vector<ModelEvent>& events() const { return events_; }
  size_t Below(size_t bound) { return random_() % bound; }

  const AccountType& AnyType() { return types_->all()[Below(types_->all().size())]; }
  std::string AnyClient() { return std::to_string(Below(kClients)); }

  absl::CivilDay DayOf(absl::Time at) const {
    return first_day_ +
           (std::upper_bound(starts_.begin(), starts_.end(), at) - starts_.begin() - 1);
  }
  absl::Time StartOf(absl::CivilDay day) const { return starts_[day - first_day_]; }
  absl::CivilDay AnyDay() {
    const absl::CivilDay today = DayOf(absl::Now());
    switch (Below(6)) {
      case 0:
        return today - static_cast<int>(Below(3));
      case 1:  // clocks were changed
        return absl::CivilDay(2006, 4, 2) + static_cast<int>(Below(2));
      case 2:
        return absl::CivilDay(2006, 10, 29) + static_cast<int>(Below(2));
      case 3:
        return absl::CivilDay(absl::CivilMonth(today) - static_cast<int>(Below(30)));
      case 4:
        return absl::CivilDay(absl::CivilYear(today) - static_cast<int>(Below(25)));
      default:
        return absl::CivilDay(2000, 1, 2) + static_cast<int>(Below(9700));
    }
  }
  // Up to a day ahead; often about the start of a day, or at that of an event.
  absl::Time AnyTime() {
    const absl::Time latest =
        absl::FromUnixMicros(absl::ToUnixMicros(absl::Now())) + absl::Hours(23);
    if (Below(5) == 0 && !events_.empty())
      return events_[Below(events_.size())].at + absl::Microseconds(Below(3)) -
             absl::Microseconds(1);
    if (Below(6) == 0) return latest - absl::Minutes(Below(48 * 60));
    const absl::Time start = StartOf(AnyDay());
    const absl::Duration offsets[] = {absl::ZeroDuration(), absl::Microseconds(1),
                                      -absl::Microseconds(1),
                                      absl::Seconds(static_cast<int>(Below(90'000)))};
    return std::min(latest, start + offsets[Below(4)]);
  }

  // Something happens.
  void Step(metrics::Registry& registry) {
    switch (Below(8)) {
      case 0:
        if (open_.size() < 3) open_.push_back(Begin());
        return;
      case 1:
        if (!open_.empty()) EndOne();
        return;
      case 2:
        database_.Sequence();
        return;
      case 3:
      case 4:
        Aggregate(registry);
        return;
      default:
        open_.push_back(Begin());
        std::swap(open_.front(), open_.back());
        EndOne();
    }
  }
  // One committed batch.
  void Write() {
    Open batch = Begin();
    batch.transaction->Commit();
    Keep(batch);
  }

 private:
  struct Open {
    std::unique_ptr<OpenBatch> transaction;
    std::vector<ModelEvent> events;
  };

  Open Begin() {
    Open open;
    std::vector<TestEvent> rows;
    const size_t count = 1 + Below(6);
    for (size_t i = 0; i < count; ++i) {
      ModelEvent event{
          .type = AnyType().id,
          .client = AnyClient(),
          .product = Below(2) == 0 ? "a" : "b",
          .region = Below(2) == 0 ? "n" : "",
          .at = AnyTime(),
          .credit = Below(2) == 0,
          .amount = Decimal::FromUnits(static_cast<Decimal::Units>(1 + Below(100'000)) *
                                       10'000'000'000'000'000),
          .batch = 0,
          .ordinal = static_cast<int32_t>(i) + 1};
      rows.push_back({event.type, Subaccount(event), event.at, event.credit, event.amount});
      open.events.push_back(std::move(event));
    }
    open.transaction = std::make_unique<OpenBatch>(database_.dsn(), rows);
    for (ModelEvent& event : open.events) event.batch = open.transaction->id();
    return open;
  }
  int64_t Subaccount(const ModelEvent& event) {
    int64_t& id = subaccounts_[absl::StrCat(event.type, "/", event.client, "/", event.product, "/",
                                            event.region)];
    if (id == 0) id = database_.Subaccount(event.type, event.client, event.product, event.region);
    return id;
  }
  void EndOne() {
    if (Below(5) == 0) {
      open_.front().transaction->Rollback();
    } else {
      open_.front().transaction->Commit();
      Keep(open_.front());
    }
    open_.pop_front();
  }
  void Keep(const Open& open) {
    events_.insert(events_.end(), open.events.begin(), open.events.end());
  }
  // By one that has just been started, stops after some chunks, and takes few or many at a time.
  void Aggregate(metrics::Registry& registry) {
    Aggregation aggregation({.batch_limit = static_cast<int>(1 + Below(5)),
                             .event_limit = static_cast<int>(1 + Below(20))},
                            database_.pool(), registry);
    for (size_t runs = 1 + Below(4); runs > 0; --runs) {
      const auto more = aggregation.RunOnce();
      MustBeOk(more.status());
      if (!*more) return;
    }
  }

  LedgerDatabase database_;
  std::mt19937_64 random_;
  const absl::CivilDay first_day_;
  std::vector<absl::Time> starts_;  // of days from first_day_ on
  std::unique_ptr<AccountTypes> types_;
  std::map<std::string, int64_t> subaccounts_;
  std::deque<Open> open_;
  std::vector<ModelEvent> events_;  // that were committed
};

}  // namespace saldo::accounts
