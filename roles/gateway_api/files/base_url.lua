-- Copyright: the maas.platform authors
-- SPDX-License-Identifier: Apache-2.0
--
-- One base URL for all models: /v1/chat/completions becomes /<namespace>/<model>/v1/chat/completions,
-- by the body's `model`, before anything decides by the path. Whatever is left as it was, the
-- AuthPolicy refuses: 401 without a valid token, else 403, as for a model that does not exist.
-- Only what admission.lua marked is read.
-- Before this stand ROUTES, the models that are not where others are, and DEFAULT_NAMESPACE.

local READ_HEADER = "x-maas-read"
-- Copies of larger bodies are not left to the collector's leisure.
local MUCH = 262144

-- Returns the path of a model's namespace and name; nil if it cannot be one.
local function model_path(name)
  if ROUTES[name] then
    return ROUTES[name]
  elseif #name <= 63 and name:find("^[a-z0-9][-a-z0-9]*$") and name:find("[a-z0-9]$") then
    return "/" .. DEFAULT_NAMESPACE .. "/" .. name
  end
  return nil
end

-- Returns the model that a body names, whatever it says; nil and what is wrong if it names none.
local function model_of(text)
  local members, wrong = read_members(text, { model = true })
  if not members then
    return nil, wrong
  elseif not members.model or byte(text, members.model.first) ~= QUOTE then
    return nil, "Name a model: 'model' has to be a string."
  end
  return string_value(text, members.model.first, members.model.last) or ""
end

function envoy_on_request(handle)
  local headers = handle:headers()
  if not headers:get(READ_HEADER) then
    return
  end
  headers:remove(READ_HEADER)
  local path, query = (headers:get(":path") or ""):match("^([^?]*)(.*)$")
  local text = body_of(handle)
  local model, wrong = model_of(text)
  local size = #text
  text = nil
  if size > MUCH then
    collectgarbage()
  end
  if not model then
    return refuse(handle, "400", wrong, "model")
  end
  local place = model_path(model)
  if place then
    -- Asked for anew: what was got before the body came is no longer good.
    handle:headers():replace(":path", place .. path .. query)
  end
end
