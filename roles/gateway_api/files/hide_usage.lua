-- Copyright: the maas.platform authors
-- SPDX-License-Identifier: Apache-2.0
--
-- Hides the report of usage from callers who did not ask for it. It comes in an event of its own
-- whose `choices` are empty, and many a program takes the first choice of every event.

local ADDED_HEADER = "x-maas-usage-added"
-- No report is longer; of what is, nothing is held back.
local LONGEST_EVENT = 65536

-- Returns whether an event reports usage and nothing else.
local function is_report(event)
  local data = event:match("^data: ?(.-)%s*$")
  if not data or not data:find('"usage"', 1, true) then
    return false
  end
  local members = read_members(data, { choices = true, usage = true })
  if not members or not members.choices or not members.usage then
    return false
  end
  local choices = data:sub(members.choices.first, members.choices.last)
  return choices:find("^%[%s*%]$") ~= nil and byte(data, members.usage.first) == OPEN
end

-- Returns whether an event that has not ended yet may become a report.
local function may_be_report(start)
  return #start < LONGEST_EVENT and (start:find("^data: ?{") or ("data: {"):find(start, 1, true) == 1)
end

-- Returns what of a stream can be passed on, and what has to wait for more.
local function without_reports(text)
  local kept, at = {}, 1
  while true do
    local first, last = find(text, "\r?\n\r?\n", at)
    if not first then
      break
    end
    local event = text:sub(at, first - 1)
    if not is_report(event) then
      kept[#kept + 1] = text:sub(at, last)
    end
    at = last + 1
  end
  local rest = text:sub(at)
  if rest ~= "" and not may_be_report(rest) then
    kept[#kept + 1], rest = rest, ""
  end
  return table.concat(kept), rest
end

function envoy_on_response(handle)
  local headers = handle:headers()
  if not headers:get(ADDED_HEADER) then
    return
  end
  headers:remove(ADDED_HEADER)
  if not (headers:get("content-type") or ""):find("^text/event%-stream") then
    return
  end
  headers:remove("content-length")
  local rest = ""
  for chunk in handle:bodyChunks() do
    local text = rest .. chunk:getBytes(0, chunk:length())
    local kept
    kept, rest = without_reports(text)
    chunk:setBytes(kept)
  end
end
