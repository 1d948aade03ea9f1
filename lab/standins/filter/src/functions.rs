//! Functions that expressions may call beyond CEL's own: its strings extension, `queryMap` and
//! `responseBodyJSON`.

use std::collections::HashMap;
use std::sync::Arc;

use cel::extractors::{Arguments, This};
use cel::objects::Map;
use cel::{Context, ExecutionError, FunctionContext, Value};
use percent_encoding::percent_decode_str;

/// The variable that holds values of the response body; no expression can spell it.
pub const RESPONSE_BODY: &str = "@responseBodyJSON";
/// Wraps what a macro iterates over, see [`iterable`].
pub const ITERABLE: &str = "@iterable";
/// Reads a value of the response body by its JSON pointer.
pub const RESPONSE_BODY_JSON: &str = "responseBodyJSON";

type Text = Arc<String>;
type Outcome<T> = Result<T, ExecutionError>;

/// A context that knows every function; expressions are evaluated in scopes below it.
pub fn context() -> Context<'static> {
    let mut context = Context::default();
    context.add_function(ITERABLE, iterable);
    context.add_function(RESPONSE_BODY_JSON, response_body_json);
    context.add_function("queryMap", query_map);
    context.add_function("charAt", char_at);
    context.add_function("indexOf", index_of);
    context.add_function("join", join);
    context.add_function("lastIndexOf", last_index_of);
    context.add_function("lowerAscii", |This(text): This<Text>| {
        text.to_ascii_lowercase()
    });
    context.add_function("upperAscii", |This(text): This<Text>| {
        text.to_ascii_uppercase()
    });
    context.add_function("trim", |This(text): This<Text>| text.trim().to_string());
    context.add_function("replace", replace);
    context.add_function("split", split);
    context.add_function("substring", substring);
    context
}

/// The interpreter panics when a macro such as `exists` meets neither list nor map, and a panic
/// would take the whole filter down; this makes it an error of one request.
fn iterable(ftx: &FunctionContext, value: Value) -> Outcome<Value> {
    match value {
        Value::List(_) | Value::Map(_) => Ok(value),
        other => Err(ftx.error(format!("{} is neither list nor map", kind(&other)))),
    }
}

fn response_body_json(ftx: &FunctionContext, pointer: Text) -> Outcome<Value> {
    let Ok(Value::Map(values)) = ftx.ptx.get_variable(RESPONSE_BODY) else {
        return Err(ftx.error("the response body is not known yet"));
    };
    match values.get(&pointer.clone().into()) {
        Some(value) => Ok(value.clone()),
        None => Err(ftx.error(format!("the response body has no {pointer}"))),
    }
}

/// Parameters of a query string; of a repeated one the first, or all with `queryMap(q, true)`.
fn query_map(ftx: &FunctionContext, Arguments(args): Arguments) -> Outcome<Value> {
    let mut args: Vec<Value> = ftx
        .this
        .iter()
        .cloned()
        .chain(args.iter().cloned())
        .collect();
    let repeats = args.len() == 2 && args.pop() == Some(Value::Bool(true));
    let query = match args.as_slice() {
        [Value::String(query)] => query.clone(),
        // A request without a query has a null one.
        [Value::Null] => Arc::default(),
        _ => return Err(ftx.error("takes a query string")),
    };
    let mut map: HashMap<String, Vec<Value>> = HashMap::new();
    for part in query.split('&') {
        let mut halves = part.splitn(3, '=');
        let name = decode(halves.next().unwrap_or_default());
        let value = decode(halves.next().unwrap_or_default());
        map.entry(name).or_default().push(value.into());
    }
    let map: HashMap<String, Value> = map
        .into_iter()
        .map(|(name, mut values)| match values.len() > 1 && repeats {
            true => (name, Value::List(values.into())),
            false => (name, values.swap_remove(0)),
        })
        .collect();
    Ok(Value::Map(Map::from(map)))
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn char_at(ftx: &FunctionContext, This(text): This<Text>, at: i64) -> Outcome<Value> {
    let length = text.chars().count();
    match usize::try_from(at) {
        Ok(at) if at <= length => Ok(text.chars().skip(at).take(1).collect::<String>().into()),
        _ => Err(ftx.error(format!("index {at} out of range"))),
    }
}

fn index_of(
    ftx: &FunctionContext,
    This(text): This<Text>,
    Arguments(args): Arguments,
) -> Outcome<i64> {
    let (needle, offset) = needle_and_number(ftx, &args)?;
    let (text, needle) = (chars(&text), chars(&needle));
    let start = checked_index(ftx, offset.unwrap_or(0), text.len())?;
    Ok((start..=text.len())
        .find(|at| text[*at..].starts_with(&needle))
        .map_or(-1, |at| at as i64))
}

fn last_index_of(
    ftx: &FunctionContext,
    This(text): This<Text>,
    Arguments(args): Arguments,
) -> Outcome<i64> {
    let (needle, offset) = needle_and_number(ftx, &args)?;
    let (text, needle) = (chars(&text), chars(&needle));
    let last = checked_index(ftx, offset.unwrap_or(text.len() as i64), text.len())?;
    Ok((0..=last)
        .rev()
        .find(|at| text[*at..].starts_with(&needle))
        .map_or(-1, |at| at as i64))
}

fn join(
    ftx: &FunctionContext,
    This(list): This<Value>,
    Arguments(args): Arguments,
) -> Outcome<Value> {
    let separator = match args.as_slice() {
        [] => Arc::default(),
        [Value::String(separator)] => separator.clone(),
        _ => return Err(ftx.error("takes a separator")),
    };
    let Value::List(items) = list else {
        return Err(ftx.error("joins lists only"));
    };
    let texts: Option<Vec<&str>> = items
        .iter()
        .map(|item| match item {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    texts
        .map(|texts| texts.join(&separator).into())
        .ok_or_else(|| ftx.error("joins strings only"))
}

fn replace(
    ftx: &FunctionContext,
    This(text): This<Text>,
    Arguments(args): Arguments,
) -> Outcome<Value> {
    match args.as_slice() {
        [Value::String(from), Value::String(to)] => Ok(text.replace(&**from, to).into()),
        [Value::String(from), Value::String(to), Value::Int(limit)] => {
            Ok(match usize::try_from(*limit) {
                Ok(limit) => text.replacen(&**from, to, limit).into(),
                Err(_) => text.replace(&**from, to).into(),
            })
        }
        _ => Err(ftx.error("takes what to replace, by what, and how often")),
    }
}

fn split(
    ftx: &FunctionContext,
    This(text): This<Text>,
    Arguments(args): Arguments,
) -> Outcome<Value> {
    let (separator, limit) = needle_and_number(ftx, &args)?;
    let mut parts: Vec<String> = match separator.is_empty() {
        true => text.chars().map(String::from).collect(),
        false => text.split(&**separator).map(String::from).collect(),
    };
    if let Some(Ok(limit)) = limit.map(usize::try_from) {
        if limit == 0 {
            parts.clear();
        } else if limit < parts.len() {
            let rest = parts.split_off(limit - 1);
            parts.push(rest.join(&separator));
        }
    }
    Ok(parts.into())
}

fn substring(
    ftx: &FunctionContext,
    This(text): This<Text>,
    Arguments(args): Arguments,
) -> Outcome<Value> {
    let text = chars(&text);
    let (start, end) = match args.as_slice() {
        [Value::Int(start)] => (*start, text.len() as i64),
        [Value::Int(start), Value::Int(end)] => (*start, *end),
        _ => return Err(ftx.error("takes one or two positions")),
    };
    let start = checked_index(ftx, start, text.len())?;
    let end = checked_index(ftx, end, text.len())?;
    match text.get(start..end) {
        Some(part) => Ok(part.iter().collect::<String>().into()),
        None => Err(ftx.error(format!("{end} is before {start}"))),
    }
}

fn chars(text: &str) -> Vec<char> {
    text.chars().collect()
}

fn checked_index(ftx: &FunctionContext, at: i64, length: usize) -> Outcome<usize> {
    usize::try_from(at)
        .ok()
        .filter(|at| *at <= length)
        .ok_or_else(|| ftx.error(format!("index {at} out of range")))
}

fn needle_and_number(ftx: &FunctionContext, args: &[Value]) -> Outcome<(Text, Option<i64>)> {
    match args {
        [Value::String(text)] => Ok((text.clone(), None)),
        [Value::String(text), Value::Int(number)] => Ok((text.clone(), Some(*number))),
        _ => Err(ftx.error("takes a string and perhaps a number")),
    }
}

fn kind(value: &Value) -> String {
    value.type_of().to_string()
}

#[cfg(test)]
mod tests {
    use cel::Program;

    use super::*;

    fn evaluate(source: &str) -> Result<Value, ExecutionError> {
        Program::compile(source).unwrap().execute(&context())
    }

    #[test]
    fn strings_extension() {
        for source in [
            "'hello'.charAt(4) == 'o' && 'hello'.charAt(5) == ''",
            "'hello mellow'.indexOf('ello') == 1 && 'hello mellow'.indexOf('ello', 2) == 7",
            "'hello'.indexOf('') == 0 && 'hello'.indexOf('jello') == -1",
            "'hello mellow'.lastIndexOf('ello') == 7 && 'hello mellow'.lastIndexOf('ello', 6) == 1",
            "['a', 'b'].join('-') == 'a-b' && ['a', 'b'].join() == 'ab'",
            "'TacoCÆt'.lowerAscii() == 'tacocÆt' && 'TacoCÆt'.upperAscii() == 'TACOCÆT'",
            "'  x '.trim() == 'x'",
            "'hello hello'.replace('he', 'we') == 'wello wello'",
            "'hello hello'.replace('he', 'we', 1) == 'wello hello'",
            "'a,b,c'.split(',') == ['a', 'b', 'c'] && 'a,b,c'.split(',', 2) == ['a', 'b,c']",
            "'a,b'.split(',', 0) == [] && 'ab'.split('') == ['a', 'b']",
            "'tacocat'.substring(4) == 'cat' && 'tacocat'.substring(0, 4) == 'taco'",
        ] {
            assert_eq!(evaluate(source), Ok(Value::Bool(true)), "{source}");
        }
    }

    #[test]
    fn what_is_out_of_range_is_an_error() {
        for source in [
            "'a'.charAt(2)",
            "'a'.charAt(-1)",
            "'a'.substring(2)",
            "'abc'.substring(2, 1)",
            "'a'.indexOf('a', 3)",
            "'a'.split(1)",
            "'a'.replace('a')",
            "[1].join()",
            "'a'.join()",
        ] {
            assert!(evaluate(source).is_err(), "{source}");
        }
    }

    #[test]
    fn query_parameters() {
        for source in [
            "queryMap('a=1&b=%C3%A4&a=2&c')['a'] == '1'",
            "queryMap('a=1&b=%C3%A4&a=2&c')['b'] == 'ä'",
            "queryMap('a=1&a=2', true)['a'] == ['1', '2']",
            "queryMap('a=1&c')['c'] == ''",
            "'c' in queryMap('a=1&c') && !('d' in queryMap('a=1&c'))",
            "!('a' in queryMap(null))",
        ] {
            assert_eq!(evaluate(source), Ok(Value::Bool(true)), "{source}");
        }
        assert!(evaluate("queryMap(1)").is_err());
        assert!(evaluate("queryMap()").is_err());
    }

    #[test]
    fn the_response_body_is_unknown_before_there_is_one() {
        assert!(evaluate("responseBodyJSON('/usage/total_tokens')").is_err());
    }
}
