//! Values out of response bodies, whole JSON or a stream of server-sent events.

use std::collections::HashMap;

use cel::Value;
use serde_json::Value as Json;

/// A body or event beyond this size is not looked into; its usage counts as missing.
const MAX_BYTES: usize = 32 << 20;

/// Reads a response body as it passes and remembers the values asked for.
#[derive(Debug)]
pub struct UsageReader {
    pointers: Vec<String>,
    body: Body,
    found: HashMap<String, Value>,
}

#[derive(Debug)]
enum Body {
    Json { bytes: Vec<u8>, too_large: bool },
    Events(Events),
}

impl UsageReader {
    /// A reader of the values at `pointers` (RFC 6901) for a response of this content type.
    pub fn new(pointers: Vec<String>, content_type: Option<&str>) -> Self {
        let events =
            content_type.is_some_and(|t| t.to_ascii_lowercase().contains("text/event-stream"));
        let body = if events {
            Body::Events(Events::default())
        } else {
            Body::Json {
                bytes: Vec::new(),
                too_large: false,
            }
        };
        Self {
            pointers,
            body,
            found: HashMap::new(),
        }
    }

    /// Takes the next piece of the body, cut anywhere.
    pub fn feed(&mut self, chunk: &[u8]) {
        match &mut self.body {
            Body::Json { bytes, too_large } => {
                if *too_large || bytes.len() + chunk.len() > MAX_BYTES {
                    *too_large = true;
                    *bytes = Vec::new();
                } else {
                    bytes.extend_from_slice(chunk);
                }
            }
            Body::Events(events) => {
                let (pointers, found) = (&self.pointers, &mut self.found);
                events.feed(chunk, &mut |data| look_up(pointers, data, found));
            }
        }
    }

    /// What was found once the body is over; of a stream, the last event that carries a value.
    pub fn finish(mut self) -> HashMap<String, Value> {
        match self.body {
            Body::Json { bytes, .. } => look_up(&self.pointers, &bytes, &mut self.found),
            Body::Events(mut events) => {
                let (pointers, found) = (&self.pointers, &mut self.found);
                events.finish(&mut |data| look_up(pointers, data, found));
            }
        }
        self.found
    }
}

fn look_up(pointers: &[String], data: &[u8], found: &mut HashMap<String, Value>) {
    // Most events are tokens; parsing only those that name the last key keeps streaming cheap.
    if !pointers.iter().any(|pointer| names_key(data, pointer)) {
        return;
    }
    let Ok(json) = serde_json::from_slice::<Json>(data) else {
        return;
    };
    for pointer in pointers {
        if let Some(value) = json.pointer(pointer).and_then(scalar) {
            found.insert(pointer.clone(), value);
        }
    }
}

fn names_key(data: &[u8], pointer: &str) -> bool {
    let key = pointer.rsplit('/').next().unwrap_or_default().as_bytes();
    // A key with an escape is not searched for as it stands, nor is one that JSON may write
    // differently; neither occurs in a usage block.
    key.is_empty()
        || key.contains(&b'~')
        || data.windows(key.len()).any(|window| window == key)
        || data.contains(&b'\\')
}

fn scalar(json: &Json) -> Option<Value> {
    match json {
        Json::Bool(value) => Some(Value::Bool(*value)),
        Json::String(value) => Some(value.as_str().into()),
        Json::Number(number) => number
            .as_u64()
            .map(Value::UInt)
            .or_else(|| number.as_i64().map(Value::Int))
            .or_else(|| number.as_f64().map(Value::Float)),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

/// The data of server-sent events; the other fields do not matter here.
#[derive(Debug, Default)]
struct Events {
    line: Vec<u8>,
    data: Vec<u8>,
    after_cr: bool,
    too_large: bool,
}

impl Events {
    fn feed(&mut self, chunk: &[u8], event: &mut impl FnMut(&[u8])) {
        let mut rest = chunk;
        while let Some(&first) = rest.first() {
            if std::mem::take(&mut self.after_cr) && first == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let (text, next) = match end {
                Some(at) => (&rest[..at], &rest[at + 1..]),
                None => (rest, &rest[rest.len()..]),
            };
            if self.line.len() + self.data.len() + text.len() > MAX_BYTES {
                self.too_large = true;
                self.line.clear();
            }
            if !self.too_large {
                self.line.extend_from_slice(text);
            }
            if let Some(at) = end {
                self.after_cr = rest[at] == b'\r';
                self.end_line(event);
            }
            rest = next;
        }
    }

    fn finish(&mut self, event: &mut impl FnMut(&[u8])) {
        // A stream that ends inside an event has still told what it told.
        self.end_line(event);
        self.dispatch(event);
    }

    fn end_line(&mut self, event: &mut impl FnMut(&[u8])) {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() && !self.too_large {
            self.dispatch(event);
        } else if line.is_empty() {
            // The rest of an oversized line; the event goes with it.
            self.data.clear();
            self.too_large = false;
        } else if let Some(value) = field_value(&line, b"data") {
            if !self.data.is_empty() {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(value);
        }
        self.line = line;
        self.line.clear();
    }

    fn dispatch(&mut self, event: &mut impl FnMut(&[u8])) {
        if !self.data.is_empty() {
            event(&self.data);
            self.data.clear();
        }
    }
}

/// The value of a line `name: value`; one space after the colon does not belong to it.
fn field_value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let value = line.strip_prefix(name)?.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOTAL: &str = "/usage/total_tokens";

    fn read(content_type: &str, chunks: &[&[u8]]) -> Option<Value> {
        let mut reader = UsageReader::new(vec![TOTAL.to_string()], Some(content_type));
        for chunk in chunks {
            reader.feed(chunk);
        }
        reader.finish().remove(TOTAL)
    }

    #[test]
    fn usage_of_a_whole_body() {
        let body = br#"{"choices":[],"usage":{"prompt_tokens":3,"total_tokens":42}}"#;
        assert_eq!(read("application/json", &[body]), Some(Value::UInt(42)));
        assert_eq!(
            read("application/json", &[&body[..7], &body[7..]]),
            Some(Value::UInt(42))
        );
    }

    #[test]
    fn a_body_without_usage_has_none() {
        for body in [
            &b""[..],
            b"{}",
            b"not JSON",
            br#"{"usage":null}"#,
            br#"{"usage":{"total_tokens":null}}"#,
            br#"{"usage":{"total_tokens":[1]}}"#,
            br#"{"usage":{"total_tokens":1}"#,
            b"\x1f\x8b\x08compressed",
        ] {
            assert_eq!(read("application/json", &[body]), None, "{body:?}");
        }
    }

    #[test]
    fn usage_of_a_stream_is_in_the_last_event_that_has_one() {
        let stream: &[u8] = b"data: {\"usage\":{\"total_tokens\":1}}\n\n\
            : a comment\nevent: message\ndata: {\"usage\":{\"total_tokens\":7}}\n\n\
            data: {\"choices\":[{\"delta\":{\"content\":\"total_tokens\"}}]}\n\n\
            data: [DONE]\n\n";
        assert_eq!(read("text/event-stream", &[stream]), Some(Value::UInt(7)));
    }

    #[test]
    fn a_stream_without_usage_has_none() {
        let stream: &[u8] = b"data: {\"choices\":[]}\n\ndata: [DONE]\n\n";
        assert_eq!(read("text/event-stream; charset=utf-8", &[stream]), None);
    }

    #[test]
    fn every_line_ending_and_a_cut_off_stream_are_read() {
        for stream in [
            &b"data:{\"usage\":{\"total_tokens\":7}}\r\n\r\n"[..],
            b"data: {\"usage\":{\"total_tokens\":7}}\r\r",
            b"data: {\"usage\":\ndata: {\"total_tokens\":7}}\n\n",
            b"\xef\xbb\xbfdata: {\"usage\":{\"total_tokens\":7}}\n\n",
            b"data: {\"usage\":{\"total_tokens\":7}}",
        ] {
            assert_eq!(read("text/event-stream", &[stream]), Some(Value::UInt(7)));
        }
    }

    #[test]
    fn numbers_keep_their_kind() {
        for (text, expected) in [
            ("7", Value::UInt(7)),
            ("-7", Value::Int(-7)),
            ("7.5", Value::Float(7.5)),
            ("true", Value::Bool(true)),
            ("\"7\"", "7".into()),
        ] {
            let body = format!("{{\"usage\":{{\"total_tokens\":{text}}}}}");
            assert_eq!(read("application/json", &[body.as_bytes()]), Some(expected));
        }
    }

    #[test]
    fn an_oversized_event_is_skipped_and_the_next_one_read() {
        let large = vec![b'x'; MAX_BYTES];
        let chunks: [&[u8]; 5] = [
            b"data: ",
            &large,
            &large,
            b"\n\n",
            b"data: {\"usage\":{\"total_tokens\":7}}\n\n",
        ];
        assert_eq!(read("text/event-stream", &chunks), Some(Value::UInt(7)));
        assert_eq!(read("application/json", &[&large, &large, b"{}"]), None);
    }

    fn split<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
    }

    proptest! {
        #[test]
        fn usage_is_found_however_the_stream_is_cut(
            contents in prop::collection::vec("[a-zA-Zäöü€😀\\\\\" ]{0,12}", 0..8),
            total in any::<u32>(),
            ending in prop::sample::select(vec!["\n", "\r\n", "\r"]),
            done in any::<bool>(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let mut events: Vec<String> = contents
                .iter()
                .map(|text| serde_json::json!({"choices": [{"delta": {"content": text}}], "usage": null}))
                .map(|json| json.to_string())
                .collect();
            events.push(serde_json::json!({"usage": {"total_tokens": total}}).to_string());
            if done {
                events.push("[DONE]".to_string());
            }
            let stream = events.join(&format!("{ending}{ending}data: "));
            let stream = format!("data: {stream}{ending}{ending}");
            let found = read("text/event-stream", &split(stream.as_bytes(), &cuts));
            prop_assert_eq!(found, Some(Value::UInt(total.into())));
        }

        #[test]
        fn usage_is_found_however_the_body_is_cut(
            total in any::<u32>(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let body = serde_json::json!({"id": "ä€😀", "usage": {"total_tokens": total}});
            let found = read("application/json", &split(body.to_string().as_bytes(), &cuts));
            prop_assert_eq!(found, Some(Value::UInt(total.into())));
        }

        #[test]
        fn no_stream_can_break_it(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        ) {
            read("text/event-stream", &split(&bytes, &cuts));
        }
    }
}
