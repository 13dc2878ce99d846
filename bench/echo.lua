-- A JSON document of 10 KB in each request.
local item = '{"id": 12345678, "name": "a name of usual length", "tags": ["one", "two"]}'
local items = {}
for i = 1, 136 do items[i] = item end
wrk.method = "POST"
wrk.body = "[" .. table.concat(items, ",") .. "]"
wrk.headers["Content-Type"] = "application/json"
