-- Copyright: the maas.platform authors
-- SPDX-License-Identifier: Apache-2.0
--
-- Asks for the usage of every stream: a model's server reports it in a stream only if asked, and
-- what is not reported is not counted. The front door hides the report again from callers who did
-- not ask for one; the header below tells it so.

local ADDED_HEADER = "x-maas-usage-added"
local METADATA = "maas.stream"

-- Returns the text with a part replaced.
local function spliced(text, first, last, new)
  return text:sub(1, first - 1) .. new .. text:sub(last + 1)
end

-- Returns options that ask for usage; nil if they do already.
local function asking(options)
  local members, wrong = read_members(options, { include_usage = true })
  if not members then
    return nil, wrong
  end
  local asked = members.include_usage
  if not asked then
    local rest = options:sub(2)
    return '{"include_usage":true' .. (rest:find("^%s*}") and "" or ",") .. rest
  elseif options:sub(asked.first, asked.last) == "true" then
    return nil
  end
  return spliced(options, asked.first, asked.last, "true")
end

-- Returns the body as it has to be, nil if it is that already; or nil and what is wrong.
local function with_usage(text)
  local members, wrong = read_members(text, { stream = true, stream_options = true })
  if not members then
    return nil, wrong
  end
  local stream, options = members.stream, members.stream_options
  local wish = stream and text:sub(stream.first, stream.last) or "null"
  if wish == "null" or wish == "false" then
    return nil
  elseif wish ~= "true" then
    return nil, "'stream' has to be true or false."
  elseif not options then
    return spliced(text, stream.first, stream.last, 'true,"stream_options":{"include_usage":true}')
  end
  local given, new = text:sub(options.first, options.last), nil
  if given == "null" then
    new = '{"include_usage":true}'
  elseif byte(given) ~= OPEN then
    return nil, "'stream_options' has to be an object."
  else
    new, wrong = asking(given)
  end
  return new and spliced(text, options.first, options.last, new), wrong
end

function envoy_on_request(handle)
  local headers = handle:headers()
  if headers:get(":method") ~= "POST" then
    return
  end
  local wrong = unreadable(headers)
  if wrong then
    return refuse(handle, "415", wrong)
  end
  -- A script that fails lets its request pass; uncounted, that is.
  local is_done, text
  is_done, text, wrong = pcall(with_usage, body_of(handle))
  if not is_done then
    return refuse(handle, "500", "The body could not be read.")
  elseif wrong then
    return refuse(handle, "400", wrong)
  elseif text then
    handle:body():setBytes(text)
    handle:streamInfo():dynamicMetadata():set(METADATA, "added", true)
  end
end

function envoy_on_response(handle)
  local metadata = handle:streamInfo():dynamicMetadata():get(METADATA)
  if metadata and metadata.added then
    handle:headers():replace(ADDED_HEADER, "true")
  end
end
