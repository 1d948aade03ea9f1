-- Copyright: the maas.platform authors
-- SPDX-License-Identifier: Apache-2.0
--
-- One base URL for all models: /v1/chat/completions becomes /<namespace>/<model>/v1/chat/completions,
-- by the body's `model`, before anything decides by the path. Whatever is left as it was, the
-- AuthPolicy refuses: 401 without a valid token, else 403, as for a model that does not exist.
-- Before this stand ROUTES, the models that are not where others are, and DEFAULT_NAMESPACE.

local BASE_PATHS = {
  ["/v1/chat/completions"] = true,
  ["/v1/completions"] = true,
  ["/v1/embeddings"] = true,
}

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
  local path, query = (headers:get(":path") or ""):match("^([^?]*)(.*)$")
  if not BASE_PATHS[path] then
    return
  end
  -- Without a token nothing is read: the AuthPolicy answers at once.
  local token = headers:get("authorization")
  if not token or not token:find("^[Bb][Ee][Aa][Rr][Ee][Rr] +%S") then
    return
  elseif headers:get(":method") ~= "POST" then
    return refuse(handle, "405", "Send a POST.", nil, { allow = "POST" })
  end
  local wrong = unreadable(headers)
  if wrong then
    return refuse(handle, "415", wrong)
  end
  local model
  model, wrong = model_of(body_of(handle))
  if not model then
    return refuse(handle, "400", wrong, "model")
  end
  local place = model_path(model)
  if place then
    -- Asked for anew: what was got before the body came is no longer good.
    handle:headers():replace(":path", place .. path .. query)
  end
end
