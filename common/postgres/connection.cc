#include "common/postgres/connection.h"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/base/status_macros.h"
#include "common/observability/log.h"
#include "common/observability/trace.h"
#include "common/postgres/error.h"
#include "common/postgres/statement_metrics.h"

namespace saldo::postgres {
namespace {

// How long a cancelled statement may take to answer before the connection is given up.
constexpr absl::Duration kCancelGrace = absl::Seconds(1);
// How long asking for that may take.
constexpr absl::Duration kCancelTimeout = absl::Seconds(1);
// How often a wait looks whether its caller has cancelled.
constexpr absl::Duration kCancelCheck = absl::Milliseconds(20);
constexpr int kBinary = 1;

// A process id alone may by now be another session's, also one of another server behind the same
// name.
constexpr Statement kCancelSession{"postgres.cancel",
                                   "SELECT pg_cancel_backend(pid) FROM pg_stat_get_activity($1) "
                                   "WHERE backend_start = $2"};
constexpr Statement kSetScriptTimeout{"postgres.set_script_timeout",
                                      "SELECT set_config('statement_timeout', $1, $2)"};
constexpr Statement kSetTimeout{"postgres.set_timeout",
                                "SELECT set_config('statement_timeout', $1, false)"};

// The cumulative statistics are discarded, and get a new date, whenever the server recovers from a
// crash.
constexpr Statement kIdentity{"postgres.identity",
                              "SELECT (SELECT stats_reset FROM pg_stat_wal), pid, backend_start "
                              "FROM pg_stat_get_activity(pg_backend_pid())"};

constexpr const char* kIndexPlansOnly =
    " -c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_bitmapscan=off"
    " -c enable_hashjoin=off -c enable_mergejoin=off";

void LogNotice(void*, const PGresult* result) {
  const char* severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
  const char* message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  const auto level = severity != nullptr && std::string_view(severity) == "WARNING"
                         ? log::Level::kWarning
                         : log::Level::kDebug;
  if (log::Enabled(level)) {
    log::Write(level, "notice from PostgreSQL",
               {{"severity", severity ? severity : ""}, {"notice", message ? message : ""}});
  }
}

std::string Field(const PGresult* result, int code) {
  const char* value = PQresultErrorField(result, code);
  return value == nullptr ? std::string() : std::string(value);
}

// Steps, so that callers with like deadlines share a session's setting and it is seldom sent;
// always rounded up, for the exact deadline is kept on this side.
absl::Duration TimeoutStep(absl::Duration remaining, absl::Duration limit) {
  constexpr int64_t kStepsMs[] = {50,   100,   250,   500,   1000,  2500,
                                  5000, 10000, 20000, 30000, 60000, 300000};
  for (const int64_t step_ms : kStepsMs) {
    if (remaining <= absl::Milliseconds(step_ms))
      return std::min(absl::Milliseconds(step_ms), limit);
  }
  return limit;
}

int PollMillis(absl::Duration wait) {
  return static_cast<int>(std::clamp<int64_t>(absl::ToInt64Milliseconds(wait) + 1, 0, 60'000));
}

}  // namespace

struct Connection::Flight {
  std::vector<Result> results;
  absl::Status error;
  absl::Time mark = absl::Now();  // when the statement now running on the server began
};

Connection::Connection(pg_conn* connection, const ConnectionOptions& options,
                       StatementMetrics* metrics)
    : connection_(connection),
      options_(options),
      metrics_(metrics),
      opened_at_(absl::Now()),
      session_timeout_(options.statement_timeout) {}

Connection::~Connection() { PQfinish(connection_); }

namespace {

// libpq says what is wrong with a connection string by quoting it, password and all.
absl::Status CheckDsn(const std::string& dsn) {
  const bool is_list = dsn.find('=') != std::string::npos || dsn.rfind("postgres://", 0) == 0 ||
                       dsn.rfind("postgresql://", 0) == 0;
  if (!is_list) return absl::OkStatus();  // the name of a database
  char* fault = nullptr;
  PQconninfoOption* const options = PQconninfoParse(dsn.c_str(), &fault);
  const bool valid = options != nullptr;
  PQconninfoFree(options);
  PQfreemem(fault);
  if (valid) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "the connection string of PostgreSQL cannot be read; what is wrong is not shown, for it may "
      "hold the password");
}

}  // namespace

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const ConnectionOptions& options,
                                                             const CallContext& context,
                                                             StatementMetrics* metrics) {
  SALDO_RETURN_IF_ERROR(CheckDsn(options.dsn));
  return OpenAt(options, /*beside=*/nullptr, context, metrics);
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::OpenAt(const ConnectionOptions& options,
                                                               const Connection* beside,
                                                               const CallContext& context,
                                                               StatementMetrics* metrics) {
  const std::string session_options =
      absl::StrCat("-c statement_timeout=", absl::ToInt64Milliseconds(options.statement_timeout),
                   " -c idle_in_transaction_session_timeout=",
                   absl::ToInt64Milliseconds(options.idle_in_transaction_timeout),
                   // A client that is gone must not keep its query running and its locks held.
                   " -c client_connection_check_interval=2000 -c TimeZone=UTC"
                   // Our statements are short. Compiling one that the planner, without statistics
                   // of a new partition, takes for long costs more than running it.
                   " -c jit=off",
                   options.index_plans_only ? kIndexPlansOnly : "");
  const std::string user_timeout_ms =
      absl::StrCat(absl::ToInt64Milliseconds(options.connect_timeout));
  std::vector<const char*> keywords = {"dbname",  "application_name", "client_encoding",
                                       "options", "keepalives_idle",  "tcp_user_timeout"};
  std::vector<const char*> values = {options.dsn.c_str(),
                                     options.application_name.c_str(),
                                     "UTF8",
                                     session_options.c_str(),
                                     "30",
                                     user_timeout_ms.c_str()};
  const auto add = [&](const char* keyword, const char* value) {
    if (value == nullptr || *value == '\0') return;
    keywords.push_back(keyword);
    values.push_back(value);
  };
  if (beside != nullptr) {
    add("host", PQhost(beside->connection_));
    add("hostaddr",
        PQhostaddr(beside->connection_));  // asks no name server, whose answer may take long
    add("port", PQport(beside->connection_));
  }
  keywords.push_back(nullptr);
  values.push_back(nullptr);
  PGconn* raw = PQconnectStartParams(keywords.data(), values.data(), /*expand_dbname=*/1);
  if (raw == nullptr)
    return absl::ResourceExhaustedError("no memory for a connection to PostgreSQL");
  std::unique_ptr<Connection> connection(new Connection(raw, options, metrics));
  const CallContext connecting = context.Within(options.connect_timeout);
  SALDO_RETURN_IF_ERROR(connection->FinishConnect(connecting));
  SALDO_RETURN_IF_ERROR(connection->ReadIdentity(connecting));
  return connection;
}

absl::Status Connection::FinishConnect(const CallContext& context) {
  PQsetNoticeReceiver(connection_, &LogNotice, nullptr);
  PostgresPollingStatusType next = PGRES_POLLING_WRITING;
  while (next != PGRES_POLLING_OK) {
    if (next == PGRES_POLLING_FAILED || PQstatus(connection_) == CONNECTION_BAD) return Lost();
    if (context.cancelled())
      return absl::CancelledError("the caller cancelled while connecting to PostgreSQL");
    if (absl::Now() >= context.deadline()) return Lost("connecting took too long");
    SALDO_RETURN_IF_ERROR(WaitForSocket(next == PGRES_POLLING_WRITING, context.deadline()));
    next = PQconnectPoll(connection_);
  }
  if (PQsetnonblocking(connection_, 1) != 0 || PQenterPipelineMode(connection_) != 1) return Lost();
  return absl::OkStatus();
}

absl::Status Connection::ReadIdentity(const CallContext& context) {
  SALDO_ASSIGN_OR_RETURN(Result result, Query(context, kIdentity));
  SALDO_ASSIGN_OR_RETURN(const auto row,
                         (std::move(result).One<absl::Time, int32_t, absl::Time>()));
  std::tie(server_incarnation_, backend_pid_, backend_start_) = row;
  return absl::OkStatus();
}

absl::Status Connection::Queue(const Statement& statement, const Params& params) {
  if (outgoing_.size() >= kPipelineDepth) {
    return absl::ResourceExhaustedError(
        absl::StrCat("more than ", kPipelineDepth, " statements in one round trip"));
  }
  outgoing_.push_back({statement, params});
  return absl::OkStatus();
}

absl::StatusOr<Result> Connection::QueryParams(const CallContext& context,
                                               const Statement& statement, const Params& params) {
  SALDO_RETURN_IF_ERROR(Queue(statement, params));
  SALDO_ASSIGN_OR_RETURN(std::vector<Result> results, Flush(context));
  return std::move(results.back());
}

absl::StatusOr<std::vector<Result>> Connection::Flush(const CallContext& context) {
  const std::vector<Outgoing> outgoing = std::exchange(outgoing_, {});
  if (lost_) return Lost();
  SALDO_RETURN_IF_ERROR(context.Check());
  Flight flight;
  flight.results.reserve(outgoing.size());
  SALDO_RETURN_IF_ERROR(SendTimeoutFor(context));
  for (const Outgoing& one : outgoing) {
    if (absl::Status status = Send(one, Pending::Kind::kExecute); !status.ok()) {
      // Part of the round trip is in libpq's buffer and cannot be taken back.
      lost_ = true;
      return status;
    }
  }
  SALDO_RETURN_IF_ERROR(SendSync());
  SALDO_RETURN_IF_ERROR(Collect(context, &flight));
  if (!flight.error.ok()) {
    if (context.cancelled() && SqlState(flight.error) == "57014")
      return absl::CancelledError(flight.error.message());
    return flight.error;
  }
  return std::move(flight.results);
}

absl::Status Connection::SendTimeoutFor(const CallContext& context) {
  // Inside a transaction the setting made at its start holds; a rollback would take a new one back
  // unseen.
  if (in_transaction()) return absl::OkStatus();
  const absl::Duration wanted = TimeoutStep(context.remaining(), options_.statement_timeout);
  if (wanted == session_timeout_) return absl::OkStatus();
  SALDO_RETURN_IF_ERROR(
      Send({kSetTimeout, Params::Of(absl::StrCat(absl::ToInt64Milliseconds(wanted)))},
           Pending::Kind::kInternal));
  session_timeout_ = wanted;
  return SendSync();  // a transaction of its own, so that no later rollback undoes it
}

absl::Status Connection::Send(const Outgoing& outgoing, Pending::Kind kind) {
  const absl::Span<const Params::Slot> slots = outgoing.params.slots();
  const int count = static_cast<int>(slots.size());
  absl::InlinedVector<Oid, 8> types;
  absl::InlinedVector<const char*, 8> values;
  absl::InlinedVector<int, 8> lengths, formats;
  for (const Params::Slot& slot : slots) {
    types.push_back(static_cast<Oid>(slot.type));
    values.push_back(slot.length < 0 ? nullptr : outgoing.params.data(slot));
    lengths.push_back(std::max(slot.length, 0));
    formats.push_back(kBinary);
  }
  const std::string name(outgoing.statement.name);
  if (prepared_.insert(outgoing.statement.name).second) {
    if (PQsendPrepare(connection_, name.c_str(), std::string(outgoing.statement.sql).c_str(), count,
                      types.data()) != 1) {
      return Lost();
    }
    pending_.push_back({Pending::Kind::kPrepare, outgoing.statement});
  }
  if (PQsendQueryPrepared(connection_, name.c_str(), count, values.data(), lengths.data(),
                          formats.data(), kBinary) != 1) {
    return Lost();
  }
  pending_.push_back({kind, outgoing.statement});
  return absl::OkStatus();
}

absl::Status Connection::SendSync() {
  if (PQpipelineSync(connection_) != 1) return Lost();
  pending_.push_back({Pending::Kind::kSync, {}});
  return absl::OkStatus();
}

absl::Status Connection::Collect(const CallContext& context, Flight* flight) {
  absl::Time until = context.deadline();
  bool cancelled = false;
  // One that is still on its way would cancel the next statement.
  bool cancel_is_over = true;
  int nulls =
      0;  // libpq answers NULL after each statement; more in a row mean that we are out of step
  while (!pending_.empty()) {
    const int unsent = PQflush(connection_);
    if (unsent < 0) return Lost();
    if (PQisBusy(connection_) == 0) {
      PGresult* result = PQgetResult(connection_);
      nulls = result == nullptr ? nulls + 1 : 0;
      if (nulls > 2)
        return Lost(PQstatus(connection_) == CONNECTION_OK ? "answers are out of step" : "");
      if (result != nullptr) SALDO_RETURN_IF_ERROR(TakeResult(result, flight));
      continue;
    }
    const absl::Time now = absl::Now();
    if (!cancelled && (now >= until || context.cancelled())) {
      if (!options_.cancels) return Lost("the server did not answer in time");
      cancel_is_over = RequestCancel();
      cancelled = true;
      until = absl::Now() + kCancelGrace;
    } else if (now >= until) {
      return Lost("a cancelled statement did not answer");
    }
    SALDO_RETURN_IF_ERROR(WaitForSocket(unsent == 1, until));
    if (PQconsumeInput(connection_) != 1) return Lost();
  }
  if (!cancel_is_over) lost_ = true;
  return absl::OkStatus();
}

absl::Status Connection::TakeResult(pg_result* raw, Flight* flight) {
  Result result(raw);
  const Pending expected = pending_.front();
  const ExecStatusType status = PQresultStatus(raw);
  if (PQstatus(connection_) == CONNECTION_BAD) return Lost();
  pending_.pop_front();
  if ((status == PGRES_PIPELINE_SYNC) != (expected.kind == Pending::Kind::kSync))
    return Lost("answers are out of step");
  switch (status) {
    case PGRES_PIPELINE_SYNC:
      return absl::OkStatus();
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
      if (expected.kind == Pending::Kind::kExecute) {
        Observe(expected.statement, flight, absl::OkStatus());
        flight->results.push_back(std::move(result));
      }
      return absl::OkStatus();
    default:
      break;
  }
  // An aborted statement never ran; its Prepare, if it came along, is unknown to the server.
  if (expected.kind == Pending::Kind::kPrepare) prepared_.erase(expected.statement.name);
  if (expected.kind == Pending::Kind::kInternal) session_timeout_ = absl::ZeroDuration();
  if (status == PGRES_PIPELINE_ABORTED) return absl::OkStatus();
  const absl::Status error =
      internal::MakeStatus({.sqlstate = Field(raw, PG_DIAG_SQLSTATE),
                            .message = Field(raw, PG_DIAG_MESSAGE_PRIMARY),
                            .detail = Field(raw, PG_DIAG_MESSAGE_DETAIL),
                            .constraint = Field(raw, PG_DIAG_CONSTRAINT_NAME),
                            .statement = std::string(expected.statement.name)});
  Observe(expected.statement, flight, error);
  if (flight->error.ok()) flight->error = error;
  // A plan made before the schema changed (feature_not_supported) stays broken for this session.
  if (SqlState(error) == "0A000") lost_ = true;
  return absl::OkStatus();
}

void Connection::Observe(const Statement& statement, Flight* flight, const absl::Status& status) {
  const absl::Time start = std::exchange(flight->mark, absl::Now());
  if (metrics_ != nullptr) metrics_->Observe(statement.name, flight->mark - start, status.ok());
  if (trace::CurrentSpan() == nullptr || !trace::CurrentSpan()->sampled) return;
  trace::SpanData span;
  span.name = std::string(statement.name);
  span.kind = trace::Kind::kClient;
  span.start = start;
  span.end = flight->mark;
  span.attributes = {{"db.system.name", std::string("postgresql")},
                     {"db.namespace", std::string(PQdb(connection_))},
                     {"db.query.summary", std::string(statement.name)},
                     {"db.query.text", std::string(statement.sql)},
                     {"server.address", std::string(PQhost(connection_))}};
  if (int port = 0; absl::SimpleAtoi(PQport(connection_), &port))
    span.attributes.emplace_back("server.port", int64_t{port});
  if (!status.ok()) {
    span.attributes.emplace_back("db.response.status_code", SqlState(status));
    trace::MarkFailed(SqlState(status), &span);
  }
  trace::RecordChild(std::move(span));
}

absl::Status Connection::ExecuteScript(const CallContext& context, const std::string& sql) {
  // A script may take as long as its context says, longer than any statement of a call. PostgreSQL
  // takes at most 2^31 ms, and 0 for no limit.
  const int64_t timeout_ms =
      std::clamp<int64_t>(absl::ToInt64Milliseconds(context.remaining()), 1, 1 << 30);
  const bool local = in_transaction();
  SALDO_RETURN_IF_ERROR(
      Query(context, kSetScriptTimeout, absl::StrCat(timeout_ms), local).status());
  if (!local) session_timeout_ = absl::ZeroDuration();  // the next call sets its own
  if (lost_ || PQexitPipelineMode(connection_) != 1) return Lost();
  const auto restore = absl::MakeCleanup([this] {
    if (PQenterPipelineMode(connection_) != 1) lost_ = true;
  });
  if (PQsendQuery(connection_, sql.c_str()) != 1) return Lost();
  absl::Status first_error;
  while (true) {
    const int unsent = PQflush(connection_);
    if (unsent < 0) return Lost();
    if (PQisBusy(connection_) == 0) {
      PGresult* raw = PQgetResult(connection_);
      if (raw == nullptr) break;
      const Result result(raw);
      if (PQresultStatus(raw) == PGRES_FATAL_ERROR && first_error.ok()) {
        first_error = internal::MakeStatus({.sqlstate = Field(raw, PG_DIAG_SQLSTATE),
                                            .message = Field(raw, PG_DIAG_MESSAGE_PRIMARY),
                                            .detail = Field(raw, PG_DIAG_MESSAGE_DETAIL),
                                            .constraint = Field(raw, PG_DIAG_CONSTRAINT_NAME),
                                            .statement = ""});
      }
      continue;
    }
    if (absl::Status status = context.Check(); !status.ok()) {
      RequestCancel();
      lost_ = true;
      return status;
    }
    SALDO_RETURN_IF_ERROR(WaitForSocket(unsent == 1, context.deadline()));
    if (PQconsumeInput(connection_) != 1) return Lost();
  }
  return PQstatus(connection_) == CONNECTION_OK ? first_error : Lost();
}

absl::StatusOr<bool> Connection::WaitForNotification(absl::Duration timeout,
                                                     std::vector<std::string>* payloads) {
  const absl::Time until = absl::Now() + timeout;
  const auto take = [this, payloads] {
    bool any = false;
    while (PGnotify* notify = PQnotifies(connection_)) {
      if (payloads != nullptr) payloads->emplace_back(notify->extra);
      PQfreemem(notify);
      any = true;
    }
    return any;
  };
  while (true) {
    if (lost_ || PQconsumeInput(connection_) != 1) return Lost();
    if (take()) return true;
    const absl::Duration left = until - absl::Now();
    if (left <= absl::ZeroDuration()) return false;
    pollfd socket{PQsocket(connection_), POLLIN, 0};
    if (poll(&socket, 1, PollMillis(left)) < 0 && errno != EINTR) return Lost("poll failed");
  }
}

bool Connection::Usable() {
  if (lost_ || PQstatus(connection_) != CONNECTION_OK) return false;
  // A server that went away left an end of file, or a farewell message, to be read.
  pollfd socket{PQsocket(connection_), POLLIN, 0};
  if (poll(&socket, 1, 0) <= 0) return true;
  if (PQconsumeInput(connection_) != 1 || PQstatus(connection_) != CONNECTION_OK) lost_ = true;
  return !lost_;
}

bool Connection::in_transaction() const { return PQtransactionStatus(connection_) != PQTRANS_IDLE; }

absl::Status Connection::WaitForSocket(bool for_write, absl::Time until) {
  pollfd socket{PQsocket(connection_), static_cast<short>(for_write ? POLLIN | POLLOUT : POLLIN),
                0};
  const absl::Duration wait = std::min(until - absl::Now(), kCancelCheck);
  if (poll(&socket, 1, PollMillis(wait)) < 0 && errno != EINTR) return Lost("poll failed");
  return absl::OkStatus();
}

// Over a connection of its own: PQcancel waits without bound for a server that hangs, or for a
// proxy in front of one.
bool Connection::RequestCancel() {
  const CallContext context = CallContext::WithTimeout(kCancelTimeout);
  ConnectionOptions options = options_;
  options.cancels = false;
  const auto other = OpenAt(options, this, context, nullptr);
  const absl::Status status =
      other.ok() ? (*other)->Query(context, kCancelSession, backend_pid_, backend_start_).status()
                 : other.status();
  if (!status.ok()) log::Warning("a statement could not be cancelled", {{"reason", status}});
  return status.ok();
}

absl::Status Connection::Lost(std::string_view reason) {
  lost_ = true;
  if (!reason.empty()) return internal::ConnectionLost(reason);
  std::string message = PQerrorMessage(connection_);
  absl::StripAsciiWhitespace(&message);
  return internal::ConnectionLost(message);
}

}  // namespace saldo::postgres
