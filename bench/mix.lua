-- 5 of 100 requests burn CPU time, the others are short; prints the latency of
-- the short ones. One connection per thread (wrk -t N -c N), so that a response
-- belongs to the request before it.
local ffi = require("ffi")
ffi.cdef [[
    typedef struct { long sec; long usec; } cgw_timeval;
    int gettimeofday(cgw_timeval *tv, void *tz);
]]
local now = ffi.new("cgw_timeval")
local threads = {}
local started, is_short

local function milliseconds()
    ffi.C.gettimeofday(now, nil)
    return tonumber(now.sec) * 1000 + tonumber(now.usec) / 1000
end

function setup(thread)
    thread:set("number", #threads)
    table.insert(threads, thread)
end

function init(args)
    math.randomseed(number)
    short_times = {}
end

function request()
    is_short = math.random() >= 0.05
    started = milliseconds()
    return wrk.format("GET", is_short and "/" or "/burn")
end

function response()
    if is_short then
        short_times[#short_times + 1] = milliseconds() - started
    end
end

function done(summary, latency, requests)
    local all = {}
    for _, thread in ipairs(threads) do
        for _, ms in ipairs(thread:get("short_times")) do
            all[#all + 1] = ms
        end
    end
    table.sort(all)
    local function percentile(p)
        return all[math.max(1, math.ceil(#all * p / 100))]
    end
    print(string.format('{"p50": %.3f, "p99": %.3f}', percentile(50), percentile(99)))
end
