#include <sstream>

#include "catch.h"

#include "client/ctl/command.h"
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
    CHECK(parse_error({"foo"}) ==
          "unknown command \"foo\" for \"cairn\"\nRun 'cairn --help' for usage.");
    CHECK(parse_error({"gte", "a"}) ==
          "unknown command \"gte\" for \"cairn\"\nDid you mean 'cairn get'?");
    CHECK(parse_error({"endpoint", "foo"}) ==
          "unknown command \"foo\" for \"cairn endpoint\"\nRun 'cairn endpoint --help' for usage.");
    CHECK(parse_error({"get", "a", "--nope"}) == "unknown flag: --nope");
    CHECK(parse_error({"get", "a", "-x"}) == "unknown shorthand flag: 'x' in -x");
    CHECK(parse_error({"get", "a", "--limit"}) == "flag needs an argument: --limit");
    CHECK(parse_error({"get", "a", "--limit=x"}) ==
          "invalid argument \"x\" for \"--limit\" flag: must be a whole number");
    CHECK(parse_error({"put", "a", "--limit=1"}) == "unknown flag: --limit");
    CHECK(
        parse_error({"get", "a"}, {{"ETCDCTL_DIAL_TIMEOUT", "soon"}}) ==
        "invalid value \"soon\" for ETCDCTL_DIAL_TIMEOUT: must be a duration such as 5s or 100ms");
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
    check({"get", "a", "--endpoints", "a"}, 2, "endpoint \"a\": must be host:port");
    check({"get", "a", "--endpoints", ","}, 2, "no endpoints");
    check({"txn", "x"}, 128, "txn command does not accept argument");
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
    check("mod a\n\n\n\n", 3, "malformed comparison: mod a");
    check("\nputt a b\n\n\n", 3, "invalid txn request: putt a b");
    check("\nput a\n\n\n", 128, "put command needs 1 argument and input from stdin or 2 arguments");
    check("\nput a b\n\n", 3, "EOF");
    check("\nput a b", 3, "EOF");
    check("\nput \"a b\n\n\n", 3, "invalid txn request: put \"a b");
}

TEST_CASE("ctl: text as Go writes it", "[ctl][json]") {
    CHECK(json_string("a\"\\\n\x01<&>\xff") == R"("a\"\\\n\u0001\u003c\u0026\u003e\ufffd")");
    CHECK(json_string("\xe2\x80\xa8\xc3\xa4") == "\"\\u2028\xc3\xa4\"");
    CHECK(base64("") == "");
    CHECK(base64("f") == "Zg==");
    CHECK(base64("fo") == "Zm8=");
    CHECK(base64("foo") == "Zm9v");
    CHECK(base64("\xff\xfe\xfd\xfc") == "//79/A==");
    CHECK(draw_table({"a", "bc"}, {{"xyz", "\xc3\xa4"}}) ==
          "+-----+----+\n|  A  | BC |\n+-----+----+\n| xyz |  \xc3\xa4 |\n+-----+----+\n");
}

}  // namespace cairn::client::ctl
