#include "server/flags.h"

#include <fstream>
#include <set>
#include <sstream>

#include "catch.h"

#include "server/flags_help.h"

namespace cairn::server {
namespace {

Result<CommandLine> parse(const std::vector<std::string>& arguments, const Environment& env = {}) {
    return parse_command_line(arguments, env);
}

std::string error_of(const std::vector<std::string>& arguments, const Environment& env = {}) {
    const Result<CommandLine> line = parse(arguments, env);
    REQUIRE_FALSE(line);
    CHECK(line.error().code == Errc::kInvalidConfig);
    return line.error().detail;
}

std::string text_of(const std::vector<std::string>& arguments, std::string_view flag) {
    const Result<CommandLine> line = parse(arguments);
    REQUIRE(line);
    return line.value().flags.text(flag);
}

}  // namespace

TEST_CASE("flags: Go's ways of writing a flag", "[config][flags]") {
    CHECK(text_of({"--name", "a"}, "name") == "a");
    CHECK(text_of({"--name=a"}, "name") == "a");
    CHECK(text_of({"-name", "a"}, "name") == "a");
    CHECK(text_of({"-name=a"}, "name") == "a");
    CHECK(text_of({"--name="}, "name").empty());
    CHECK(text_of({"--name", "--x"}, "name") == "--x");
    CHECK(text_of({"--name=a=b"}, "name") == "a=b");
    CHECK(text_of({"--name=a", "--name=b"}, "name") == "b");
    CHECK(text_of({"--pre-vote=false", "--name", "x"}, "pre-vote") == "false");
    CHECK(text_of({"--pre-vote", "--name", "x"}, "name") == "x");
    CHECK(text_of({}, "name") == "default");
    // An empty list leaves the default, as in etcd.
    CHECK(text_of({"--listen-client-urls", ""}, "listen-client-urls") == "http://localhost:2379");
}

TEST_CASE("flags: what does not parse is said in etcd's words", "[config][flags]") {
    CHECK(error_of({"--nonesuch"}) == "flag provided but not defined: -nonesuch");
    CHECK(error_of({"--data-dri=x"}) ==
          "flag provided but not defined: -data-dri (did you mean --data-dir?)");
    CHECK(error_of({"--heartbeat-interval", "abc"}) ==
          "invalid value \"abc\" for flag -heartbeat-interval: parse error");
    CHECK(error_of({"--heartbeat-interval", "-1"}) ==
          "invalid value \"-1\" for flag -heartbeat-interval: parse error");
    CHECK(error_of({"--heartbeat-interval"}) == "flag needs an argument: -heartbeat-interval");
    CHECK(error_of({"--pre-vote=maybe"}) ==
          "invalid boolean value \"maybe\" for flag -pre-vote: parse error");
    CHECK(error_of({"--grpc-keepalive-min-time", "5"}) ==
          "invalid value \"5\" for flag -grpc-keepalive-min-time: parse error");
    CHECK(error_of({"--listen-client-urls", "http://127.0.0.1"}) ==
          "invalid value \"http://127.0.0.1\" for flag -listen-client-urls: URL address does not "
          "have the form \"host:port\": http://127.0.0.1");
    CHECK(error_of({"--listen-client-urls", "ftp://127.0.0.1:1"}) ==
          "invalid value \"ftp://127.0.0.1:1\" for flag -listen-client-urls: URL scheme must be "
          "http, https, unix, or unixs: ftp://127.0.0.1:1");
    CHECK(error_of({"--listen-client-urls", "http://127.0.0.1:1/x"}) ==
          "invalid value \"http://127.0.0.1:1/x\" for flag -listen-client-urls: URL must not "
          "contain a path: http://127.0.0.1:1/x");
    CHECK(error_of({"--initial-cluster-state", "foo"}) ==
          "invalid value \"foo\" for flag -initial-cluster-state: not one of new|existing");
    CHECK(error_of({"extra"}) == "'extra' is not a valid flag");
    CHECK(error_of({"--name", "a", "extra", "--name"}) == "'extra' is not a valid flag");
    CHECK(error_of({"--", "x"}) == "'x' is not a valid flag");
    CHECK(error_of({"---name"}) == "bad flag syntax: ---name");
    CHECK(error_of({"--=x"}) == "bad flag syntax: --=x");
    CHECK(error_of({"--max-concurrent-streams=4294967296"}) ==
          "invalid value \"4294967296\" for flag -max-concurrent-streams: parse error");
}

TEST_CASE("flags: a feature that comes later is refused by name", "[config][flags]") {
    CHECK(error_of({"--auto-compaction-retention=1h"}) ==
          "--auto-compaction-retention=1h: not supported yet (only \"0\" is accepted)");
    CHECK(error_of({"--cert-file", "x"}) ==
          "--cert-file=x: not supported yet (only \"\" is accepted)");
    CHECK(error_of({"--enable-v2"}) ==
          "--enable-v2=true: not supported by cairn (only \"false\" is accepted)");
    CHECK(error_of({}, {{"ETCD_UNSAFE_NO_FSYNC", "true"}}) ==
          "ETCD_UNSAFE_NO_FSYNC=true: not supported yet (only \"false\" is accepted)");
    // The default in another spelling is still the default.
    CHECK(parse({"--auth-token-ttl=0x12c", "--grpc-keepalive-interval=120m", "--enable-v2=F"}));
    // Every flag of the table takes its own default.
    for (const FlagSpec& flag : all_flags()) {
        INFO(flag.name);
        const std::string argument =
            "--" + std::string(flag.name) + "=" + std::string(flag.value_default);
        CHECK(parse({argument}));
    }
}

TEST_CASE("flags: flag over CAIRN_ over ETCD_ over default", "[config][flags]") {
    const Environment env{
        {"CAIRN_NAME", "c"}, {"ETCD_NAME", "e"}, {"ETCD_DATA_DIR", "d"}, {"CAIRN_DATA_DIR", ""}};
    const Result<CommandLine> line = parse({}, env);
    REQUIRE(line);
    CHECK(line.value().flags.text("name") == "c");
    CHECK(line.value().flags.value("name").origin == "CAIRN_NAME");
    CHECK(line.value().flags.text("data-dir") == "d");  // an empty variable is none
    CHECK(line.value().warnings ==
          std::vector<std::string>{"ETCD_NAME is not used: CAIRN_NAME says otherwise"});

    const Result<CommandLine> flag = parse({"--name=f"}, env);
    REQUIRE(flag);
    CHECK(flag.value().flags.text("name") == "f");
    CHECK(error_of({}, {{"ETCD_MAX_TXN_OPS", "abc"}}) ==
          "invalid value \"abc\" for ETCD_MAX_TXN_OPS: parse error");
}

TEST_CASE("flags: unknown variables warn where a mistake is likely", "[config][flags]") {
    const Result<CommandLine> line = parse(
        {}, {{"ETCD_PORT", "tcp://10.0.0.1:2379"}, {"CAIRN_SEED", "1"}, {"CAIRN_DATADIR", "x"}});
    REQUIRE(line);
    CHECK(line.value().warnings ==
          std::vector<std::string>{"unrecognized environment variable CAIRN_DATADIR",
                                   "unrecognized environment variable ETCD_PORT"});
}

TEST_CASE("flags: help and version end the reading", "[config][flags]") {
    CHECK(parse({"--help", "--nonesuch"}).value().action == StartAction::kHelp);
    CHECK(parse({"-h"}).value().action == StartAction::kHelp);
    CHECK(parse({"--version"}).value().action == StartAction::kVersion);
    CHECK(parse({"--help-markdown"}).value().action == StartAction::kHelpMarkdown);
    CHECK(error_of({"--nonesuch", "--help"}) == "flag provided but not defined: -nonesuch");
}

TEST_CASE("flags: every flag that etcd 3.5.30 prints or takes is in the table", "[config][flags]") {
    std::ifstream file(CAIRN_SOURCE_DIR "/tests/unit/config/testdata/etcd_3_5_30_flags.txt");
    REQUIRE(file);
    std::size_t count = 0;
    for (std::string name; std::getline(file, name);) {
        INFO(name);
        ++count;
        CHECK((find_flag(name) != nullptr || name == "version"));
    }
    CHECK(count > 100);
    std::set<std::string_view> seen;
    for (const FlagSpec& flag : all_flags()) {
        INFO(flag.name);
        CHECK(seen.insert(flag.name).second);
    }
}

TEST_CASE("flags: docs/flags.md is what the table says", "[config][flags]") {
    std::ifstream file(CAIRN_SOURCE_DIR "/docs/flags.md");
    std::stringstream text;
    text << file.rdbuf();
    INFO("make it anew: cairnd --help-markdown > docs/flags.md");
    CHECK(text.str() == flags_markdown());
    // Help names every flag that works, and only those.
    for (const FlagSpec& flag : all_flags()) {
        INFO(flag.name);
        const bool named =
            flags_help().find("--" + std::string(flag.name) + " '") != std::string::npos;
        CHECK(named == (flag.support == FlagSupport::kSupported));
    }
}

}  // namespace cairn::server
