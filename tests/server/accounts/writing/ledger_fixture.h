// A ledger of two account types in a database of its own, and writers for it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "common/observability/metrics.h"
#include "common/postgres/pool.h"
#include "server/accounts/writing/rules.h"
#include "server/accounts/writing/writer.h"
#include "server/outbox/outbox.h"
#include "tests/server/accounts/account_types.h"
#include "tests/support/migrated_database.h"

namespace saldo::accounts {

inline v1::NewEvent Event(const std::string& type, int client, const std::string& amount) {
  v1::NewEvent event;
  event.mutable_account()->set_type(type);
  (*event.mutable_account()->mutable_key())["client_id"] = std::to_string(client);
  (*event.mutable_account()->mutable_key())["currency"] = "RUB";
  if (type == "fee") {
    (*event.mutable_attributes())["product"] = "taxi";
    (*event.mutable_attributes())["region"] = "msk";
  }
  const bool debit = amount[0] == '-';
  event.set_side(debit ? v1::SIDE_DEBIT : v1::SIDE_CREDIT);
  event.set_amount(debit ? amount.substr(1) : amount);
  return event;
}

inline v1::WriteEventsRequest Request(const std::string& id, std::vector<v1::NewEvent> events) {
  v1::WriteEventsRequest request;
  request.set_request_id(id);
  for (v1::NewEvent& event : events) *request.add_events() = std::move(event);
  return request;
}

struct LedgerDatabase {
  testing::MigratedDatabase database;
  LedgerDatabase() { StoreTestTypes(database); }
  int64_t Number(const std::string& sql) const { return std::stoll(database.Query(sql)); }
};

// A server's writer.
struct TestWriter {
  explicit TestWriter(const LedgerDatabase& ledger, const WriterOptions& options = {})
      : TestWriter(ledger.database.dsn(), options) {}
  explicit TestWriter(const std::string& dsn, const WriterOptions& options = {})
      : pool({.connection = {.dsn = dsn, .index_plans_only = true}}, registry),
        writer(options, pool, outbox, registry, tracer) {
    writer.Start().IgnoreError();
  }

  // Does not wait; `done` gets the answer.
  void Submit(const v1::WriteEventsRequest& request, Writer::Done done,
              absl::Duration timeout = absl::Seconds(60)) {
    auto checked = Check(request, types, absl::Now());
    if (!checked.ok()) return done(checked.status());
    writer.Submit(*std::move(checked), CallContext::WithTimeout(timeout), {}, std::move(done));
  }
  absl::StatusOr<Written> Write(const v1::WriteEventsRequest& request) {
    absl::Notification answered;
    absl::StatusOr<Written> answer = absl::UnknownError("not answered");
    Submit(request, [&](absl::StatusOr<Written> result) {
      answer = std::move(result);
      answered.Notify();
    });
    answered.WaitForNotification();
    return answer;
  }

  std::shared_ptr<const AccountTypes> types = TestTypes();
  metrics::Registry registry;
  trace::Tracer tracer{nullptr, 0};
  postgres::Pool pool;
  outbox::Outbox outbox;
  Writer writer;
};

}  // namespace saldo::accounts
