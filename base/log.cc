#include "base/log.h"

#include <atomic>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <spdlog/async.h>
#include <spdlog/async_logger.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace cairn {
namespace {

constexpr std::size_t kQueuedLinesMax = 8192;

struct Logger {
    std::shared_ptr<spdlog::details::thread_pool> pool;
    std::shared_ptr<spdlog::async_logger> logger;
    LogFormat format = LogFormat::kJson;
};

// Set once before other threads start, taken down after they ended.
std::unique_ptr<Logger> active;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

spdlog::level::level_enum to_spdlog(LogLevel level) {
    switch (level) {
        case LogLevel::kDebug: return spdlog::level::debug;
        case LogLevel::kInfo: return spdlog::level::info;
        case LogLevel::kWarn: return spdlog::level::warn;
        case LogLevel::kError: return spdlog::level::err;
        case LogLevel::kPanic:
        case LogLevel::kFatal: return spdlog::level::critical;
    }
    return spdlog::level::info;
}

void append_quoted(std::string& out, std::string_view text) {
    out.push_back('"');
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out.push_back('\\');
            out.push_back(c);
        } else if (static_cast<unsigned char>(c) < 0x20) {
            fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned char>(c));
        } else {
            out.push_back(c);
        }
    }
    out.push_back('"');
}

std::string json_body(std::string_view event, std::initializer_list<LogField> fields) {
    std::string body = "\"msg\":";
    append_quoted(body, event);
    for (const auto& field : fields) {
        body.push_back(',');
        append_quoted(body, field.key);
        body.push_back(':');
        append_quoted(body, field.value);
    }
    return body;
}

std::string console_body(std::string_view event, std::initializer_list<LogField> fields) {
    std::string body(event);
    for (const auto& field : fields) {
        body.push_back(' ');
        body += field.key;
        body.push_back('=');
        if (field.value.find_first_of(" \"=\n\t") == std::string::npos && !field.value.empty()) {
            body += field.value;
        } else {
            append_quoted(body, field.value);
        }
    }
    return body;
}

Result<spdlog::sink_ptr> open_sink(const std::string& output) {
    if (output == "stderr" || output == "default") {
        return spdlog::sink_ptr(std::make_shared<spdlog::sinks::stderr_sink_mt>());
    }
    if (output == "stdout") {
        return spdlog::sink_ptr(std::make_shared<spdlog::sinks::stdout_sink_mt>());
    }
    try {
        return spdlog::sink_ptr(std::make_shared<spdlog::sinks::basic_file_sink_mt>(output));
    } catch (const spdlog::spdlog_ex& exception) {
        return Error{Errc::kIo, exception.what()};
    }
}

}  // namespace

Result<void> start_log(const LogOptions& options) {
    std::vector<spdlog::sink_ptr> sinks;
    for (const auto& output : options.outputs) {
        CAIRN_TRY(auto sink, open_sink(output));
        sinks.push_back(std::move(sink));
    }
    auto next = std::make_unique<Logger>();
    next->pool = std::make_shared<spdlog::details::thread_pool>(kQueuedLinesMax, 1);
    next->logger =
        std::make_shared<spdlog::async_logger>("cairn", sinks.begin(), sinks.end(), next->pool,
                                               spdlog::async_overflow_policy::overrun_oldest);
    next->format = options.format;
    next->logger->set_level(to_spdlog(options.level));
    next->logger->flush_on(spdlog::level::warn);
    next->logger->set_pattern(options.format == LogFormat::kJson
                                  ? R"({"level":"%l","ts":"%Y-%m-%dT%H:%M:%S.%f%z",%v})"
                                  : "%Y-%m-%dT%H:%M:%S.%f%z %l %v");
    active = std::move(next);
    return ok();
}

void stop_log() {
    if (active != nullptr) {
        active->logger->flush();
        active->logger.reset();
        active->pool.reset();  // joins the writer after it has drained the queue
        active.reset();
    }
}

void log_line(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
    if (active == nullptr || !active->logger->should_log(to_spdlog(level))) {
        return;
    }
    const std::string body =
        active->format == LogFormat::kJson ? json_body(event, fields) : console_body(event, fields);
    active->logger->log(to_spdlog(level), spdlog::string_view_t(body));
}

std::uint64_t log_lines_dropped() {
    return active == nullptr ? 0 : static_cast<std::uint64_t>(active->pool->overrun_counter());
}

}  // namespace cairn
