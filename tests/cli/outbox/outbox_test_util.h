// A database with messages and dead letters.
#pragma once

#include <memory>
#include <string>

#include "common/postgres/connection.h"
#include "tests/support/migrated_database.h"

namespace saldo::cli::outbox {

struct Database : testing::MigratedDatabase {
  std::unique_ptr<postgres::Connection> connection =
      *postgres::Connection::Open({.dsn = dsn()}, Soon());

  static CallContext Soon() { return CallContext::WithTimeout(absl::Seconds(60)); }

  int64_t Number(const std::string& sql) const { return std::stoll(Query(sql)); }
  // Dead letters `from` to `to`, with these ids when they are the first ones.
  void AddDead(int from, int to, int payload_bytes = 10) const {
    Query(
        "INSERT INTO dead_letters (batch_id, ordinal, topic, key, payload, type, traceparent, "
        "message_id, created_at, attempts, error) SELECT 1000 + n, 2, 'topic', "
        "convert_to('key' || n, 'UTF8'), convert_to(repeat('p', " +
        std::to_string(payload_bytes) +
        "), 'UTF8'), 'type', CASE WHEN n % 2 = 0 THEN 'trace' || n END, '0-' || n || '-2', now(), "
        "5, 'the broker said no' FROM generate_series(" +
        std::to_string(from) + ", " + std::to_string(to) + ") AS n");
  }
};

}  // namespace saldo::cli::outbox
