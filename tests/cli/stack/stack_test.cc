// `saldo stack run`: what hinders it is said, and whatever happens nothing is left running.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "common/base/call_context.h"
#include "common/devstack/child_process.h"
#include "common/devstack/files.h"
#include "common/devstack/loopback.h"
#include "common/kafka/admin.h"
#include "tests/support/test_env.h"

namespace saldo::cli {
namespace {

using saldo::testing::Eventually;
using saldo::testing::TempDir;

using Environment = std::vector<std::pair<std::string, std::string>>;

Environment NoKafka(const TempDir& dir) { return {{"SALDO_KAFKA_LIBS", dir.File("no-jars")}}; }

std::unique_ptr<devstack::ChildProcess> StackRun(const TempDir& dir,
                                                 const std::vector<std::string>& more = {},
                                                 const Environment& env = {}) {
  devstack::ChildOptions options;
  options.argv = {*devstack::SiblingProgram("saldo"), "stack", "run", "--free-ports",
                  "--dir=" + dir.File("var")};
  options.argv.insert(options.argv.end(), more.begin(), more.end());
  options.env = env;
  options.log_file = dir.File("out");
  auto child = devstack::ChildProcess::Start(std::move(options));
  REQUIRE(child.ok());
  return *std::move(child);
}

bool Says(const devstack::ChildProcess& stack, const std::string& text) {
  return stack.LogTail(100).find(text) != std::string::npos;
}

// PostgreSQL removes this file when it has stopped in order.
bool PostgresStopped(const TempDir& dir) {
  return access(dir.File("var/postgres/data/PG_VERSION").c_str(), F_OK) == 0 &&
         access(dir.File("var/postgres/data/postmaster.pid").c_str(), F_OK) != 0;
}

constexpr absl::Duration kStart = absl::Seconds(120);
constexpr const char* kRuns = "Ctrl-C stops everything";

// The commands that a running stack gives its user to paste: three for the ledger (tail, write,
// balance), three for packages (tail, create, update).
std::vector<std::string> Commands(const devstack::ChildProcess& stack) {
  std::vector<std::string> commands;
  std::istringstream lines(stack.LogTail(100));
  for (std::string line; std::getline(lines, line);) {
    const bool command = line.find("saldo tail ") != std::string::npos ||
                         line.find("saldo call ") != std::string::npos;
    if (command) commands.push_back(line);
  }
  return commands;
}

std::string Paste(const std::string& command) {
  const auto output = devstack::RunCommand({.argv = {"sh", "-c", command}}, absl::Seconds(60));
  INFO(command << ": " << output.status());
  REQUIRE(output.ok());
  return *output;
}

// The process that was started with this argument.
pid_t PidWithArgument(const std::string& argument) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string pid = entry.path().filename().string();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    const std::string line = devstack::ReadFile(entry.path().string() + "/cmdline").value_or("");
    if (line.find(argument + '\0') != std::string::npos) return std::stoi(pid);
  }
  FAIL("no process has the argument " << argument);
  return 0;
}

// The topics of the configured account types that the server has written to its database: they are
// named after their types.
std::vector<std::string> TopicsOfTypes(const devstack::ChildProcess& stack) {
  const std::string said = stack.LogTail(100);
  const size_t begin = said.find("psql '"), end = said.find('\n', begin);
  REQUIRE(end != std::string::npos);
  std::istringstream rows(Paste(
      said.substr(begin, end - begin) +
      " -tAc \"SELECT 'saldo-' || replace(name, '_', '-') FROM account_types WHERE name NOT LIKE "
      "'saldo\\_%'\""));
  std::vector<std::string> topics;
  for (std::string row; std::getline(rows, row);) topics.push_back(row);
  return topics;
}

// The text between these two.
std::string Between(const std::string& text, const std::string& before, const std::string& after) {
  const size_t begin = text.find(before);
  REQUIRE(begin != std::string::npos);
  const size_t from = begin + before.size();
  return text.substr(from, text.find(after, from) - from);
}

void CheckTopicsExist(const devstack::ChildProcess& stack, const std::string& tail) {
  kafka::ConnectionOptions connection;
  connection.brokers = Between(tail + " ", "--kafka=", " ");
  const auto admin = kafka::Admin::Create(connection);
  REQUIRE(admin.ok());
  const auto topics = (*admin)->ListTopics(CallContext::WithTimeout(absl::Seconds(30)));
  REQUIRE(topics.ok());
  std::vector<std::string> names;
  for (const kafka::TopicDescription& topic : *topics) names.push_back(topic.name);
  const std::vector<std::string> wanted = TopicsOfTypes(stack);
  CHECK(wanted.size() == 3);
  CHECK_THAT(names,
             Catch::VectorContains(std::string("omp-package-events")) && Catch::Contains(wanted));
}

// The commands below a heading, one after the other.
std::string PasteAll(const std::string& section) {
  std::string output, line;
  std::istringstream lines(section);
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    if (!line.empty()) output += Paste(line);
  }
  return output;
}

// In a stack's run of this number in its folder.
void CheckLedgerCommands(const std::vector<std::string>& commands, int run) {
  const std::string balance = std::to_string(100 * run) + ".00\"";
  CHECK_THAT(Paste(commands[1]), Catch::Contains("\"balanceAfter\": \"" + balance));
  // Pasted twice, it writes once.
  CHECK_THAT(Paste(commands[1]), Catch::Contains("\"balanceAfter\": \"" + balance));
  CHECK_THAT(Paste(commands[2]), Catch::Contains("\"balance\": \"" + balance));
  const std::string events = Paste(commands[0] + " --count=" + std::to_string(run));
  CHECK_THAT(events, Catch::Contains("\"balanceAfter\":\"" + balance) &&
                         Catch::Contains("key client_wallet/17/RUB"));
}

// A rule that has a value for each program that Prometheus reaches.
void MakeRule(const std::string& folder) {
  REQUIRE(devstack::MakeFolder(folder).ok());
  REQUIRE(devstack::WriteFile(folder + "/one.yml",
                              "groups: [{name: g, rules: [{record: programs_up, expr: up == 1}]}]")
              .ok());
}

// The Prometheus that the stack names reaches both programs, and has the rule.
void CheckObserved(const devstack::ChildProcess& stack) {
  const int port = std::stoi(Between(stack.LogTail(100), "Prometheus  http://127.0.0.1:", "\n"));
  const auto shown = [port](const char* job) {
    const auto answer =
        devstack::HttpGet(port, "/api/v1/query?query=programs_up", absl::Seconds(5));
    return answer.ok() && answer->body.find(job) != std::string::npos;
  };
  CHECK(Eventually(absl::Seconds(60),
                   [&] { return shown("saldo-server") && shown("saldo-retranslator"); }));
}

// The Jaeger that the stack names has the trace of a write, from both programs.
void CheckTraced(const devstack::ChildProcess& stack) {
  const std::string said = stack.LogTail(100);
  const int port = std::stoi(Between(said, "Jaeger      http://127.0.0.1:", "/"));
  std::string path = Between(said, "curl -s 'http://127.0.0.1:" + std::to_string(port), "'");
  // The latest may be a repeated request, which has written nothing.
  const size_t limit = path.find("limit=1&");
  REQUIRE(limit != std::string::npos);
  path.replace(limit, 7, "limit=10");
  std::string shown;
  const bool complete = Eventually(absl::Seconds(60), [&] {
    const auto answer = devstack::HttpGet(port, path, absl::Seconds(5));
    shown = answer.ok() ? answer->body : "";
    return shown.find("\"saldo-server\"") != std::string::npos &&
           shown.find("\"saldo-retranslator\"") != std::string::npos;
  });
  INFO(shown);
  CHECK(complete);
  CHECK_THAT(shown, Catch::Contains("\"operationName\": \"AccountWriter.Commit\"") &&
                        Catch::Contains("\"operationName\": \"send saldo-client-wallet\"") &&
                        Catch::Contains("\"duration\": "));
}

TEST_CASE("the commands that a stack prints work, and its data stay for the next run") {
  TempDir dir;
  for (int run = 1; run <= 2; ++run) {
    const auto stack = StackRun(dir);
    const bool runs = Eventually(kStart, [&] { return Says(*stack, kRuns) || !stack->running(); });
    INFO(stack->LogTail(100));
    REQUIRE(runs);
    const std::vector<std::string> commands = Commands(*stack);
    REQUIRE(commands.size() == 6);
    if (run == 1) CheckTopicsExist(*stack, commands[0]);
    CheckLedgerCommands(commands, run);
    CHECK_THAT(Paste(commands[4]), Catch::Contains("\"ID\": \"" + std::to_string(run) + "\""));
    CHECK_THAT(Paste(commands[5]), Catch::Contains("\"Suc\": true"));
    const std::string events = Paste(commands[3] + " --count=" + std::to_string(2 * run));
    CHECK_THAT(events,
               Catch::Contains("\"type\":\"Created\"") && Catch::Contains("\"type\":\"Updated\""));
    CHECK_THAT(PasteAll(Between(stack->LogTail(100), "For operators: ", "\nCtrl-C")),
               Catch::Contains("dead letters   none\n") && Catch::Contains(" checks agree\n"));
    CHECK(stack->Stop(absl::Seconds(60), SIGTERM).ToString() == "exit code 0");
    const std::string said = stack->LogTail(100);
    const size_t server = said.find("stop saldo-server: done"),
                 retranslator = said.find("stop saldo-retranslator: done"),
                 kafka = said.find("stop Kafka: done"),
                 postgres = said.find("stop PostgreSQL: done");
    CHECK(server < retranslator);
    CHECK(retranslator < kafka);
    CHECK(kafka < postgres);
    CHECK(postgres != std::string::npos);
    CHECK(PostgresStopped(dir));
  }
}

TEST_CASE("the mock broker serves the commands too, and a part that dies is reported") {
  TempDir dir;
  MakeRule(dir.File("rules"));
  const auto stack =
      StackRun(dir, {"--broker=embedded", "--observe=" + dir.File("rules")}, NoKafka(dir));
  const bool runs = Eventually(kStart, [&] { return Says(*stack, kRuns) || !stack->running(); });
  INFO(stack->LogTail(100));
  REQUIRE(runs);
  CHECK(Says(*stack, "NOT DURABLE"));
  CheckObserved(*stack);
  const std::vector<std::string> commands = Commands(*stack);
  REQUIRE(commands.size() == 6);
  CheckLedgerCommands(commands, 1);
  CheckTraced(*stack);
  Paste(commands[4]);
  CHECK_THAT(Paste(commands[3] + " --count=1"), Catch::Contains("\"type\":\"Created\""));

  REQUIRE(kill(PidWithArgument("--address-file=" + dir.File("var/mock-broker.address")), SIGKILL) ==
          0);
  const auto ended = stack->Wait(absl::Seconds(60));
  REQUIRE(ended.ok());
  CHECK(ended->ToString() == "exit code 1");
  CHECK(Says(*stack, "mock-broker ended by itself with signal 9"));
  CHECK(Says(*stack, "stop Prometheus: done"));
  CHECK(Says(*stack, "stop Jaeger: done"));
  CHECK(Says(*stack, "stop PostgreSQL: done"));
  CHECK(PostgresStopped(dir));
}

TEST_CASE("a stack of two shards shows them, and its data do not mix with those of one") {
  TempDir dir;
  MakeRule(dir.File("rules"));
  for (const int shards : {2, 1}) {
    Environment env = NoKafka(dir);
    env.emplace_back("SALDO_JAEGER", dir.File("no-jaeger"));
    const auto stack = StackRun(dir,
                                {"--broker=embedded", "--shards=" + std::to_string(shards),
                                 "--observe=" + dir.File("rules")},
                                env);
    const bool runs = Eventually(kStart, [&] { return Says(*stack, kRuns) || !stack->running(); });
    const std::string said = stack->LogTail(100);
    INFO(said);
    REQUIRE(runs);
    // Prometheus does without Jaeger.
    CHECK_THAT(said, Catch::Contains("no traces: there is no Jaeger at " + dir.File("no-jaeger")) &&
                         Catch::Contains("\n  Jaeger      none: "));
    CheckObserved(*stack);
    // The first run of each count of shards.
    CheckLedgerCommands(Commands(*stack), 1);
    if (shards == 2) {
      const std::string output = PasteAll(Between(said, "The shards: ", "\nCtrl-C"));
      INFO(output);
      CHECK_THAT(output, Catch::Contains("shard s1: hash ") && Catch::Contains("shard s2: hash ") &&
                             Catch::Contains("s1     0000000000000000-7fffffffffffffff") &&
                             Catch::Contains(" of 2 shards agree\n"));
      // What was written is there: client 17's and the two others' events.
      CHECK_THAT(
          Paste(Commands(*stack)[0] + " --count=3"),
          Catch::Contains("key client_wallet/1/RUB") && Catch::Contains("key client_wallet/2/RUB"));
    } else {
      CHECK(said.find("shard s") == std::string::npos);
    }
    CHECK(stack->Stop(absl::Seconds(60), SIGTERM).ToString() == "exit code 0");
  }
}

TEST_CASE("a second stack in the same folder is refused") {
  TempDir dir;
  REQUIRE(devstack::MakeFolder(dir.File("var")).ok());
  const auto lock = devstack::FolderLock::Take(dir.File("var"));
  REQUIRE(lock.ok());
  const auto stack = StackRun(dir);
  const auto ended = stack->Wait(absl::Seconds(60));
  REQUIRE(ended.ok());
  CHECK(ended->code == 1);
  CHECK_THAT(stack->LogTail(), Catch::Contains("runs in this folder already") &&
                                   Catch::Contains("process " + std::to_string(getpid())));
}

TEST_CASE("a part that cannot start is named, and those before it are stopped") {
  TempDir dir;
  const auto stack = StackRun(dir, {}, NoKafka(dir));
  const auto ended = stack->Wait(absl::Seconds(120));
  REQUIRE(ended.ok());
  CHECK(ended->code == 1);
  CHECK_THAT(stack->LogTail(100),
             Catch::Contains("start PostgreSQL: done") && Catch::Contains("cannot start Kafka") &&
                 Catch::Contains("--broker=embedded") && Catch::Contains("stop PostgreSQL: done"));
  CHECK(PostgresStopped(dir));
}

TEST_CASE("a Kafka that does not answer is named") {
  TempDir dir;
  const auto stack = StackRun(dir, {"--kafka=127.0.0.1:1"});
  const auto ended = stack->Wait(absl::Seconds(120));
  REQUIRE(ended.ok());
  CHECK(ended->code == 1);
  CHECK(Says(*stack, "no Kafka answers on 127.0.0.1:1"));
  CHECK(PostgresStopped(dir));
}

TEST_CASE("Ctrl-C during the start stops everything, and the folder can be used again") {
  TempDir dir;
  for (int run = 0; run < 2; ++run) {
    const auto stack = StackRun(dir);
    REQUIRE(Eventually(absl::Seconds(120), [&] { return Says(*stack, "start Kafka ..."); }));
    const devstack::ChildExit ended = stack->Stop(absl::Seconds(60), SIGINT);
    INFO(stack->LogTail(100));
    CHECK(ended.ToString() == "exit code 0");
    CHECK(PostgresStopped(dir));
    CHECK(devstack::FolderLock::Take(dir.File("var")).ok());
  }
}

}  // namespace
}  // namespace saldo::cli
