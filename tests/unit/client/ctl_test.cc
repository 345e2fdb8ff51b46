#include <limits>
#include <sstream>
#include <utility>

#include "catch.h"

#include "client/ctl/command.h"
#include "client/ctl/go_text.h"
#include "client/ctl/help.h"
#include "client/ctl/json.h"
#include "client/ctl/parse.h"
#include "client/ctl/text_table.h"
#include "proto/etcd/rpc_cluster.pb.h"
#include "proto/etcd/rpc_kv.pb.h"
#include "proto/etcd/rpc_maintenance.pb.h"
#include "tests/unit/client/fake_server.h"

namespace cairn::client::ctl {
namespace {

struct Ran {
    int code = 0;
    std::string out;
    std::string error;
};

Ran run_cli(const std::vector<std::string>& arguments, const std::string& input = "",
            const std::map<std::string, std::string>& environment = {}) {
    std::istringstream in(input);
    std::ostringstream out;
    std::ostringstream error;
    const int code = run(arguments, environment, {in, out, error});
    return {code, out.str(), error.str()};
}

Invocation invocation_of(const std::vector<std::string>& arguments,
                         const std::map<std::string, std::string>& environment = {}) {
    const ParsedLine line = parse_line(arguments, environment);
    REQUIRE(line.kind == ParseKind::kRun);
    return line.invocation;
}

std::string parse_error(const std::vector<std::string>& arguments,
                        const std::map<std::string, std::string>& environment = {}) {
    const ParsedLine line = parse_line(arguments, environment);
    REQUIRE(line.kind == ParseKind::kError);
    return line.error;
}

using Words = std::vector<std::string>;

// Answers whatever a command asks with fixed values, so that the text can be compared.
FakeReply sample_answer(const FakeRequest& request) {
    FakeReply reply;
    const auto fill_header = [](etcdserverpb::ResponseHeader& header) {
        header.set_cluster_id(0x10);
        header.set_member_id(0x20);
        header.set_revision(3);
        header.set_raft_term(4);
    };
    if (request.path == "/etcdserverpb.KV/Range") {
        etcdserverpb::RangeResponse response;
        fill_header(*response.mutable_header());
        mvccpb::KeyValue* kv = response.add_kvs();
        kv->set_key("k<\xff");
        kv->set_value("v\n");
        kv->set_create_revision(1);
        kv->set_mod_revision(2);
        kv->set_version(2);
        kv->set_lease(0x1f);
        response.set_more(true);
        response.set_count(7);
        reply.message = response.SerializeAsString();
    } else if (request.path == "/etcdserverpb.Cluster/MemberList") {
        etcdserverpb::MemberListResponse response;
        fill_header(*response.mutable_header());
        etcdserverpb::Member* started = response.add_members();
        started->set_id(0xab);
        started->set_name("n1");
        started->add_peerurls("http://p:1");
        started->add_peerurls("http://p:2");
        started->add_clienturls("http://c:1");
        etcdserverpb::Member* learner = response.add_members();
        learner->set_id(0xcd);
        learner->add_peerurls("http://p:3");
        learner->set_islearner(true);
        reply.message = response.SerializeAsString();
    } else if (request.path == "/etcdserverpb.Maintenance/Status") {
        etcdserverpb::StatusResponse response;
        fill_header(*response.mutable_header());
        response.set_version("3.5.30");
        response.set_dbsize(1234567);
        response.set_leader(0x20);
        response.set_raftindex(11);
        response.set_raftterm(4);
        response.set_raftappliedindex(10);
        response.add_errors("memberID:32 alarm:NOSPACE ");
        reply.message = response.SerializeAsString();
    } else if (request.path == "/etcdserverpb.Maintenance/Alarm") {
        etcdserverpb::AlarmResponse response;
        fill_header(*response.mutable_header());
        etcdserverpb::AlarmMember* alarm = response.add_alarms();
        alarm->set_memberid(32);
        alarm->set_alarm(etcdserverpb::NOSPACE);
        reply.message = response.SerializeAsString();
    }
    return reply;
}

}  // namespace

TEST_CASE("ctl: options and arguments in any order", "[ctl][parse]") {
    for (const Words& words : {Words{"get", "a", "b", "--limit", "5", "-w", "json"},
                               Words{"get", "--limit=5", "a", "-wjson", "b"},
                               Words{"-w=json", "--limit", "5", "get", "a", "b"},
                               Words{"--write-out", "json", "get", "--limit=0x5", "a", "b"}}) {
        const Invocation line = invocation_of(words);
        CHECK(line.command->path == "get");
        CHECK(line.arguments == Words{"a", "b"});
        CHECK(line.number("limit") == 5);
        CHECK(line.text("write-out") == "json");
        CHECK(line.text("endpoints") == "127.0.0.1:2379");
        CHECK_FALSE(line.flag("prefix"));
    }
    CHECK(invocation_of({"get", "--prefix", "a"}).flag("prefix"));
    CHECK_FALSE(invocation_of({"get", "--prefix=false", "a"}).flag("prefix"));
    CHECK(invocation_of({"--command-timeout", "100ms", "get", "a"}).duration("command-timeout") ==
          std::chrono::milliseconds(100));
}

TEST_CASE("ctl: a key may look like anything", "[ctl][parse]") {
    CHECK(invocation_of({"put", "get", "put"}).arguments == Words{"get", "put"});
    CHECK(invocation_of({"put", "--", "-k", "--prefix"}).arguments == Words{"-k", "--prefix"});
    CHECK(invocation_of({"get", "help"}).arguments == Words{"help"});
    CHECK(invocation_of({"get", "-"}).arguments == Words{"-"});
    CHECK(invocation_of({"get", ""}).arguments == Words{""});
}

TEST_CASE("ctl: what does not parse", "[ctl][parse]") {
    CHECK(parse_error({"watch"}) ==
          "unknown command \"watch\" for \"cairn\"\nThere is: alarm, compaction, completion, del, "
          "endpoint, get, manual, member, move-leader, put, snapshot, txn, version.");
    CHECK(parse_error({"gte", "a"}) ==
          "unknown command \"gte\" for \"cairn\"\nDid you mean 'cairn get'?");
    CHECK(parse_error({"endpoint", "foo"}) ==
          "unknown command \"foo\" for \"cairn endpoint\"\nThere is: hashkv, health, status.");
    CHECK(parse_error({"--nope=1", "get", "a"}) == "unknown flag: --nope");
    CHECK(parse_error({"-x", "get", "a"}) == "unknown shorthand flag: 'x' in -x");
    CHECK(parse_error({"get", "a", "--nope"}) == "unknown flag: --nope");
    CHECK(parse_error({"get", "a", "-x"}) == "unknown shorthand flag: 'x' in -x");
    CHECK(parse_error({"get", "a", "--limit"}) == "flag needs an argument: --limit");
    CHECK(parse_error({"get", "a", "-w"}) == "flag needs an argument: 'w' in -w");
    CHECK(parse_error({"get", "a", "--limit=x"}) ==
          "invalid argument \"x\" for \"--limit\" flag: strconv.ParseInt: parsing \"x\": invalid "
          "syntax");
    CHECK(parse_error({"txn", "-i=x"}) ==
          "invalid argument \"x\" for \"-i, --interactive\" flag: strconv.ParseBool: parsing "
          "\"x\": invalid syntax");
    CHECK(parse_error({"put", "a", "--file", ""}) ==
          "invalid argument \"\" for \"-f, --file\" flag: no file is called so");
    CHECK(parse_error({"put", "a", "--limit=1"}) == "unknown flag: --limit");
    CHECK(parse_error({"get", "a"}, {{"ETCDCTL_DIAL_TIMEOUT", "soon"}}) ==
          "invalid value \"soon\" for ETCDCTL_DIAL_TIMEOUT: time: invalid duration \"soon\"");
}

TEST_CASE("ctl: a command's name may be cut short", "[ctl][parse]") {
    CHECK(invocation_of({"g", "a"}).command->path == "get");
    CHECK(invocation_of({"compact", "3"}).command->path == "compaction");
    CHECK(invocation_of({"end", "hea", "--cluster"}).command->path == "endpoint health");
    CHECK(parse_error({"comp", "3"}).find("unknown command \"comp\"") == 0);
    CHECK(parse_error({""}).find("unknown command \"\"") == 0);
    CHECK(parse_error({"member", ""}).find("unknown command \"\"") == 0);
    CHECK(run_cli({"help", "e", "s"}).out == help_text("endpoint status"));
    CHECK(run_cli({"help", "get", "more"}).out == help_text("get"));
    CHECK(parse_error({"help", "nope"}).find("unknown command \"nope\"") == 0);
}

TEST_CASE("ctl: endpoints given twice add up", "[ctl][parse]") {
    const std::map<std::string, std::string> variable{{"CAIRN_ENDPOINTS", "v:1"}};
    CHECK(invocation_of({"get", "a", "--endpoints=a:1", "--endpoints", "b:1,c:1"}, variable)
              .text("endpoints") == "a:1,b:1,c:1");
    CHECK(invocation_of({"get", "a", "--limit=1", "--limit=2"}).number("limit") == 2);
}

TEST_CASE("ctl: option over CAIRN_ over ETCDCTL_ over default", "[ctl][parse]") {
    const std::map<std::string, std::string> both{
        {"CAIRN_ENDPOINTS", "c:1"}, {"ETCDCTL_ENDPOINTS", "e:1"}, {"ETCDCTL_API", "3"}};
    CHECK(invocation_of({"get", "a"}, both).text("endpoints") == "c:1");
    CHECK(invocation_of({"get", "a", "--endpoints=f:1"}, both).text("endpoints") == "f:1");
    CHECK(invocation_of({"get", "a"}, {{"ETCDCTL_ENDPOINTS", "e:1"}, {"CAIRN_ENDPOINTS", ""}})
              .text("endpoints") == "e:1");
    CHECK(invocation_of({"get", "a"}, {{"ETCDCTL_WRITE_OUT", "json"}}).text("write-out") == "json");
}

TEST_CASE("ctl: help of everything, of a group, of a command", "[ctl][help]") {
    for (const Words& words : {Words{}, Words{"--help"}, Words{"help"}, Words{"-h"}}) {
        const Ran ran = run_cli(words);
        CHECK(ran.code == 0);
        CHECK(ran.out == help_text(""));
    }
    CHECK(run_cli({"endpoint"}).out == help_text("endpoint"));
    CHECK(run_cli({"help", "endpoint", "status"}).out == help_text("endpoint status"));
    CHECK(run_cli({"get", "--help"}).out == help_text("get"));
    for (const CommandSpec& command : all_commands()) {
        INFO(command.path);
        CHECK(command.run != nullptr);
        CHECK(command.examples.find("cairn") != std::string_view::npos);
        const std::string help = help_text(command.path);
        CHECK(help_text("").find(command.summary) != std::string::npos);
        CHECK(manual_page().find(command.summary) != std::string::npos);
        for (const OptionSpec& option : command.options) {
            CHECK(help.find("--" + std::string(option.name)) != std::string::npos);
        }
    }
    for (const char* shell : {"bash", "zsh", "fish"}) {
        const Ran ran = run_cli({"completion", shell});
        CHECK(ran.code == 0);
        CHECK(ran.out.find("hashkv") != std::string::npos);
        CHECK(ran.out.find("print-value-only") != std::string::npos);
    }
    CHECK(run_cli({"completion", "tcsh"}).code == kExitBadArgs);
}

TEST_CASE("ctl: bad arguments end with etcdctl's codes and texts", "[ctl]") {
    const auto check = [](const Words& words, int code, const std::string& text) {
        const Ran ran = run_cli(words);
        INFO(ran.error);
        CHECK(ran.code == code);
        CHECK(ran.error == "Error: " + text + "\n");
        CHECK(ran.out.empty());
    };
    check({"put", "a"}, 128, "put command needs 1 argument and input from stdin or 2 arguments");
    check({"put"}, 128, "put command needs 1 argument and input from stdin or 2 arguments");
    check({"put", "a", "b", "--ignore-value"}, 128,
          "put command needs only 1 argument when 'ignore-value' is set");
    check({"put", "a", "b", "--lease", "zz"}, 128,
          "bad lease ID (strconv.ParseInt: parsing \"zz\": invalid syntax), expecting ID in Hex");
    check({"get"}, 128,
          "get command needs one argument as key and an optional argument as range_end");
    check({"get", "a", "--prefix", "--from-key"}, 128,
          "`--prefix` and `--from-key` cannot be set at the same time, choose one");
    check({"get", "a", "b", "--prefix"}, 128,
          "too many arguments, only accept one argument when `--prefix` or `--from-key` is set");
    check({"get", "a", "--order=x"}, 4, "bad sort order x");
    check({"get", "a", "--sort-by=x"}, 4, "bad sort target x");
    check({"get", "a", "--consistency=x"}, 4, "unknown consistency flag \"x\"");
    check({"get", "a", "--count-only"}, 128, "--count-only is only for `--write-out=fields`");
    check({"get", "a", "--keys-only", "--count-only"}, 128,
          "`--keys-only` and `--count-only` cannot be set at the same time, choose one");
    check({"get", "a", "--print-value-only", "-wjson"}, 128,
          "print-value-only is only for `--write-out=simple`");
    check({"get", "a", "-w", "table"}, 4, "table not supported as output format");
    check({"get", "a", "-w", "foo"}, 4, "unsupported output format");
    check({"del", "a", "b", "c"}, 128,
          "del command needs one argument as key and an optional argument as range_end");
    check({"compaction"}, 128, "compaction command needs 1 argument");
    check({"compaction", "x"}, 1, "strconv.ParseInt: parsing \"x\": invalid syntax");
    check({"compaction", "0x3"}, 1, "strconv.ParseInt: parsing \"0x3\": invalid syntax");
    check({"alarm", "list", "x"}, 128, "alarm list command accepts no arguments");
    check({"get", "a", "--min-mod-rev=3", "--max-mod-rev=2"}, 4,
          "getMinModRev(=3) > getMaxModRev(=2)");
    check({"get", "a", "--min-create-rev=3", "--max-create-rev=2"}, 4,
          "getMinCreateRev(=3) > getMaxCreateRev(=2)");
    check({"endpoint", "status", "-w", "protobuf"}, 4, "protobuf not supported as output format");
    check({"endpoint", "health", "-w", "protobuf"}, 4, "protobuf not supported as output format");
    check({"endpoint", "hashkv", "-w", "protobuf"}, 4, "protobuf not supported as output format");
    check({"get", "a", "--cacert=c"}, 128, "--cacert: TLS is not supported yet");
    check({"get", "a", "--insecure-transport=0"}, 128,
          "--insecure-transport=false: TLS is not supported yet");
    check({"get", "a", "-d", "x"}, 128, "--discovery-srv: discovery by DNS is not supported yet");
    check({"put", "a", "b", "-f", "c"}, 128, "--file and a value exclude each other");
    check({"txn", "-i", "-f", "c"}, 128, "--file and --interactive exclude each other");
    check({"get", "a", "--endpoints", "a"}, 2, "endpoint \"a\": must be host:port");
    check({"get", "a", "--endpoints", ","}, 2, "no endpoints");
    check({"txn", "x"}, 128, "txn command does not accept argument");
}

TEST_CASE("ctl: what is read has a bound", "[ctl]") {
    const Ran value = run_cli({"put", "a"}, std::string((64U << 20U) + 1, 'x'));
    CHECK(value.code == kExitInvalidInput);
    CHECK(value.error == "Error: the value is larger than 64 MiB\n");
    std::string lines;
    for (unsigned i = 0; i <= 1U << 16U; ++i) {
        lines += "mod(\"a\") = \"0\"\n";
    }
    const Ran txn = run_cli({"txn"}, lines);
    CHECK(txn.code == kExitInvalidInput);
    CHECK(txn.error == "Error: too many lines\n");
}

TEST_CASE("ctl: a pair in each format", "[ctl]") {
    FakeServer server(sample_answer);
    const auto get = [&](const Words& more) {
        Words words{"get", "k", "--endpoints", server.endpoint()};
        words.insert(words.end(), more.begin(), more.end());
        const Ran ran = run_cli(words);
        CHECK(ran.code == 0);
        CHECK(ran.error.empty());
        return ran.out;
    };
    CHECK(get({}) == "k<\xff\nv\n\n");
    CHECK(get({"--print-value-only"}) == "v\n\n");
    CHECK(get({"--hex"}) == "\\x6b\\x3c\\xff\n\\x76\\x0a\n");
    CHECK(get({"-w", "json"}) ==
          "{\"header\":{\"cluster_id\":16,\"member_id\":32,\"revision\":3,\"raft_term\":4},\"kvs\":"
          "[{\"key\":\"azz/\",\"create_revision\":1,\"mod_revision\":2,\"version\":2,\"value\":"
          "\"dgo=\",\"lease\":31}],\"more\":true,\"count\":7}\n");
    CHECK(get({"--output=fields"}) ==
          "\"ClusterID\" : 16\n\"MemberID\" : 32\n\"Revision\" : 3\n\"RaftTerm\" : 4\n"
          "\"Key\" : \"k<\\xff\"\n\"CreateRevision\" : 1\n\"ModRevision\" : 2\n\"Version\" : 2\n"
          "\"Value\" : \"v\\n\"\n\"Lease\" : 31\n\"More\" : true\n\"Count\" : 7\n");
    CHECK(get({"-w", "protobuf"}) == sample_answer({"/etcdserverpb.KV/Range", {}, {}, 0}).message);
}

TEST_CASE("ctl: colours where the streams are terminals", "[ctl]") {
    FakeServer server(sample_answer);
    const auto ran = [&](Words words, Terminal terminal) {
        words.insert(words.end(), {"--endpoints", server.endpoint()});
        std::istringstream in;
        std::ostringstream out;
        std::ostringstream error;
        const int code = run(words, {}, {in, out, error, terminal});
        return Ran{code, out.str(), error.str()};
    };
    Terminal both;
    both.colours_out = true;
    both.colours_error = true;
    CHECK(ran({"get", "k"}, both).out == "\x1b[36mk<\xff\x1b[0m\nv\n\n");
    CHECK(ran({"get"}, both).error.find("\x1b[31mError:\x1b[0m get command") == 0);
    CHECK(ran({"get", "--help"}, both).out.find("\x1b[1mUsage:\x1b[0m\n") != std::string::npos);
    CHECK(ran({"endpoint", "health"}, both).error.find(" is \x1b[31munhealthy\x1b[0m: ") !=
          std::string::npos);
    CHECK(ran({"get", "k", "-wjson"}, both).out == ran({"get", "k", "-wjson"}, {}).out);
}

TEST_CASE("ctl: the global options, but for secrets", "[ctl]") {
    FakeServer server(sample_answer);
    const Ran ran = run_cli({"get", "k", "--debug", "--user=u:secret", "--password=secret",
                             "--endpoints", server.endpoint()});
    CHECK(ran.code == 0);
    CHECK(ran.out == "k<\xff\nv\n\n");
    CHECK(ran.error.find("CAIRN_ENDPOINTS=" + server.endpoint() + "\n") != std::string::npos);
    CHECK(ran.error.find("Warning: --user is passed over") != std::string::npos);
    CHECK(ran.error.find("secret") == std::string::npos);
}

TEST_CASE("ctl: members and status in each format", "[ctl]") {
    FakeServer server(sample_answer);
    const std::string endpoint = server.endpoint();
    const auto ran = [&](Words words) {
        words.insert(words.end(), {"--endpoints", endpoint});
        return run_cli(words);
    };
    CHECK(ran({"member", "list"}).out ==
          "ab, started, n1, http://p:1,http://p:2, http://c:1, false\n"
          "cd, unstarted, , http://p:3, , true\n");
    CHECK(ran({"member", "list", "-wtable"}).out ==
          "+----+-----------+------+-----------------------+--------------+------------+\n"
          "| ID |  STATUS   | NAME |      PEER ADDRS       | CLIENT ADDRS | IS LEARNER |\n"
          "+----+-----------+------+-----------------------+--------------+------------+\n"
          "| ab |   started |   n1 | http://p:1,http://p:2 |   http://c:1 |      false |\n"
          "| cd | unstarted |      |            http://p:3 |              |       true |\n"
          "+----+-----------+------+-----------------------+--------------+------------+\n");
    CHECK(ran({"member", "list", "-wjson"}).out ==
          "{\"header\":{\"cluster_id\":16,\"member_id\":32,\"revision\":3,\"raft_term\":4},"
          "\"members\":[{\"ID\":171,\"name\":\"n1\",\"peerURLs\":[\"http://p:1\",\"http://p:2\"],"
          "\"clientURLs\":[\"http://c:1\"]},{\"ID\":205,\"peerURLs\":[\"http://p:3\"],"
          "\"isLearner\":true}]}\n");
    CHECK(ran({"endpoint", "status"}).out ==
          endpoint + ", 20, 3.5.30, 1.2 MB, true, false, 4, 11, 10, memberID:32 alarm:NOSPACE \n");
    const Ran health = ran({"endpoint", "health"});
    CHECK(health.code == 1);
    CHECK(health.out.empty());
    CHECK(health.error ==
          endpoint +
              " is unhealthy: failed to commit proposal: Active Alarm(s): NOSPACE \n"
              "Error: unhealthy cluster\n");
    CHECK(ran({"alarm", "list"}).out == "memberID:32 alarm:NOSPACE \n");
}

TEST_CASE("ctl: an endpoint that is not there", "[ctl]") {
    const std::string endpoint = dead_endpoint();
    const Ran get = run_cli({"get", "a", "--endpoints", endpoint, "--dial-timeout=50ms"});
    CHECK(get.code == 1);
    CHECK(get.error == "Error: connection error: dial tcp " + endpoint + ": connection refused\n");
    const Ran status =
        run_cli({"endpoint", "status", "--endpoints", endpoint, "--dial-timeout=50ms"});
    CHECK(status.code == 1);
    CHECK(status.error.find("Failed to get the status of endpoint " + endpoint) == 0);
}

TEST_CASE("ctl: a transaction from its text", "[ctl][txn]") {
    etcdserverpb::TxnRequest seen;
    FakeServer server([&](const FakeRequest& request) {
        CHECK(seen.ParseFromString(request.message));
        etcdserverpb::TxnResponse response;
        response.set_succeeded(true);
        response.add_responses()->mutable_response_put();
        return FakeReply{FakeReply::Kind::kAnswer, {}, response.SerializeAsString(), {}};
    });
    const auto txn = [&](const std::string& input) {
        return run_cli({"txn", "--endpoints", server.endpoint()}, input);
    };
    const Ran ran =
        txn("mod(\"a\") > \"0\"\nvalue('b') != \"x \\\"y\\x41\"\nlease(\"c\") = \"1f\"\n"
            "version(\"d\")<\"2\"\ncreate(\"e\") = 3\n\n"
            "  put k \"v w\" --prev-kv\nget p --prefix --keys-only\n\ndel 'x y' z\n\n");
    INFO(ran.error);
    CHECK(ran.code == 0);
    CHECK(ran.out == "SUCCESS\n\nOK\n");
    CHECK(seen.ShortDebugString() ==
          "compare { result: GREATER target: MOD key: \"a\" mod_revision: 0 } "
          "compare { result: NOT_EQUAL target: VALUE key: \"b\" value: \"x \\\"yA\" } "
          "compare { target: LEASE key: \"c\" lease: 31 } "
          "compare { result: LESS key: \"d\" version: 2 } "
          "compare { target: CREATE key: \"e\" create_revision: 3 } "
          "success { request_put { key: \"k\" value: \"v w\" prev_kv: true } } "
          "success { request_range { key: \"p\" range_end: \"q\" keys_only: true } } "
          "failure { request_delete_range { key: \"x y\" range_end: \"z\" } }");

    const auto check = [&](const std::string& input, int code, const std::string& text) {
        const Ran failed = txn(input);
        CHECK(failed.code == code);
        CHECK(failed.error == "Error: " + text + "\n");
    };
    check("modx(\"a\") > \"0\"\n\n\n\n", 3,
          "malformed comparison: modx(\"a\") > \"0\" (unknown target modx)");
    check("mod(\"a\") > \"x\"\n\n\n\n", 3, "invalid txn compare request: mod(\"a\") > \"x\"");
    check("mod(\"a\") > \"0x1\"\n\n\n\n", 3, "invalid txn compare request: mod(\"a\") > \"0x1\"");
    check("mod a\n\n\n\n", 3, "malformed comparison: mod a");
    check("mod(a) = \"0\"\n", 3, "malformed comparison: mod(a) = \"0\"; got mod(\"\")  \"\"");
    check("mod(\"a\") >= \"0\"\n", 3,
          "malformed comparison: mod(\"a\") >= \"0\"; got mod(\"a\") > \"= \\\"0\\\"\"");
    check("\nget\n", 3, "invalid txn compare request: get");
    check("\nwatch a\n", 3, "invalid txn request: watch a");
    check("\nget a --nope\n", 3, "invalid txn request: get a --nope (unknown flag: --nope)");
    check("\nmember list\n", 3, "invalid txn request: member list");
    check("\nget a -w json\n", 3, "invalid txn request: get a -w json");
    check("\nget -h a\n", 3, "invalid txn request: get -h a");
    check("\nputt a b\n\n\n", 3, "invalid txn request: putt a b");
    check("\nput a\n\n\n", 128, "put command needs 1 argument and input from stdin or 2 arguments");
    check("\nput a b\n\n", 3, "EOF");
    check("\nput a b", 3, "EOF");
    check("\nput \"a b\n\n\n", 3, "invalid txn request: put \"a b (a quote or an escape is wrong)");
}

TEST_CASE("ctl: numbers and durations as Go reads them", "[ctl][go]") {
    constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
    const std::pair<std::string_view, std::int64_t> numbers[] = {
        {"0", 0},
        {"-0", 0},
        {"+7", 7},
        {"017", 15},
        {"0x1F", 31},
        {"0b11", 3},
        {"-0o17", -15},
        {"9223372036854775807", -(kMin + 1)},
        {"00", 0},
        {"0X1f", 31},
        {"-9223372036854775808", kMin},
    };
    for (const auto& [text, value] : numbers) {
        INFO(text);
        CHECK(parse_go_number(text, 0).error.empty());
        CHECK(parse_go_number(text, 0).value == value);
    }
    for (const char* text : {"", "-", "x", "1x", "0x", "08", "--1", "- 1", " 1", "1 "}) {
        INFO(text);
        CHECK(parse_go_number(text, 0).error.find("invalid syntax") != std::string::npos);
    }
    for (const char* text :
         {"9223372036854775808", "-9223372036854775809", "0xfffffffffffffffff"}) {
        INFO(text);
        CHECK(parse_go_number(text, 0).error.find("value out of range") != std::string::npos);
    }
    CHECK(parse_go_number("ff", 16).value == 255);
    CHECK_FALSE(parse_go_number("0xff", 16).error.empty());
    CHECK(go_bool_error("T").empty());
    CHECK(go_duration_error("1h2.5m").empty());
    CHECK(go_duration_error("5") == "time: missing unit in duration \"5\"");
    CHECK(go_duration_error("1h5") == "time: missing unit in duration \"1h5\"");
    CHECK(go_duration_error("5x") == "time: unknown unit \"x\" in duration \"5x\"");
    CHECK(go_duration_error("") == "time: invalid duration \"\"");
    CHECK(go_duration_error(".s") == "time: invalid duration \".s\"");
}

TEST_CASE("ctl: quoted words as Go reads them", "[ctl][go]") {
    const auto words = [](std::string_view text) { return words_of(text).value(); };
    CHECK(words("").empty());
    CHECK(words(" a\tb c ") == Words{"a", "b", "c"});
    CHECK(words("\"a b\"'c \"d'") == Words{"a b", "c \"d"});
    CHECK(words("a\"b") == Words{"a\"b"});
    CHECK(words(R"("\a\b\f\n\r\t\v\\\"")") == Words{"\a\b\f\n\r\t\v\\\""});
    CHECK(words(R"("\x00\xff\101")") == Words{std::string("\0\xff"
                                                          "A",
                                                          3)});
    CHECK(words(R"("\u00e4\u20ac\U0001F600")") == Words{"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"});
    CHECK(words(R"('\n')") == Words{R"(\n)"});
    for (const char* text : {R"("a)", R"('a)", R"("\q")", R"("\x1")", R"("\400")", R"("\8")",
                             R"("\ud800")", R"("\U00110000")", R"("\)", R"("\')"}) {
        INFO(text);
        CHECK_FALSE(words_of(text).has_value());
    }
}

TEST_CASE("ctl: text as Go writes it", "[ctl][json]") {
    CHECK(json_string("a\"\\\n\x01<&>\xff") == R"("a\"\\\n\u0001\u003c\u0026\u003e\ufffd")");
    CHECK(json_string("\xe2\x80\xa8\xc3\xa4") == "\"\\u2028\xc3\xa4\"");
    CHECK(base64("") == "");
    CHECK(base64("f") == "Zg==");
    CHECK(base64("fo") == "Zm8=");
    CHECK(base64("foo") == "Zm9v");
    CHECK(base64("\xff\xfe\xfd\xfc") == "//79/A==");
    CHECK(draw_table(false, {"a", "bc"}, {{"xyz", "\xc3\xa4"}}) ==
          "+-----+----+\n|  A  | BC |\n+-----+----+\n| xyz |  \xc3\xa4 |\n+-----+----+\n");
}

}  // namespace cairn::client::ctl
