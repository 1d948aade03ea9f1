-- Copyright: the maas.platform authors
-- SPDX-License-Identifier: Apache-2.0
--
-- Decides whose body is held until its model is known. That is before the token is checked, so what
-- is held is bounded: in sum, and for bodies of ordinary size apart from large ones, which therefore
-- cannot crowd them out. Before this stand AUDIENCE, LARGEST, and the two sums for one worker,
-- SMALL_SUM and LARGE_SUM. A request that is not marked here is not read, and not rewritten.

local READ_HEADER = "x-maas-read"
local METADATA = "maas.admission"
local SMALL = 65536
-- What a request costs besides its body.
local LEAST = 1024

local BASE_PATHS = {
  ["/v1/chat/completions"] = true,
  ["/v1/completions"] = true,
  ["/v1/embeddings"] = true,
}

local SEXTETS = {}
for place = 1, 64 do
  local letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
  SEXTETS[letters:byte(place)] = place - 1
end

local function decoded(text)
  local bytes, rest, bits = {}, 0, 0
  for at = 1, #text do
    rest, bits = rest * 64 + SEXTETS[text:byte(at)], bits + 6
    if bits >= 8 then
      bits = bits - 8
      bytes[#bytes + 1] = string.char(math.floor(rest / 2 ^ bits))
      rest = rest % 2 ^ bits
    end
  end
  return table.concat(bytes)
end

-- Returns whether a token could be one of ours. Whether it is, the AuthPolicy says: no signature
-- is looked at here.
local function may_be_ours(authorization)
  local token = authorization:match("^[Bb][Ee][Aa][Rr][Ee][Rr] +(%S+) *$")
  local claims = token and #token < 8192 and token:match("^[%w_-]+%.([%w_-]+)%.[%w_-]+$")
  local text = claims and decoded(claims) or ""
  local expires = tonumber(text:match('"exp":%s*(%d+)'))
  return text:find('"' .. AUDIENCE .. '"', 1, true) and expires and expires > os.time()
end

-- What is held: by stream, which the key is alive as long as; and by number, for its answer.
local STREAMS, NUMBERS = setmetatable({}, { __mode = "k" }), setmetatable({}, { __mode = "v" })
local held, number, counted_at = { small = 0, large = 0 }, 0, 0

-- Streams that were cut off gave nothing back: it is found out when there is not enough.
local function count_again()
  if counted_at == os.time() then
    return
  end
  counted_at = os.time()
  collectgarbage()
  held = { small = 0, large = 0 }
  for _, share in pairs(STREAMS) do
    held[share.kind] = held[share.kind] + share.bytes
  end
end

local function fits(kind, bytes)
  local sum = kind == "small" and SMALL_SUM or LARGE_SUM
  return held[kind] == 0 or held[kind] + bytes <= sum
end

-- Returns the number under which a body is held; nil if there is no room for it.
local function reserve(length)
  local bytes = math.max(LEAST, math.min(length or LARGEST, LARGEST))
  local kind = bytes <= SMALL and "small" or "large"
  if not fits(kind, bytes) then
    count_again()
    if not fits(kind, bytes) then
      return nil
    end
  end
  held[kind] = held[kind] + bytes
  number = number + 1
  local share = { kind = kind, bytes = bytes }
  STREAMS[coroutine.running()], NUMBERS[number] = share, share
  return number
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local path = (headers:get(":path") or ""):match("^[^?]*")
  if not BASE_PATHS[path] or not may_be_ours(headers:get("authorization") or "") then
    return
  elseif headers:get(":method") ~= "POST" then
    return refuse(handle, "405", "Send a POST.", nil, { allow = "POST" })
  end
  local wrong = unreadable(headers)
  if wrong then
    return refuse(handle, "415", wrong)
  end
  local length = tonumber(headers:get("content-length") or "")
  if length and length > LARGEST then
    -- At once: whoever sends it may notice before it is all on its way.
    return refuse(handle, "413", "The body is too large.")
  end
  local reserved = reserve(length)
  if not reserved then
    local text = "Too many bodies are on their way. Try again, or use the model's own URL."
    return refuse(handle, "503", text, nil, { ["retry-after"] = "1" })
  end
  handle:streamInfo():dynamicMetadata():set(METADATA, "number", reserved)
  headers:replace(READ_HEADER, "true")
end

function envoy_on_response(handle)
  local metadata = handle:streamInfo():dynamicMetadata():get(METADATA)
  local share = metadata and NUMBERS[metadata.number]
  if share and share.bytes > 0 then
    held[share.kind] = math.max(0, held[share.kind] - share.bytes)
    share.bytes = 0
  end
end
