#include "cli/outbox/redrive.h"

#include <catch2/catch.hpp>

#include "cli/outbox/store.h"
#include "common/runtime/thread.h"
#include "server/jobs/sequencer.h"
#include "tests/cli/outbox/outbox_test_util.h"
#include "tests/support/test_env.h"

namespace saldo::cli::outbox {

TEST_CASE("dead letters go back into the outbox as one batch, under their message ids") {
  Database database;
  database.AddDead(1, 5);
  const RedriveResult result = RedriveIds(*database.connection, Database::Soon(), {4, 2, 4, 3});
  INFO(result.status.ToString());
  REQUIRE(result.status.ok());
  CHECK(result.messages == 3);
  CHECK(result.transactions == 1);
  CHECK(database.Query("SELECT batch_id, ordinal, topic, convert_from(key, 'UTF8'), "
                       "convert_from(payload, 'UTF8'), type, traceparent, message_id FROM outbox "
                       "ORDER BY ordinal") ==
        "1|1|topic|key2|pppppppppp|type|trace2|0-2-2\n"
        "1|2|topic|key3|pppppppppp|type||0-3-2\n"
        "1|3|topic|key4|pppppppppp|type|trace4|0-4-2");
  CHECK(database.Query("SELECT batch_id, messages, message_bytes FROM batches") == "1|3|42");
  CHECK(database.Query("SELECT string_agg(id::text, ',' ORDER BY id) FROM dead_letters WHERE "
                       "redriven_at IS NULL") == "1,5");

  // The sequencer gives the batch its place.
  metrics::Registry registry;
  jobs::Sequencer sequencer({}, {.dsn = database.dsn()}, registry);
  REQUIRE(sequencer.Start().ok());
  CHECK(testing::Eventually(absl::Seconds(30), [&] {
    return database.Query("SELECT seq, batch_id, messages FROM sequenced_batches") == "1|1|3";
  }));
}

TEST_CASE("ids that do not wait are named, and then nothing is sent") {
  Database database;
  database.AddDead(1, 5);
  REQUIRE(RedriveIds(*database.connection, Database::Soon(), {2}).status.ok());
  const RedriveResult refused =
      RedriveIds(*database.connection, Database::Soon(), {1, 2, 3, 77, 99});
  CHECK(refused.status.code() == absl::StatusCode::kFailedPrecondition);
  CHECK_THAT(std::string(refused.status.message()), Catch::Contains("under 2, 77, 99:"));
  CHECK(refused.messages == 0);
  CHECK(database.Query("SELECT count(*) FROM outbox") == "1");
  CHECK(database.Query("SELECT count(*) FROM dead_letters WHERE redriven_at IS NULL") == "4");

  // The same where only the transaction itself can see it.
  const absl::StatusOr<int64_t> late =
      Redrive(*database.connection, Database::Soon(), {1, 2}, /*all_or_none=*/true);
  CHECK_THAT(std::string(late.status().message()), Catch::Contains("under 2:"));
  CHECK(Redrive(*database.connection, Database::Soon(), {1, 2}, /*all_or_none=*/false).value() ==
        1);
  CHECK(Redrive(*database.connection, Database::Soon(), {1, 2}, /*all_or_none=*/false).value() ==
        0);
  CHECK(database.Query("SELECT count(*) FROM batches") == "2");  // none for nothing
}

TEST_CASE("transactions are bounded by messages and by bytes") {
  Database database;
  database.AddDead(1, 2'500);
  RedriveResult result = RedriveAll(*database.connection, Database::Soon(), 2'300);
  REQUIRE(result.status.ok());
  CHECK(result.messages == 2'300);
  CHECK(result.transactions == 3);
  CHECK(database.Query("SELECT string_agg(messages::text, ',' ORDER BY batch_id) FROM batches") ==
        "1000,1000,300");
  CHECK(database.Query("SELECT min(id) FROM dead_letters WHERE redriven_at IS NULL") == "2301");
  CHECK(database.Query("SELECT count(DISTINCT message_id) FROM outbox") == "2300");
  result = RedriveAll(*database.connection, Database::Soon(), 1'000'000);
  CHECK(result.messages == 200);
  result = RedriveAll(*database.connection, Database::Soon(), 1'000'000);
  REQUIRE(result.status.ok());
  CHECK(result.messages == 0);
  CHECK(result.transactions == 0);

  constexpr int kLarge = 900'000;
  database.AddDead(10'001, 10'040, kLarge);
  result = RedriveAll(*database.connection, Database::Soon(), 1'000'000);
  REQUIRE(result.status.ok());
  CHECK(result.messages == 40);
  CHECK(result.transactions == 3);  // 18 of them fit
  CHECK(database.Number("SELECT max(message_bytes) FROM batches") <= kRedriveBytesMax);
}

TEST_CASE("two redrives at once send each message once") {
  Database database;
  database.AddDead(1, 3'000);
  auto other = *postgres::Connection::Open({.dsn = database.dsn()}, Database::Soon());
  RedriveResult first, second;
  {
    const runtime::Thread thread("redrive",
                                 [&] { second = RedriveAll(*other, Database::Soon(), 1'000'000); });
    first = RedriveAll(*database.connection, Database::Soon(), 1'000'000);
  }
  CHECK(first.status.ok());
  CHECK(second.status.ok());
  CHECK(first.messages + second.messages == 3'000);
  CHECK(database.Query("SELECT count(*), count(DISTINCT message_id) FROM outbox") == "3000|3000");
}

// As Outbox::Append, see there.
TEST_CASE("a redrive has its xid before its batch id") {
  Database database;
  database.AddDead(1, 1);
  database.Query(
      "CREATE FUNCTION nextval(name text) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN "
      "IF pg_current_xact_id_if_assigned() IS NULL THEN RAISE 'no xid yet'; END IF; "
      "RETURN pg_catalog.nextval(name::regclass) + 100; END $$");
  CHECK(RedriveIds(*database.connection, Database::Soon(), {1}).status.ok());
  CHECK(database.Query("SELECT batch_id FROM outbox") == "101");  // it was asked
}

TEST_CASE("what was redriven stays so when a later transaction fails") {
  Database database;
  database.AddDead(1, 1'500);
  database.Query("ALTER TABLE outbox ADD CHECK (message_id <> '0-1200-2')");
  const RedriveResult result = RedriveAll(*database.connection, Database::Soon(), 1'000'000);
  CHECK_FALSE(result.status.ok());
  CHECK(result.messages == 1'000);
  CHECK(database.Query("SELECT count(*) FROM dead_letters WHERE redriven_at IS NULL") == "500");
}

}  // namespace saldo::cli::outbox
