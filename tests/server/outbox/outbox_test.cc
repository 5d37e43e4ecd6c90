#include "server/outbox/outbox.h"

#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "common/observability/metrics.h"
#include "common/observability/trace.h"
#include "common/postgres/pool.h"
#include "server/outbox/transact.h"
#include "tests/support/migrated_database.h"

namespace saldo::outbox {
namespace {

using postgres::Transaction;

CallContext Soon() { return CallContext::WithTimeout(absl::Seconds(30)); }

struct Database : testing::MigratedDatabase {
  metrics::Registry registry;
  postgres::Pool pool{{.connection = {.dsn = dsn()}, .max_connections = 2}, registry};

  absl::Status Append(const std::vector<Message>& messages) {
    return pool.Transact(Soon(), {.name = "test.append"},
                         [&](Transaction& tx) { return Outbox().Append(tx, messages); });
  }
  // Whether nothing at all was left behind.
  bool Empty() const {
    return Query("SELECT (SELECT count(*) FROM batches) + (SELECT count(*) FROM outbox)") == "0";
  }
};

Message Numbered(int n) {
  return {"topic", absl::StrCat("key", n), absl::StrCat("payload", n), "type"};
}

class IgnoringSink : public trace::Sink {
 public:
  void Take(trace::SpanData) override {}
};

}  // namespace

TEST_CASE("messages are rows of one batch, in the order given") {
  Database database;
  const std::string bytes("\0\xff\n'", 4);
  REQUIRE(database
              .Append({{"packages", "7", bytes, "package.created"},
                       {"wallets", "", "", "wallet.closed"},
                       {"packages", bytes, "second", "package.updated"}})
              .ok());
  CHECK(database.Query("SELECT batch_id, ordinal, topic, encode(key, 'hex'), encode(payload, "
                       "'hex'), type, traceparent IS NULL, message_id IS NULL FROM outbox ORDER BY "
                       "ordinal") ==
        "1|1|packages|37|00ff0a27|package.created|t|t\n"
        "1|2|wallets|||wallet.closed|t|t\n"
        "1|3|packages|00ff0a27|7365636f6e64|package.updated|t|t");
  CHECK(database.Query("SELECT batch_id, messages, message_bytes, created_at BETWEEN now() - "
                       "interval '1 minute' AND now() FROM batches") == "1|3|15|t");

  std::vector<Message> many;
  for (int i = 1; i <= 5'000; ++i) many.push_back(Numbered(i));
  REQUIRE(database.Append(many).ok());
  CHECK(database.Query("SELECT count(*), count(*) FILTER (WHERE convert_from(payload, 'UTF8') = "
                       "'payload' || ordinal), max(ordinal) FROM outbox WHERE batch_id = 2") ==
        "5000|5000|5000");
}

TEST_CASE("a batch may have no messages") {
  Database database;
  REQUIRE(database.Append({}).ok());
  CHECK(database.Query("SELECT messages, message_bytes FROM batches") == "0|0");
  CHECK(database.Query("SELECT count(*) FROM outbox") == "0");
}

TEST_CASE("messages carry the trace they were written under") {
  Database database;
  IgnoringSink sink;
  const trace::Tracer tracer(&sink, 1);
  std::string expected;
  REQUIRE(database.pool
              .Transact(Soon(), {.name = "test.append"},
                        [&](Transaction& tx) {
                          const trace::Span span(tracer, "test", trace::Kind::kServer, {});
                          expected = trace::CurrentTraceparent();
                          return Outbox().Append(tx, {{Numbered(1), Numbered(2)}});
                        })
              .ok());
  REQUIRE(expected.size() == 55);
  CHECK(database.Query("SELECT traceparent FROM outbox") == expected + "\n" + expected);
}

TEST_CASE("a message that is too large is refused, with all that its transaction did") {
  Database database;
  Message largest = Numbered(1);
  largest.payload.assign(kMaxMessageBytes - largest.key.size(), 'x');
  Message larger = largest;
  larger.key += "!";
  const absl::Status status = database.Append({Numbered(2), larger});
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK_THAT(std::string(status.message()),
             Catch::Contains("topic") && Catch::Contains(absl::StrCat(kMaxMessageBytes + 1)));
  CHECK(database.Empty());
  CHECK(database.Append({largest}).ok());
  CHECK(database.Query("SELECT message_bytes FROM batches") == absl::StrCat(kMaxMessageBytes));
}

TEST_CASE("messages are there only if their transaction commits") {
  Database database;
  constexpr postgres::Statement kNothing{"test.nothing", "SELECT 1"};
  CHECK(database.pool
            .Transact(Soon(), {.name = "test.append"},
                      [&](Transaction& tx) -> absl::Status {
                        REQUIRE(Outbox().Append(tx, {{Numbered(1)}}).ok());
                        REQUIRE(tx.Query(kNothing).ok());  // the rows are written now
                        return absl::AlreadyExistsError("a rule");
                      })
            .code() == absl::StatusCode::kAlreadyExists);
  CHECK(database.Empty());
}

// The sequencer gives up ids whose transactions are over, by their xids: one that took its xid
// after its batch id could be given up while it runs.
TEST_CASE("a transaction has its xid before its batch id") {
  Database database;
  // Is preferred to the built-in nextval(regclass) for a literal.
  database.Query(
      "CREATE FUNCTION nextval(name text) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN "
      "IF pg_current_xact_id_if_assigned() IS NULL THEN RAISE 'no xid yet'; END IF; "
      "RETURN pg_catalog.nextval(name::regclass); END $$");
  auto connection = database.pool.Acquire(Soon());
  REQUIRE(connection.ok());
  constexpr postgres::Statement kBare{"test.bare", "SELECT nextval('batch_id_seq')"};
  REQUIRE_THAT(std::string((*connection)->Query(Soon(), kBare).status().message()),
               Catch::Contains("no xid yet"));
  CHECK(database.Append({Numbered(1)}).ok());
  CHECK(database.Query("SELECT count(*) FROM outbox") == "1");
}

TEST_CASE("Transact appends, commits and reports, or does none of it") {
  Database database;
  int reported = 0;
  const Outbox outbox([&] { ++reported; });
  const auto run = [&](absl::StatusOr<std::vector<Message>> messages) {
    return Transact(database.pool, outbox, Soon(), {.name = "test.change"},
                    [&](Transaction&) { return messages; });
  };
  CHECK(run(std::vector<Message>{Numbered(1), Numbered(2)}).ok());
  CHECK(reported == 1);
  CHECK(database.Query("SELECT count(*) FROM outbox") == "2");
  CHECK(run(std::vector<Message>{}).ok());
  CHECK(run(absl::NotFoundError("a rule")).code() == absl::StatusCode::kNotFound);
  CHECK(database.Query("SELECT count(*) FROM batches") == "1");
  CHECK(reported == 1);
}

}  // namespace saldo::outbox
