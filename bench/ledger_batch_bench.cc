// WriteEvents with a thousand events a request, against COPY of the same rows into the same tables;
// and with one event from one caller, against one plain transaction with the same rows.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/substitute.h"
#include "absl/time/clock.h"
#include "bench/cpu_usage.h"
#include "bench/harness.h"
#include "bench/ledger.h"
#include "bench/stack.h"
#include "bench/subjects.h"
#include "bench/unary_load.h"
#include "common/base/call_context.h"
#include "common/base/decimal.h"
#include "common/base/status_macros.h"
#include "common/postgres/connection.h"
#include "common/postgres/transaction.h"

namespace saldo::bench {
namespace {

using postgres::Statement;

constexpr const char* kDatabase = "ledger_batch";
constexpr int kEvents = 1000;  // of a request
// Enough that the writer always has a group waiting while it commits one.
constexpr int kCallers = 8;
constexpr int64_t kAccounts = 100'000;
// Made ahead, as the files for COPY are.
constexpr int kBodies = 64;
constexpr absl::Duration kTimeout = absl::Minutes(2);

// $0: how many batches. Those of the source are the last ones with exactly the wanted events.
constexpr const char* kSource =
    "CREATE TABLE source AS SELECT row_number() OVER (ORDER BY batch_id) AS n, batch_id "
    "FROM (SELECT batch_id FROM batches WHERE messages = $1 ORDER BY batch_id DESC LIMIT $0) AS b";
// Copies of the source's batches under new ids, a file each and table. $0: the folder; $1: the
// last id in use; the same columns and sizes, as of now.
constexpr const char* kDump = R"(DO $$do$$ DECLARE b source; BEGIN
  FOR b IN SELECT * FROM source LOOP
    EXECUTE format('COPY (SELECT $1::bigint + %s, clock_timestamp(), messages, message_bytes FROM batches '
      'WHERE batch_id = %s) TO ''$0/batches_%s'' (FORMAT binary)', b.n, b.batch_id, b.n);
    EXECUTE format('COPY (SELECT $1::bigint + %s, ordinal, subaccount_id, clock_timestamp(), type_id, '
      'is_credit, is_balanced, amount, balance_after, info FROM events WHERE batch_id = %s '
      'ORDER BY ordinal) TO ''$0/events_%s'' (FORMAT binary)', b.n, b.batch_id, b.n);
    EXECUTE format('COPY (SELECT $1::bigint + %s, ordinal, topic, key, payload, type, traceparent FROM '
      'outbox WHERE batch_id = %s ORDER BY ordinal) TO ''$0/outbox_%s'' (FORMAT binary)',
      b.n, b.batch_id, b.n);
  END LOOP; PERFORM setval('batch_id_seq', $1 + (SELECT max(n) FROM source)); END $$do$$)";
// One batch, in one round trip and without a client that has to send the rows: COPY at its best.
constexpr const char* kCopy =
    "BEGIN;"
    "COPY batches (batch_id, created_at, messages, message_bytes) FROM '$0/batches_$1' (FORMAT "
    "binary);"
    "COPY events (batch_id, ordinal, subaccount_id, occurred_at, type_id, is_credit, is_balanced, "
    "amount, balance_after, info) FROM '$0/events_$1' (FORMAT binary);"
    "COPY outbox (batch_id, ordinal, topic, key, payload, type, traceparent) FROM '$0/outbox_$1' "
    "(FORMAT binary);"
    "COMMIT";

// The plain transaction: what has to be read, and then one row a table.
constexpr Statement kLockBalance{
    "bench.lock_balance",
    "SELECT b.account_id, s.subaccount_id, b.balance, a.type_id FROM account_balances AS b JOIN "
    "accounts AS a USING (account_id) JOIN subaccounts AS s USING (account_id) "
    "WHERE b.account_id = $1 FOR UPDATE OF b"};
constexpr Statement kFindRequest{"bench.find_request",
                                 "SELECT batch_id FROM write_requests WHERE request_id = $1"};
constexpr Statement kTakeId{"bench.take_id", "SELECT nextval('batch_id_seq')"};
constexpr Statement kSetBalance{"bench.set_balance",
                                "UPDATE account_balances SET balance = $2 WHERE account_id = $1"};
constexpr Statement kInsertRequest{
    "bench.insert_request",
    "INSERT INTO write_requests (batch_id, first_ordinal, events, epoch, fingerprint, request_id) "
    "VALUES ($1, 1, 1, 1, $2, $3)"};
constexpr Statement kInsertEvent{
    "bench.insert_event",
    "INSERT INTO events (batch_id, ordinal, subaccount_id, occurred_at, type_id, is_credit, "
    "is_balanced, amount, balance_after) VALUES ($1, 1, $2, $3, $4, true, false, $5, $6)"};
constexpr Statement kInsertBatch{
    "bench.insert_batch",
    "INSERT INTO batches (batch_id, messages, message_bytes) VALUES ($1, 1, $2)"};
constexpr Statement kInsertMessage{
    "bench.insert_message",
    "INSERT INTO outbox (batch_id, ordinal, topic, key, payload, type, traceparent) "
    "VALUES ($1, 1, $2, $3, $4, $5, $6)"};
constexpr Statement kSample{
    "bench.sample",
    "SELECT b.account_id, o.topic, o.key, o.payload, o.type, coalesce(o.traceparent, '') "
    "FROM account_balances AS b, (SELECT * FROM outbox ORDER BY batch_id DESC LIMIT 1) AS o "
    "LIMIT 1"};

// What a lone event's transaction writes besides ids.
struct Sample {
  int64_t account;
  std::string topic, key, payload, type, traceparent;
};

grpc::Slice Bytes(const google::protobuf::Message& message) {
  return grpc::Slice(message.SerializeAsString());
}

// A message may be sent in parts, which the reader merges: the id is new each time, and the events
// are not serialised anew.
grpc::ByteBuffer RequestOf(const std::string& id, const grpc::Slice& events) {
  v1::WriteEventsRequest head;
  head.set_request_id(id);
  const grpc::Slice parts[] = {Bytes(head), events};
  return grpc::ByteBuffer(parts, 2);
}

class LedgerBatchBench {
 public:
  explicit LedgerBatchBench(const Context& context)
      : context_(context),
        stack_(context.stack),
        time_(absl::Seconds(context.quick ? 1 : 5)),
        pairs_(context.quick ? 2 : 3),
        copies_(context.quick ? 20 : 150) {}

  absl::Status Run(Report& report) {
    SALDO_RETURN_IF_ERROR(stack_.CreateDatabase(kDatabase));
    SALDO_ASSIGN_OR_RETURN(server_, StartLedger(stack_, kDatabase));
    SALDO_ASSIGN_OR_RETURN(connection_, stack_.Connect(kDatabase));
    SALDO_RETURN_IF_ERROR(Batches(report));
    SALDO_RETURN_IF_ERROR(Lone(report));
    SALDO_RETURN_IF_ERROR(server_.Stop());
    connection_.reset();
    return stack_.postgres().DropDatabase(kDatabase);
  }

 private:
  absl::Status Batches(Report& report) {
    MakeBodies();
    SALDO_RETURN_IF_ERROR(MakeAccounts());
    // One caller: a batch is then one request.
    SALDO_RETURN_IF_ERROR(Write("write 1,000 by one caller", 1).status());
    SALDO_RETURN_IF_ERROR(PrepareSource());
    SALDO_ASSIGN_OR_RETURN(const Pairs pairs,
                           MeasurePairs(
                               pairs_, [this](int) { return Write("write 1,000", kCallers); },
                               [this](int) { return Copy(); }));
    report.Set("write_batch_vs_copy", pairs.MedianRatio(), "pairs " + pairs.Ratios());
    report.Set("write_batch_events_per_s", Median(pairs.a),
               absl::StrCat(kEvents, " events a request, ", kCallers, " callers"));
    report.Set("copy_events_per_s", Median(pairs.b), "from files on the server, one connection");
    return absl::OkStatus();
  }

  void MakeBodies() {
    uint64_t number = 0;
    for (int i = 0; i < kBodies; ++i) {
      v1::WriteEventsRequest request;
      for (int e = 0; e < kEvents; ++e) {
        const uint64_t client = Scramble(++number) % static_cast<uint64_t>(kAccounts);
        *request.add_events() = BenchEvent(kFee, static_cast<int64_t>(client));
      }
      bodies_.push_back(Bytes(request));
    }
  }

  // So that what is measured are events on accounts that exist.
  absl::Status MakeAccounts() {
    absl::Status status;
    for (int i = 0; i < kBodies && status.ok(); ++i) {
      UnaryLoad load = LoadOf("make", 1);
      load.warm_up = absl::ZeroDuration();
      load.time = absl::ZeroDuration();
      load.request = [this, i](int64_t number) {
        return RequestOf(absl::StrCat("make-", i, "-", number), bodies_[static_cast<size_t>(i)]);
      };
      status = RunLoad(context_, load).status();
    }
    return status;
  }

  UnaryLoad LoadOf(const std::string& name, int callers) {
    const std::string run = absl::StrCat(name, ++runs_);
    return {.port = server_.grpc_port,
            .method = kWriteMethod,
            .callers = callers,
            .request =
                [this, run](int64_t number) {
                  return RequestOf(absl::StrCat(run, "-", number),
                                   bodies_[static_cast<size_t>(number % kBodies)]);
                },
            .warm_up = absl::Seconds(context_.quick ? 0.5 : 1),
            .time = time_};
  }

  absl::StatusOr<double> Write(const std::string& name, int callers) {
    const CpuTimes before = Cpu();
    const absl::Time begin = absl::Now();
    SALDO_ASSIGN_OR_RETURN(const LoadResult result, RunLoad(context_, LoadOf("run", callers)));
    const double rate = result.per_second * kEvents;
    Say(absl::StrFormat("ledger: %s %.0f events/s, p50 %.1f ms", name, rate,
                        Percentile(result.answer_ms, 50)));
    Tell(before, begin);
    return rate;
  }

  absl::Status PrepareSource() {
    SALDO_ASSIGN_OR_RETURN(folder_, stack_.postgres().Query(kDatabase, "SHOW data_directory"));
    SALDO_RETURN_IF_ERROR(Script(absl::Substitute(kSource, copies_, kEvents)));
    SALDO_ASSIGN_OR_RETURN(const int64_t there, Number("SELECT count(*) FROM source"));
    if (there != copies_) return absl::InternalError("there are too few batches to copy");
    return absl::OkStatus();
  }

  absl::StatusOr<double> Copy() {
    SALDO_ASSIGN_OR_RETURN(const int64_t used, Number("SELECT last_value FROM batch_id_seq"));
    SALDO_RETURN_IF_ERROR(Script(absl::Substitute(kDump, folder_, used)));
    const CpuTimes before = Cpu();
    const absl::Time begin = absl::Now();
    for (int i = 1; i <= copies_; ++i) {
      SALDO_RETURN_IF_ERROR(Wait(context_, absl::ZeroDuration()));
      SALDO_RETURN_IF_ERROR(Script(absl::Substitute(kCopy, folder_, i)));
    }
    const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
    Tell(before, begin);
    const double rate = static_cast<double>(copies_) * kEvents / seconds;
    Say(absl::StrFormat("ledger: copy %.0f events/s", rate));
    SALDO_ASSIGN_OR_RETURN(
        const int64_t rows,
        Number(absl::StrCat("SELECT count(*) FROM events AS e JOIN outbox USING (batch_id, "
                            "ordinal) JOIN batches USING (batch_id) WHERE batch_id > ",
                            used)));
    if (rows != int64_t{copies_} * kEvents) return absl::InternalError("not all was copied");
    return rate;
  }

  absl::Status Lone(Report& report) {
    // The account exists, and there is a message to take the sizes from.
    SALDO_RETURN_IF_ERROR(LoneCall().status());
    SALDO_ASSIGN_OR_RETURN(const Sample sample, TakeSample());
    SALDO_ASSIGN_OR_RETURN(const Pairs pairs, MeasurePairs(
                                                  pairs_, [this](int) { return LoneCall(); },
                                                  [&](int) { return LoneSql(sample); }));
    report.Set("write_lone_vs_sql", pairs.MedianRatio(), "pairs " + pairs.Ratios());
    report.Set("write_lone_ms_p50", Median(pairs.a));
    report.Set("sql_lone_ms_p50", Median(pairs.b), "the same rows, two round trips");
    return absl::OkStatus();
  }

  absl::StatusOr<double> LoneCall() {
    v1::WriteEventsRequest request;
    *request.add_events() = BenchEvent(kWallet, 1);
    const grpc::Slice event = Bytes(request);
    UnaryLoad load = LoadOf("lone", 1);
    const std::string run = absl::StrCat("lone", runs_);
    load.request = [&](int64_t number) { return RequestOf(absl::StrCat(run, "-", number), event); };
    SALDO_ASSIGN_OR_RETURN(const LoadResult result, RunLoad(context_, load));
    const double p50 = Percentile(result.answer_ms, 50);
    Say(absl::StrFormat("ledger: lone caller %.2f ms", p50));
    return p50;
  }

  absl::StatusOr<Sample> TakeSample() {
    SALDO_ASSIGN_OR_RETURN(postgres::Result result,
                           connection_->Query(CallContext::WithTimeout(kTimeout), kSample));
    SALDO_ASSIGN_OR_RETURN(auto row, (std::move(result)
                                          .One<int64_t, std::string, std::string_view,
                                               std::string_view, std::string, std::string>()));
    auto& [account, topic, key, payload, type, traceparent] = row;
    return Sample{account, topic, std::string(key), std::string(payload), type, traceparent};
  }

  absl::StatusOr<double> LoneSql(const Sample& sample) {
    std::vector<double> samples;
    const std::string run = absl::StrCat("sql", ++runs_);
    const absl::Time end = absl::Now() + time_;
    for (int number = 0; absl::Now() < end; ++number) {
      SALDO_RETURN_IF_ERROR(Wait(context_, absl::ZeroDuration()));
      const absl::Time begin = absl::Now();
      SALDO_RETURN_IF_ERROR(LoneTransaction(sample, absl::StrCat(run, "-", number)));
      samples.push_back(absl::ToDoubleMilliseconds(absl::Now() - begin));
    }
    if (samples.empty()) return absl::InternalError("a run measured nothing");
    const double p50 = Percentile(samples, 50);
    Say(absl::StrFormat("ledger: lone sql %.2f ms", p50));
    return p50;
  }

  absl::Status LoneTransaction(const Sample& sample, const std::string& request_id) {
    return postgres::RunTransaction(
        *connection_, CallContext::WithTimeout(kTimeout), {.name = "bench.lone"},
        [&](postgres::Transaction& tx) -> absl::Status {
          SALDO_RETURN_IF_ERROR(tx.Defer(kLockBalance, sample.account));
          SALDO_RETURN_IF_ERROR(tx.Defer(kFindRequest, request_id));
          SALDO_RETURN_IF_ERROR(tx.Defer(kTakeId));
          SALDO_ASSIGN_OR_RETURN(std::vector<postgres::Result> results, tx.Send());
          SALDO_ASSIGN_OR_RETURN(const auto account,
                                 (std::move(results[0]).One<int64_t, int64_t, Decimal, int32_t>()));
          SALDO_ASSIGN_OR_RETURN(const auto id, std::move(results[2]).One<int64_t>());
          const auto& [account_id, subaccount, balance, type] = account;
          const int64_t batch = std::get<0>(id);
          SALDO_ASSIGN_OR_RETURN(const Decimal amount, Decimal::Parse("12.50"));
          Decimal after;
          if (!Decimal::Add(balance, amount, &after)) return absl::OutOfRangeError("balance");
          SALDO_RETURN_IF_ERROR(tx.Defer(kSetBalance, account_id, after));
          SALDO_RETURN_IF_ERROR(
              tx.Defer(kInsertRequest, batch, postgres::Bytes{"0123456789abcdef"}, request_id));
          SALDO_RETURN_IF_ERROR(
              tx.Defer(kInsertEvent, batch, subaccount, absl::Now(), type, amount, after));
          SALDO_RETURN_IF_ERROR(
              tx.Defer(kInsertBatch, batch, static_cast<int64_t>(sample.payload.size())));
          return tx.Defer(kInsertMessage, batch, sample.topic, postgres::Bytes{sample.key},
                          postgres::Bytes{sample.payload}, sample.type, sample.traceparent);
        });
  }

  absl::Status Script(const std::string& sql) {
    return connection_->ExecuteScript(CallContext::WithTimeout(kTimeout), sql);
  }

  absl::StatusOr<int64_t> Number(const std::string& sql) {
    SALDO_ASSIGN_OR_RETURN(const std::string text, stack_.postgres().Query(kDatabase, sql));
    int64_t number = 0;
    if (!absl::SimpleAtoi(text, &number)) return absl::InternalError("no number: " + text);
    return number;
  }

  CpuTimes Cpu() {
    CpuTimes times = ServerCpu(stack_);
    AddThreads("server", server_.child->pid(), &times);
    return times;
  }

  void Tell(const CpuTimes& before, absl::Time begin) {
    if (!context_.verbose) return;
    const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
    absl::FPrintF(stderr, "%s", CpuTable(before, Cpu(), seconds));
  }

  const Context& context_;
  Stack& stack_;
  const absl::Duration time_;
  const int pairs_;
  const int copies_;
  Program server_;
  std::unique_ptr<postgres::Connection> connection_;
  std::vector<grpc::Slice> bodies_;
  std::string folder_;  // of the database server, where it may write and read files
  int runs_ = 0;
};

}  // namespace

Benchmark LedgerBatch() {
  return {.figures = {{"write_batch_vs_copy", "ratio", AtLeast(0.6)},
                      {"write_batch_events_per_s", "1/s"},
                      {"copy_events_per_s", "1/s"},
                      {"write_lone_vs_sql", "ratio", AtMost(1.5)},
                      {"write_lone_ms_p50", "ms"},
                      {"sql_lone_ms_p50", "ms"}},
          .run = [](const Context& context, Report& report) {
            return LedgerBatchBench(context).Run(report);
          }};
}

}  // namespace saldo::bench
