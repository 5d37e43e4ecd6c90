// What requests bring besides events: accounts that are opened and closed, and parts of other
// slices.
#include "server/accounts/writing/part.h"

#include <catch2/catch.hpp>
#include <map>
#include <string>

#include "absl/synchronization/blocking_counter.h"
#include "common/base/status_macros.h"
#include "common/rpc/errors.h"
#include "server/accounts/writing/fingerprint.h"
#include "tests/server/accounts/writing/ledger_fixture.h"

namespace saldo::accounts {
namespace {

std::string Reason(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  return rpc::GetDetail(status, &info) ? info.reason() : std::string(status.message());
}

// purse{client_id, currency}: there once it was opened.
std::shared_ptr<const AccountTypes> TypesWithPurse() {
  AccountType purse = WalletType();
  purse.name = "purse";
  purse.id = 3;
  purse.opened = true;
  purse.min_balance.reset();
  purse.max_balance.reset();
  purse.topic = "purse-events";
  return std::make_shared<const AccountTypes>(
      std::vector<AccountType>{FeeType(), WalletType(), purse});
}

struct PurseLedger : LedgerDatabase {
  PurseLedger() {
    database.Query(
        "INSERT INTO account_types (name, key_attributes, auxiliary_attributes, "
        "sharding_attributes, asset_attribute, scale, keeps_balance, retention) VALUES "
        "('purse', '{client_id integer,currency string}', '{}', '{client_id}', 'currency', 2, "
        "true, '400 days'); SELECT add_event_partitions(3)");
  }
};

struct PurseWriter : TestWriter {
  explicit PurseWriter(const LedgerDatabase& ledger, const WriterOptions& options = {})
      : TestWriter(ledger, options) {
    types = TypesWithPurse();
  }
  absl::StatusOr<Written> Send(WriteRequest request) {
    absl::Notification answered;
    absl::StatusOr<Written> answer = absl::UnknownError("not answered");
    writer.Submit(std::move(request), CallContext::WithTimeout(absl::Seconds(60)), {},
                  [&](absl::StatusOr<Written> result) {
                    answer = std::move(result);
                    answered.Notify();
                  });
    answered.WaitForNotification();
    return answer;
  }
  WriteRequest Empty(const std::string& id) const {
    WriteRequest request;
    request.types = types;
    request.id = id;
    request.fingerprint = FingerprintOf(std::string_view(id));
    return request;
  }
  absl::StatusOr<Written> Open(const std::string& id, int client, const std::string& minimum) {
    WriteRequest request = Empty(id);
    request.openings.push_back(
        {types->Find("purse"), std::to_string(client) + "\x1fRUB", D(minimum)});
    return Send(std::move(request));
  }
  absl::StatusOr<Written> Close(const std::string& id, int client) {
    WriteRequest request = Empty(id);
    request.closings.push_back({types->Find("purse"), std::to_string(client) + "\x1fRUB"});
    return Send(std::move(request));
  }
};

TEST_CASE("an account that must be opened has its own limit, and takes nothing once closed") {
  const PurseLedger ledger;
  PurseWriter writer(ledger);
  CHECK(Reason(writer.Write(Request("a", {Event("purse", 1, "5")})).status()) ==
        "ACCOUNT_NOT_FOUND");
  CHECK(Reason(writer.Close("b", 1).status()) == "ACCOUNT_NOT_FOUND");
  CHECK(ledger.Number("SELECT count(*) FROM accounts") == 0);

  const auto opened = writer.Open("open", 1, "-10");
  REQUIRE(opened.ok());
  CHECK(writer.Open("open", 1, "-10")->batch_id == opened->batch_id);
  CHECK(Reason(writer.Open("again", 1, "0").status()) == "ACCOUNT_EXISTS");
  CHECK(Reason(writer.Write(Request("c", {Event("purse", 1, "-10.01")})).status()) ==
        "BALANCE_BELOW_MINIMUM");
  const auto debit = writer.Write(Request("d", {Event("purse", 1, "-10")}));
  REQUIRE(debit.ok());
  CHECK(debit->postings[0].balance_after == D("-10"));
  CHECK(Reason(writer.Close("e", 1).status()) == "ACCOUNT_NOT_EMPTY");
  REQUIRE(writer.Write(Request("f", {Event("purse", 1, "10")})).ok());

  // Another server, which learns it all from the database.
  PurseWriter other(ledger);
  CHECK(Reason(other.Write(Request("g", {Event("purse", 1, "-11")})).status()) ==
        "BALANCE_BELOW_MINIMUM");
  REQUIRE(other.Close("close", 1).ok());
  CHECK(other.Close("close again", 1).ok());
  for (PurseWriter* w : {&writer, &other})
    CHECK(Reason(w->Write(Request("h", {Event("purse", 1, "1")})).status()) == "ACCOUNT_CLOSED");
  CHECK(ledger.Number("SELECT count(*) FROM events") == 2);
  CHECK(ledger.Number("SELECT count(*) FROM account_balances WHERE closed AND balance = 0") == 1);
}

TEST_CASE("of many that open one account, one does") {
  const PurseLedger ledger;
  PurseWriter first(ledger);
  PurseWriter second(ledger);
  constexpr int kRequests = 40;
  absl::BlockingCounter answered(kRequests);
  std::atomic<int> opened{0};
  for (int i = 0; i < kRequests; ++i) {
    PurseWriter& writer = i % 2 == 0 ? first : second;
    WriteRequest request = writer.Empty("open" + std::to_string(i));
    request.openings.push_back({writer.types->Find("purse"), "7\x1fRUB", D("0")});
    writer.writer.Submit(std::move(request), CallContext::WithTimeout(absl::Seconds(60)), {},
                         [&](absl::StatusOr<Written> result) {
                           if (result.ok()) ++opened;
                           answered.DecrementCount();
                         });
  }
  answered.Wait();
  CHECK(opened == 1);
  CHECK(ledger.Number("SELECT count(*) FROM accounts") == 1);
}

// A part that keeps counters: a request sets one, if it has the value that it expects.
struct Set : Attachment {
  Set(const WritePart& its_part, std::string its_name, std::optional<int> its_expected,
      int its_value)
      : Attachment(its_part), name(std::move(its_name)), expected(its_expected), value(its_value) {}
  std::string Content() const override { return name + "=" + std::to_string(value); }
  std::string name;
  std::optional<int> expected;
  int value;
};

class CountersBatch final : public PartBatch {
 public:
  explicit CountersBatch(absl::Span<const Attachment* const> attachments) {
    for (const Attachment* a : attachments) names_.push_back(static_cast<const Set*>(a)->name);
  }
  absl::StatusOr<int> Read(postgres::Transaction& tx) override {
    static constexpr postgres::Statement kRead{
        "test.read_counters",
        "SELECT name, value FROM counters WHERE name = ANY ($1::text[]) ORDER BY name FOR UPDATE"};
    SALDO_RETURN_IF_ERROR(tx.Defer(kRead, names_));
    return 1;
  }
  absl::Status TakeResults(absl::Span<postgres::Result> results) override {
    SALDO_ASSIGN_OR_RETURN(const auto rows, (std::move(results[0]).As<std::string, int32_t>()));
    for (const auto& [name, value] : rows) values_[name] = value;
    return absl::OkStatus();
  }
  absl::StatusOr<Turn> Check(const Attachment& attachment) const override {
    const Set& set = static_cast<const Set&>(attachment);
    if (changed_.contains(set.name) && !set.expected.has_value()) return Turn::kNextBatch;
    const auto found = values_.find(set.name);
    const int value = found == values_.end() ? 0 : found->second;
    if (set.expected.has_value() && *set.expected != value)
      return absl::AbortedError("counter is " + std::to_string(value));
    return Turn::kNow;
  }
  void Accept(const Attachment& attachment, const Written&, std::string_view) override {
    const Set& set = static_cast<const Set&>(attachment);
    changed_[set.name] = values_[set.name] = set.value;
  }
  absl::Status Write(postgres::Transaction& tx, int64_t,
                     std::vector<outbox::Message>* messages) override {
    static constexpr postgres::Statement kWrite{
        "test.write_counters",
        "INSERT INTO counters (name, value) SELECT * FROM unnest($1::text[], $2::int4[]) "
        "ON CONFLICT (name) DO UPDATE SET value = excluded.value"};
    std::vector<std::string> names;
    std::vector<int32_t> values;
    for (const auto& [name, value] : changed_) {
      names.push_back(name);
      values.push_back(value);
      messages->push_back({.topic = "counters", .key = name, .payload = "x", .type = "counter"});
    }
    return tx.Defer(kWrite, names, values);
  }

 private:
  std::vector<std::string> names_;
  std::map<std::string, int> values_, changed_;
};

class CountersPart final : public WritePart {
 public:
  std::string_view name() const override { return "counters"; }
  std::unique_ptr<PartBatch> Begin(absl::Span<const Attachment* const> attachments) const override {
    return std::make_unique<CountersBatch>(attachments);
  }
};

struct CounterLedger : PurseLedger {
  CounterLedger() { database.Query("CREATE TABLE counters (name text PRIMARY KEY, value int)"); }
};

TEST_CASE("a part and the events of its request are written both or neither") {
  const CounterLedger ledger;
  PurseWriter writer(ledger);
  const CountersPart part;
  const auto request = [&](const std::string& id, const std::string& amount, int expected,
                           int value) {
    auto checked = Check(Request(id, {Event("wallet", 1, amount)}), writer.types, absl::Now());
    REQUIRE(checked.ok());
    Attach(std::make_shared<Set>(part, "a", expected, value), &*checked);
    return *std::move(checked);
  };
  const auto first = writer.Send(request("1", "5", 0, 1));
  REQUIRE(first.ok());
  // The part refuses; the account refuses.
  CHECK(writer.Send(request("2", "5", 0, 2)).status().message() == "counter is 1");
  CHECK(Reason(writer.Send(request("3", "-6", 1, 2)).status()) == "BALANCE_BELOW_MINIMUM");
  CHECK(ledger.Number("SELECT value FROM counters") == 1);
  CHECK(ledger.Number("SELECT count(*) FROM events") == 1);
  // A repeat, and another content under the same id.
  CHECK(writer.Send(request("1", "5", 0, 1))->batch_id == first->batch_id);
  CHECK(Reason(writer.Send(request("1", "5", 0, 9)).status()) == "REQUEST_ID_REUSED");
  CHECK(ledger.Number("SELECT count(*) FROM outbox") == 2);
  CHECK(ledger.Number("SELECT messages FROM batches") == 2);
}

TEST_CASE("a request without events is written, known by its id, and counts in its batch") {
  const CounterLedger ledger;
  PurseWriter writer(ledger);
  const CountersPart part;
  WriteRequest request = writer.Empty("only");
  Attach(std::make_shared<Set>(part, "a", 0, 1), &request);
  WriteRequest repeat = request;
  const auto written = writer.Send(std::move(request));
  REQUIRE(written.ok());
  CHECK(written->batch_id > 0);
  CHECK(writer.Send(std::move(repeat))->batch_id == written->batch_id);
  CHECK(ledger.Number("SELECT count(*) FROM batches") == 1);
}

TEST_CASE("many changes of one thing do not keep others from being written") {
  const CounterLedger ledger;
  // Whatever it is that fills a batch.
  constexpr int64_t kBytes = 8 * (sizeof(WriteRequest) + 6);
  const WriterOptions options =
      GENERATE(WriterOptions{.group_requests_max = 8}, WriterOptions{.group_bytes_max = kBytes});
  INFO("requests " << options.group_requests_max << ", bytes " << options.group_bytes_max);
  PurseWriter writer(ledger, options);
  const CountersPart part;
  constexpr int kRequests = 200;
  absl::BlockingCounter answered(kRequests + 1);
  std::atomic<int> set{0}, set_before{-1};
  for (int i = 1; i <= kRequests; ++i) {
    WriteRequest request = writer.Empty("set" + std::to_string(i));
    Attach(std::make_shared<Set>(part, "a", std::nullopt, i), &request);
    writer.writer.Submit(std::move(request), CallContext::WithTimeout(absl::Seconds(60)), {},
                         [&](absl::StatusOr<Written>) {
                           ++set;
                           answered.DecrementCount();
                         });
  }
  writer.Submit(Request("other", {Event("wallet", 1, "5")}), [&](absl::StatusOr<Written> result) {
    if (result.ok()) set_before = set.load();
    answered.DecrementCount();
  });
  answered.Wait();
  // It waits for those before it to have had their first turn, not for all of their batches.
  CHECK(set_before >= 0);
  CHECK(set_before < kRequests / 2);
  CHECK(ledger.Number("SELECT value FROM counters") == kRequests);
}

TEST_CASE("those that change the same one after another each get a batch") {
  const CounterLedger ledger;
  PurseWriter writer(ledger);
  const CountersPart part;
  constexpr int kRequests = 50;
  absl::BlockingCounter answered(kRequests);
  std::map<int64_t, int> per_batch;
  absl::Mutex mutex;
  for (int i = 1; i <= kRequests; ++i) {
    WriteRequest request = writer.Empty("set" + std::to_string(i));
    Attach(std::make_shared<Set>(part, "a", std::nullopt, i), &request);
    writer.writer.Submit(std::move(request), CallContext::WithTimeout(absl::Seconds(60)), {},
                         [&](absl::StatusOr<Written> result) {
                           absl::MutexLock lock(&mutex);
                           if (result.ok()) ++per_batch[result->batch_id];
                           answered.DecrementCount();
                         });
  }
  answered.Wait();
  CHECK(per_batch.size() == kRequests);
  // In the order in which they came.
  CHECK(ledger.Number("SELECT value FROM counters") == kRequests);
}

}  // namespace
}  // namespace saldo::accounts
