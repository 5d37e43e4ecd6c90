// A ledger as servers fill it, and `saldo verify` on it.
#pragma once

#include <csignal>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "common/devstack/child_process.h"
#include "common/devstack/files.h"
#include "server/accounts/aggregation/aggregation.h"
#include "server/jobs/sequencer.h"
#include "tests/server/accounts/writing/ledger_fixture.h"
#include "tests/support/test_env.h"

namespace saldo::cli::verify {

struct Outcome {
  int code;
  std::string text;

  bool Has(const std::string& part) const { return text.find(part) != std::string::npos; }
};

inline std::unique_ptr<devstack::ChildProcess> StartVerify(const std::string& log_file,
                                                           std::vector<std::string> arguments) {
  devstack::ChildOptions options;
  options.argv = {*devstack::SiblingProgram("saldo"), "verify"};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  options.log_file = log_file;
  auto child = devstack::ChildProcess::Start(std::move(options));
  if (!child.ok()) throw std::runtime_error(child.status().ToString());
  return *std::move(child);
}

inline Outcome Verify(std::vector<std::string> arguments) {
  testing::TempDir dir;
  const auto ended = StartVerify(dir.File("log"), std::move(arguments))->Wait(absl::Seconds(120));
  if (!ended.ok() || ended->signal != 0) throw std::runtime_error("saldo verify did not end");
  return {ended->code, *devstack::ReadFile(dir.File("log"))};
}

struct TestLedger : accounts::LedgerDatabase {
  // Its days begin at 4 or 5 o'clock UTC.
  TestLedger() { database.Query("UPDATE ledger SET time_zone = 'America/New_York'"); }

  std::string dsn() const { return database.dsn(); }
  std::string Query(const std::string& sql) const { return database.Query(sql); }
  std::string dsn_option() const { return "--postgres.dsn=" + dsn(); }
  Outcome Check(std::vector<std::string> arguments = {}) const {
    arguments.push_back(dsn_option());
    return Verify(std::move(arguments));
  }

  static v1::NewEvent At(v1::NewEvent event, int64_t unix_seconds) {
    event.mutable_occurred_at()->set_seconds(unix_seconds);
    return event;
  }

  // 30 requests, all but the first in common batches, of events from 2024-11-02 on, an hour and a
  // bit apart. Every third one is balanced.
  void Write(const std::string& prefix) {
    absl::BlockingCounter left(30);
    bool good = true;
    for (int i = 0; i < 30; ++i) {
      const int64_t at = 1730520000 + i * 4000;
      const int client = clients[static_cast<size_t>(i) % clients.size()];
      std::vector<v1::NewEvent> events = {
          At(accounts::Event("wallet", client, absl::StrCat(i % 7 + 1, ".5")), at),
          At(accounts::Event("fee", client, absl::StrCat("-", i % 7 + 1, ".5")), at)};
      auto request = accounts::Request(absl::StrCat(prefix, i), std::move(events));
      request.set_balanced(i % 3 == 0);
      const auto answered = [&](const absl::StatusOr<accounts::Written>& written) {
        if (!written.ok()) good = false;
        left.DecrementCount();
      };
      // The first is a batch of its own, whatever the pace of the others.
      if (i == 0) {
        answered(writer.Write(request));
      } else {
        writer.Submit(request, answered);
      }
    }
    left.Wait();
    if (!good) throw std::runtime_error("a request was not accepted");
  }
  void WriteOne(const std::string& id) {
    const auto written = writer.Write(accounts::Request(id, {accounts::Event("wallet", 9, "1")}));
    if (!written.ok()) throw std::runtime_error(written.status().ToString());
  }

  void Sequence() {
    metrics::Registry registry;
    jobs::Sequencer sequencer({.poll_interval = absl::Milliseconds(1)},
                              postgres::ConnectionOptions{.dsn = dsn()}, registry);
    if (!sequencer.Start().ok() || !testing::Eventually(absl::Seconds(30), [&] {
          return Query(
                     "SELECT count(*) FROM batches AS b WHERE NOT EXISTS (SELECT FROM "
                     "sequenced_batches AS s WHERE s.batch_id = b.batch_id)") == "0";
        })) {
      throw std::runtime_error("the sequencer does not catch up");
    }
  }
  void Aggregate() {
    metrics::Registry registry;
    accounts::Aggregation aggregation({}, writer.pool, registry);
    while (true) {
      const absl::StatusOr<bool> more = aggregation.RunOnce();
      if (!more.ok()) throw std::runtime_error(more.status().ToString());
      if (!*more) return;
    }
  }

  // Batches in every state: in the turnovers, sequenced only, and neither.
  void Fill() {
    Write("a");
    WriteOne("first");
    WriteOne("second");
    WriteOne("third");
    Sequence();
    Aggregate();
    Write("b");
    Sequence();
    Write("c");
  }

  std::vector<int> clients = {0, 1, 2, 3};
  accounts::TestWriter writer{dsn()};
};

}  // namespace saldo::cli::verify
