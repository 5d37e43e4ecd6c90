// Backup and restore as docs/operations.md describes them: a base backup, archived WAL, a restore
// to a moment, and what the ledger, the relay's cursor and the topic say afterwards.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/devstack/child_process.h"
#include "common/devstack/files.h"
#include "tests/system/event_writers.h"
#include "tests/system/stack.h"

namespace saldo::testing {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(60);
constexpr const char* kUser = "postgres";  // whose files the cluster's are, when we are root

std::string Ask(Stack& stack, const std::string& sql) {
  const auto answer = stack.postgres().Query(Stack::kDatabase, sql);
  INFO(sql << ": " << answer.status().ToString());
  REQUIRE(answer.ok());
  return *answer;
}

void GiveToServer(const std::string& path) {
  if (geteuid() == 0) REQUIRE(devstack::GiveTo(path, kUser).ok());
}

// The statement of docs/operations.md, so that what is told is what is tested.
std::string SequencesStatement() {
  const std::string page = *devstack::ReadFile(SALDO_OPERATIONS_PAGE);
  const size_t begin = page.find("SELECT seqrelid::regclass");
  REQUIRE(begin != std::string::npos);
  return page.substr(begin, page.find(';', begin) - begin);
}

// A database whose WAL is archived.
class Backups {
 public:
  explicit Backups(Stack& stack) : stack_(stack), data_(Ask(stack, "SHOW data_directory")) {
    REQUIRE(devstack::MakeFolder(File("archive")).ok());
    GiveToServer(File("archive"));
    for (const std::string& setting :
         {std::string("archive_mode = 'on'"),
          absl::StrCat("archive_command = 'cp %p ", File("archive"), "/%f'")})
      Ask(stack_, "ALTER SYSTEM SET " + setting);
    REQUIRE(stack_.postgres().Restart().ok());
  }

  void TakeBase() {
    const auto taken = devstack::RunCommand(
        {.argv = {"/usr/lib/postgresql/15/bin/pg_basebackup", "--pgdata=" + File("base"),
                  "--checkpoint=fast", "--wal-method=none", "--no-verify-checksums", "--dbname",
                  stack_.postgres().dsn("postgres")}},
        kPatience);
    INFO(taken.status().ToString());
    REQUIRE(taken.ok());
  }

  // The archive then has all that was written so far.
  void FinishArchive() {
    const std::string last = Ask(stack_, "SELECT pg_walfile_name(pg_switch_wal())");
    REQUIRE(Eventually(kPatience, [&] {
      return std::filesystem::exists(File("archive") + "/" + last) &&
             Ask(stack_, "SELECT last_archived_wal >= '" + last + "' FROM pg_stat_archiver") == "t";
    }));
  }

  // In the place of the database as it was. Its programs must be stopped.
  void Restore(const std::string& target) {
    stack_.postgres().Stop();
    std::filesystem::remove_all(data_);
    std::filesystem::rename(File("base"), data_);
    REQUIRE(devstack::WriteFile(data_ + "/recovery.signal", "").ok());
    std::ofstream(data_ + "/postgresql.auto.conf", std::ios::app)
        << "restore_command = 'cp " << File("archive") << "/%f %p'\n"
        << "recovery_target_name = '" << target << "'\n"
        << "recovery_target_action = 'promote'\n";
    GiveToServer(data_);
    std::filesystem::permissions(data_, std::filesystem::perms::owner_all);
    REQUIRE(stack_.postgres().Restart().ok());
    REQUIRE(
        Eventually(kPatience, [&] { return Ask(stack_, "SELECT pg_is_in_recovery()") == "f"; }));
  }

 private:
  // Beside the data, in the folder that is the server's.
  std::string File(const std::string& name) const {
    return std::filesystem::path(data_).parent_path() / name;
  }

  Stack& stack_;
  const std::string data_;
};

std::set<std::string> WriteSome(Stack& stack, const std::string& prefix) {
  EventWriters writers({.address = stack.server_address(), .prefix = prefix});
  const bool written = Eventually(
      kPatience, [&] { return writers.acknowledged() > 300 || !writers.surprises().empty(); });
  writers.Stop();
  REQUIRE_THAT(writers.surprises(), Catch::Equals(std::vector<std::string>()));
  REQUIRE(written);
  REQUIRE(Eventually(kPatience, [&] { return stack.Drained(); }));
  return writers.ids();
}

std::set<std::string> StoredIds(Stack& stack) {
  return absl::StrSplit(Ask(stack, "SELECT request_id FROM write_requests"), '\n',
                        absl::SkipEmpty());
}

void CheckHas(const std::set<std::string>& all, const std::set<std::string>& some,
              const char* what) {
  for (const std::string& id : some) {
    if (all.count(id) == 0) FAIL_CHECK(what << " lacks " << id);
  }
}

// What the topic tells, by message id: each id stands for one thing, however often it comes.
std::map<std::string, std::string> ReadTopic(Stack& stack) {
  std::map<std::string, std::string> requests;
  for (const TopicEvent& event : ReadEvents(stack)) {
    const auto [at, added] = requests.emplace(event.id, event.event.request_id());
    if (!added && at->second != event.event.request_id())
      FAIL_CHECK(event.id << " is of " << at->second << " and of " << event.event.request_id());
  }
  return requests;
}

// The relay's cursor came back with the ledger, and the topic has all that it has passed.
void CheckCursor(Stack& stack, const std::vector<TopicEvent>& topic) {
  std::set<std::string> on_topic;
  for (const TopicEvent& event : topic) on_topic.insert(absl::StrCat(event.event.batch_id()));
  const std::set<std::string> passed =
      absl::StrSplit(Ask(stack,
                         "SELECT batch_id FROM sequenced_batches WHERE seq <= "
                         "(SELECT seq FROM cursors WHERE consumer = 'relay')"),
                     '\n', absl::SkipEmpty());
  CHECK(passed.size() > 10);
  CheckHas(on_topic, passed, "the topic, as to the cursor,");
  CHECK(Ask(stack,
            "SELECT seq <= (SELECT last_seq FROM sequencer) FROM cursors "
            "WHERE consumer = 'relay'") == "t");
}

}  // namespace

TEST_CASE(
    "a restore to a moment: ledger, cursor and topic go on, and no id stands for two things") {
  Stack stack({.relays = 1});
  Backups backups(stack);
  const std::set<std::string> before = WriteSome(stack, "before");
  backups.TakeBase();
  const std::set<std::string> kept = WriteSome(stack, "kept");
  Ask(stack, "SELECT pg_create_restore_point('here')");
  const int64_t last_kept = std::stoll(Ask(stack, "SELECT max(batch_id) FROM batches"));
  const std::set<std::string> lost = WriteSome(stack, "lost");
  backups.FinishArchive();
  CHECK(stack.server().Stop(absl::Seconds(30)).ok());
  CHECK(stack.relay(0).Stop(absl::Seconds(30)).ok());

  backups.Restore("here");
  std::set<std::string> stored = StoredIds(stack);
  CheckHas(stored, before, "the restored ledger");
  CheckHas(stored, kept, "the restored ledger");
  for (const std::string& id : lost) CHECK(stored.count(id) == 0);
  // The topic is ahead: what comes after the restored ledger's last batch is what it has lost.
  CHECK(Ask(stack, "SELECT max(batch_id) FROM batches") == absl::StrCat(last_kept));
  const std::vector<TopicEvent> topic = ReadEvents(stack);
  std::set<std::string> ahead;
  for (const TopicEvent& event : topic) {
    if (event.event.batch_id() > last_kept) ahead.insert(event.event.request_id());
  }
  CHECK(ahead == lost);
  CheckCursor(stack, topic);

  Ask(stack, SequencesStatement());
  stack.RestartServer();
  stack.KillRelay(0);  // which only starts it: it has ended
  const std::set<std::string> after = WriteSome(stack, "after");
  // Their writers repeat them under the same request ids.
  const std::set<std::string> again = WriteSome(stack, "lost");
  const auto verified = stack.Saldo({"verify"});
  INFO(verified.status().ToString());
  CHECK(verified.ok());

  stored = StoredIds(stack);
  CheckHas(stored, after, "the ledger");
  CheckHas(stored, again, "the ledger");
  std::map<std::string, std::set<std::string>> ids_of;
  for (const auto& [id, request] : ReadTopic(stack)) ids_of[request].insert(id);
  for (const std::string& id : stored) {
    const size_t expected = lost.count(id) == 0 ? 1 : 2;
    if (ids_of[id].size() != expected)
      FAIL_CHECK(id << " has " << ids_of[id].size() << " message ids instead of " << expected);
  }
  CheckHas(stored, before, "the ledger");
}

}  // namespace saldo::testing
