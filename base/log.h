// Log lines: an event name and fields, as one line of text or of JSON.
// Any thread; set up once by the program. Pure code never calls this: it leaves TraceEvents.
// Never blocks the caller: a full queue drops its oldest lines and counts them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cairn {

// kPanic and kFatal are thresholds only, as in etcd: no line of ours has them.
enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarn, kError, kPanic, kFatal };
enum class LogFormat : std::uint8_t { kJson, kConsole };

struct LogOptions {
    LogLevel level = LogLevel::kInfo;
    LogFormat format = LogFormat::kJson;
    // "stderr", "stdout", "default" (stderr) or a path; all of them get every line.
    std::vector<std::string> outputs{"stderr"};
};

struct LogField {
    std::string_view key;
    std::string value;
};

// Before this nothing is logged. kIo for a path that cannot be opened.
Result<void> start_log(const LogOptions& options);
// Writes what is queued. The last call of a program.
void stop_log();

void log_line(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});
std::uint64_t log_lines_dropped();

}  // namespace cairn
