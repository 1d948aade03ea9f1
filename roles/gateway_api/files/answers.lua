-- Copyright: the maas.platform authors
-- SPDX-License-Identifier: Apache-2.0
--
-- What requests are told that get no further, in the shape of OpenAI's errors. Texts are ours
-- alone: nothing of the caller's goes into them.

local function refuse(handle, status, text, param, headers)
  headers = headers or {}
  headers[":status"] = status
  headers["content-type"] = "application/json"
  local kind = status:find("^5") and "server_error" or "invalid_request_error"
  local body = '{"error": {"message": "%s", "type": "%s", "param": %s, "code": null}}'
  handle:respond(headers, body:format(text, kind, param and '"' .. param .. '"' or "null"))
end

-- Returns why a body cannot be read as the text of JSON in UTF-8; nil if it can.
local function unreadable(headers)
  local coding = (headers:get("content-encoding") or "identity"):lower()
  local charset = (headers:get("content-type") or ""):lower():match("charset%s*=%s*\"?([^\"%s;,]*)")
  if coding ~= "identity" then
    return "Send the body as it is: without Content-Encoding."
  elseif charset and charset ~= "utf-8" and charset ~= "utf8" and charset ~= "us-ascii" then
    return "Send the body in UTF-8."
  end
  return nil
end

-- Returns the whole body; it is not larger than the Gateway lets in.
local function body_of(handle)
  local body = handle:body()
  return body and body:getBytes(0, body:length()) or ""
end
