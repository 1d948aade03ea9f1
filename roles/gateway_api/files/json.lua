-- Copyright: the maas.platform authors
-- SPDX-License-Identifier: Apache-2.0
--
-- Finds members at the top of a JSON object, without making values of the rest. Callers choose the
-- text: so it is gone over once, nothing is kept but how deep it is, and whatever could be read in
-- two ways is refused. What is wrong inside of a value is left to the model's server; outside of
-- strings, though, nothing passes that could hide a quote or a bracket from it.

local byte, find = string.byte, string.find

local DEEPEST, MOST_MEMBERS = 256, 1000
-- Names and values that anybody looks for are shorter, even with every letter escaped.
local LONGEST = 400

local QUOTE, BACKSLASH, COMMA, COLON, OPEN, CLOSE = 34, 92, 44, 58, 123, 125
local CLOSER = { [91] = 93, [123] = 125 }
local NOT_JSON = "The body is not a JSON object."

local PLAIN = {}
for character in (" \t\r\n,:+-.0123456789aeflnrstuE"):gmatch(".") do
  PLAIN[byte(character)] = true
end

local ESCAPED = {
  ['"'] = '"', ["\\"] = "\\", ["/"] = "/",
  b = "\b", f = "\f", n = "\n", r = "\r", t = "\t",
}

local function skip_space(text, at)
  local code = byte(text, at)
  while code == 32 or code == 10 or code == 13 or code == 9 do
    at = at + 1
    code = byte(text, at)
  end
  return at, code
end

-- Returns where the string that begins at this quote ends.
local function end_of_string(text, at)
  local quote = at
  while true do
    quote = find(text, '"', quote + 1, true)
    if not quote then
      return nil
    end
    local before = quote - 1
    while byte(text, before) == BACKSLASH do
      before = before - 1
    end
    -- After an odd number of backslashes the quote is part of the string.
    if (quote - before) % 2 == 1 then
      return quote
    end
  end
end

-- Returns where the array or object that begins here ends.
local function end_of_nested(text, at)
  local closers, depth = {}, 0
  while true do
    local code = byte(text, at)
    if PLAIN[code] then
      at = at + 1
    elseif code == QUOTE then
      local quote = end_of_string(text, at)
      if not quote then
        return nil
      end
      at = quote + 1
    elseif CLOSER[code] then
      depth = depth + 1
      if depth > DEEPEST then
        return nil
      end
      closers[depth] = CLOSER[code]
      at = at + 1
    elseif code and code == closers[depth] then
      depth = depth - 1
      if depth == 0 then
        return at
      end
      at = at + 1
    else
      return nil
    end
  end
end

local function end_of_value(text, at, code)
  if code == QUOTE then
    return end_of_string(text, at)
  elseif CLOSER[code] then
    return end_of_nested(text, at)
  end
  local word = text:sub(at, at + 63):match("^[%w.+-]+") or ""
  local is_known = word == "true" or word == "false" or word == "null"
  if is_known or word:find("^-?%d+%.?%d*$") or word:find("^-?%d+%.?%d*[eE][+-]?%d+$") then
    return at + #word - 1
  end
  return nil
end

local function utf8_of(code)
  local low, middle = 0x80 + code % 64, math.floor(code / 64)
  if code < 0x80 then
    return string.char(code)
  elseif code < 0x800 then
    return string.char(0xC0 + middle, low)
  end
  return string.char(0xE0 + math.floor(middle / 64), 0x80 + middle % 64, low)
end

-- Returns what a string says; nil if it is too long to matter. Halves of surrogate pairs stay
-- halves: no name that anybody looks for has one.
local function string_value(text, first, last)
  if last - first > LONGEST then
    return nil
  end
  local value, at = "", first + 1
  while at < last do
    local slash = find(text, "\\", at, true)
    if not slash or slash > last then
      slash = last
    end
    value = value .. text:sub(at, slash - 1)
    if slash == last then
      return value
    end
    local kind = text:sub(slash + 1, slash + 1)
    local digits = kind == "u" and text:match("^%x%x%x%x", slash + 2)
    value = value .. (digits and utf8_of(tonumber(digits, 16)) or ESCAPED[kind] or "\\" .. kind)
    at = slash + 2 + (digits and 4 or 0)
  end
  return value
end

-- Returns a name as those servers read it that do not look at case.
local function folded(name)
  return (name:gsub("\197\191", "s"):gsub("\226\132\170", "k"):lower())
end

-- Returns the members of an object that are wanted, as name -> {first, last}: where in the text
-- their values are. Or nil, and what is wrong.
local function read_members(text, wanted)
  local found, count = {}, 0
  local at, code = skip_space(text, 1)
  if code ~= OPEN then
    return nil, NOT_JSON
  end
  at, code = skip_space(text, at + 1)
  local is_empty = code == CLOSE
  while not is_empty do
    count = count + 1
    local name_last = code == QUOTE and count <= MOST_MEMBERS and end_of_string(text, at)
    if not name_last then
      return nil, NOT_JSON
    end
    local name = string_value(text, at, name_last) or ""
    at, code = skip_space(text, name_last + 1)
    if code ~= COLON then
      return nil, NOT_JSON
    end
    at, code = skip_space(text, at + 1)
    local last = code and end_of_value(text, at, code)
    if not last then
      return nil, NOT_JSON
    end
    local meant = folded(name)
    if wanted[meant] then
      if name ~= meant then
        return nil, "Write '" .. meant .. "' in lower case."
      elseif found[name] then
        return nil, "'" .. name .. "' is there twice."
      end
      found[name] = { first = at, last = last }
    end
    at, code = skip_space(text, last + 1)
    if code == CLOSE then
      break
    elseif code ~= COMMA then
      return nil, NOT_JSON
    end
    at, code = skip_space(text, at + 1)
  end
  at, code = skip_space(text, at + 1)
  if code then
    return nil, NOT_JSON
  end
  return found
end
