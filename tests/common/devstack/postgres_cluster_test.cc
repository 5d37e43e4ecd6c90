#include "common/devstack/postgres_cluster.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/devstack/child_process.h"
#include "common/devstack/files.h"
#include "common/devstack/loopback.h"
#include "tests/support/test_env.h"
#include "tests/support/test_servers.h"

namespace saldo::devstack {
namespace {

using saldo::testing::Eventually;
using saldo::testing::TempDir;
using saldo::testing::TestDatabase;
using saldo::testing::TestPostgres;
using saldo::testing::UniqueName;

PostgresOptions In(const TempDir& dir, const std::string& name = "pg") {
  PostgresOptions options;
  options.dir = dir.File(name);
  options.durable = false;
  return options;
}

// Gone, or a zombie that nobody has reaped yet.
bool Gone(pid_t pid) {
  const std::string stat = ReadFile(absl::StrCat("/proc/", pid, "/stat")).value_or("");
  return stat.empty() || absl::StrContains(stat, ") Z ");
}

// A session that stays until it is ended.
std::unique_ptr<ChildProcess> OpenSession(const PostgresCluster& cluster) {
  auto psql =
      ChildProcess::Start({.argv = {"/usr/lib/postgresql/15/bin/psql", "-X", "-d",
                                    cluster.tcp_dsn("postgres"), "-c", "SELECT pg_sleep(600)"}});
  REQUIRE(psql.ok());
  return *std::move(psql);
}

TEST_CASE("data outlive a stop, a restart, a kill and a new cluster object") {
  TempDir dir;
  auto cluster = PostgresCluster::Start(In(dir));
  REQUIRE(cluster.ok());
  const int port = (*cluster)->port();
  CHECK(*(*cluster)->Query("postgres", "SHOW server_encoding") == "UTF8");
  REQUIRE((*cluster)->CreateDatabase("keep").ok());
  REQUIRE((*cluster)->Query("keep", "CREATE TABLE t AS SELECT 1 AS a").ok());

  REQUIRE((*cluster)->Restart().ok());
  CHECK(*(*cluster)->Query("keep", "SELECT a FROM t") == "1");

  REQUIRE((*cluster)->Query("keep", "UPDATE t SET a = 2").ok());
  const auto session = OpenSession(**cluster);
  REQUIRE(
      Eventually(absl::Seconds(20), [&] { return !(*cluster)->BackendPids("postgres").empty(); }));
  const pid_t backend = (*cluster)->BackendPids("postgres")[0];
  CHECK((*cluster)->BackendPids("keep").empty());
  (*cluster)->Kill();
  CHECK_FALSE((*cluster)->running());
  CHECK(Gone(backend));
  CHECK_FALSE((*cluster)->Query("keep", "SELECT 1").ok());
  REQUIRE((*cluster)->Restart().ok());
  CHECK((*cluster)->port() == port);
  CHECK(*(*cluster)->Query("keep", "SELECT a FROM t") == "2");

  (*cluster)->Stop();
  (*cluster)->Stop();
  CHECK_FALSE((*cluster)->running());
  cluster->reset();
  cluster = PostgresCluster::Start(In(dir));
  REQUIRE(cluster.ok());
  CHECK(*(*cluster)->Query("keep", "SELECT a FROM t") == "2");
}

TEST_CASE("durability and settings are as asked") {
  TempDir dir;
  PostgresOptions options = In(dir);
  options.durable = true;
  options.settings = {{"work_mem", "7MB"}, {"max_connections", "20"}};
  auto cluster = PostgresCluster::Start(options);
  REQUIRE(cluster.ok());
  CHECK(*(*cluster)->Query("postgres", "SHOW fsync") == "on");
  CHECK(*(*cluster)->Query("postgres", "SHOW work_mem") == "7MB");
  CHECK(*(*cluster)->Query("postgres", "SHOW max_connections") == "20");
  CHECK(*TestPostgres().Query("postgres", "SHOW fsync") == "off");
  CHECK(*TestPostgres().Query("postgres", "SHOW max_connections") == "200");
}

TEST_CASE("a long folder name, or a private one, works over another socket folder") {
  TempDir dir;
  const bool root = geteuid() == 0;
  const std::string name = root ? GENERATE("private/pg", "long/") : std::string("long/");
  REQUIRE(MakeFolder(dir.File("private")).ok());
  REQUIRE(chmod(dir.File("private").c_str(), 0700) == 0);
  const auto cluster =
      PostgresCluster::Start(In(dir, name == "long/" ? name + std::string(90, 'x') : name));
  INFO(cluster.status());
  REQUIRE(cluster.ok());
  CHECK(absl::StartsWith((*cluster)->socket_dir(), "/tmp/saldo-pg-"));
  CHECK(*(*cluster)->Query("postgres", "SELECT 1") == "1");
}

TEST_CASE("what hinders the start is said with the log") {
  TempDir dir;
  PostgresOptions options = In(dir);
  options.settings = {{"shared_buffers", "nonsense"}};
  const auto broken = PostgresCluster::Start(options);
  CHECK(absl::StrContains(broken.status().message(), "shared_buffers"));
  CHECK(absl::StrContains(broken.status().message(), "postgres.log"));

  options = In(dir, "other");
  options.port = TestPostgres().port();
  const auto taken = PostgresCluster::Start(options);
  CHECK(absl::StrContains(taken.status().message(), "Address already in use"));

  options.bin_dir = "/no/such";
  CHECK(PostgresCluster::Start(options).status().code() == absl::StatusCode::kNotFound);

  runtime::StopSignal interrupt;
  interrupt.Stop();
  options = In(dir, "third");
  options.interrupt = &interrupt;
  CHECK(PostgresCluster::Start(options).status().code() == absl::StatusCode::kCancelled);
}

TEST_CASE("a server goes with the process that started it, and its folder can be used again") {
  TempDir dir;
  auto parent = ChildProcess::Start({.argv = {*SiblingProgram("saldo_test_parent"), dir.File("pg")},
                                     .log_file = dir.File("log")});
  REQUIRE(parent.ok());
  int pid = 0;
  REQUIRE(
      Eventually(absl::Seconds(60), [&] { return absl::SimpleAtoi((*parent)->LogTail(), &pid); }));
  (*parent)->Stop(absl::ZeroDuration(), SIGKILL);
  REQUIRE(Eventually(absl::Seconds(20), [&] { return Gone(pid); }));
  const auto again = PostgresCluster::Start(In(dir));
  INFO(again.status());
  CHECK(again.ok());
}

TEST_CASE("a test database is its own and is dropped at the end") {
  std::string name;
  {
    TestDatabase database;
    TestDatabase other;
    name = database.name();
    database.Query("CREATE TABLE t(a int)");
    CHECK(other.Query("SELECT to_regclass('t') IS NULL") == "t");
  }
  CHECK(*TestPostgres().Query("postgres", absl::StrCat("SELECT count(*) FROM pg_database "
                                                       "WHERE datname = '",
                                                       name, "'")) == "0");
}

TEST_CASE("Eventually asks until the deadline") {
  int asked = 0;
  CHECK(Eventually(absl::Seconds(10), [&] { return ++asked == 3; }));
  CHECK(asked == 3);
  CHECK_FALSE(Eventually(absl::Milliseconds(20), [] { return false; }));
  CHECK(UniqueName("a") != UniqueName("a"));
}

}  // namespace
}  // namespace saldo::devstack
