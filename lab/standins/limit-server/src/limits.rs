//! The file of limits: read, and tried out before it is used.

use std::any::Any;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

use limitador::limit::{Context, Expression, Limit};

/// Reads limits from YAML.
///
/// # Errors
/// When the file is not a list of limits, or holds a condition or variable that cannot work. Then
/// none of it is to be used: limits left out would let requests pass.
pub fn parse(text: &str) -> Result<Vec<Limit>, String> {
    let list: serde_yaml_ng::Value =
        serde_yaml_ng::from_str(text).map_err(|error| error.to_string())?;
    if !list.is_sequence() {
        // An empty document would read as no limits at all.
        return Err("not a list of limits".to_string());
    }
    let limits: Vec<Limit> = guarded(|| serde_yaml_ng::from_value(list))?;
    for limit in &limits {
        try_out(limit).map_err(|error| {
            format!(
                "limit {} in {}: {error}",
                limit.name().unwrap_or("without a name"),
                limit.namespace().as_ref()
            )
        })?;
    }
    Ok(limits)
}

/// What conditions and variables may speak of; the crate takes a limit on anything else, a macro's
/// own variable included, as one that never applies.
const KNOWN: [&str; 2] = ["descriptors", "limit"];

/// Evaluates a limit against descriptors that have every key it asks for.
///
/// The crate panics on a condition that cannot be evaluated; better now than at a request.
fn try_out(limit: &Limit) -> Result<(), String> {
    let sources: Vec<String> = limit
        .conditions()
        .into_iter()
        .chain(limit.variables())
        .collect();
    for source in &sources {
        let expression = guarded(|| Expression::parse(source))?;
        if let Some(name) = expression
            .variables()
            .iter()
            .find(|name| !KNOWN.contains(&name.as_str()))
        {
            return Err(format!("{source}: would never apply, {name} is unknown"));
        }
    }
    let descriptor: HashMap<String, String> = sources
        .iter()
        .flat_map(|source| string_literals(source))
        .map(|literal| (literal, "1".to_string()))
        .collect();
    guarded(|| {
        let mut context = Context::default();
        context.list_binding("descriptors".to_string(), vec![descriptor; 4]);
        limit.applies(&context);
        limit.resolve_variables(&context).map(|_| ())
    })
}

/// Everything between quotes, keys among it.
fn string_literals(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for quote in ['"', '\''] {
        found.extend(source.split(quote).skip(1).step_by(2).map(String::from));
    }
    found
}

/// Runs a piece of the crate, where a mistake in a limit can be a panic.
///
/// # Errors
/// The error, or the panic's message.
pub fn guarded<T, E: Display>(work: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => Err(format!("cannot be evaluated: {}", message(&*panic))),
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown reason")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_s_file() {
        let limits = parse(
            r#"
- conditions:
  - descriptors[0]["limit.free__340814a7"] == "1"
  max_value: 5
  name: free
  namespace: maas-gateway/maas-inference
  seconds: 120
  variables:
  - descriptors[0]["auth.identity.userid"]
- conditions:
  - descriptors[0]["limit.free__340814a7"] == "1"
  max_value: 50
  name: free
  namespace: maas-gateway/maas-inference
  seconds: 3600
  variables:
  - descriptors[0]["auth.identity.userid"]
"#,
        )
        .unwrap();
        assert_eq!(limits.len(), 2);
        assert_eq!(limits[0].max_value(), 5);
        assert_eq!(limits[1].seconds(), 3600);
    }

    #[test]
    fn an_empty_list_is_a_file() {
        assert!(parse("[]\n").unwrap().is_empty());
    }

    #[test]
    fn limits_that_cannot_work_are_refused() {
        let limit = |conditions: &str, variables: &str| {
            format!(
                "[{{namespace: a/b, max_value: 1, seconds: 1, conditions: [{conditions}], \
                 variables: [{variables}]}}]"
            )
        };
        for text in [
            "not a list".to_string(),
            String::new(),
            "# only a comment".to_string(),
            "{}".to_string(),
            "[{namespace: a/b}]".to_string(),
            limit("'descriptors[0'", ""),
            limit("''", ""),
            limit("'descriptors[0][\"a\"]'", ""),
            limit("'descriptors[9][\"a\"] == \"1\"'", ""),
            limit("'descriptors[0][\"a\"] + 1 == 2'", ""),
            limit("'nothing(descriptors)'", ""),
            limit("'descriptors.all(d, d.x == \"1\")'", ""),
            limit("'x == \"1\"'", ""),
            limit("", "'x'"),
            limit("", "'descriptors[0'"),
            limit("", "'descriptors[0]'"),
            limit("", "'nothing(descriptors)'"),
        ] {
            assert!(parse(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn one_bad_limit_refuses_the_file_by_its_name() {
        let error = parse(
            "[{namespace: a/b, max_value: 1, seconds: 1, conditions: [], variables: []},
              {namespace: a/b, name: bad, max_value: 1, seconds: 2, variables: [],
               conditions: ['nothing(descriptors)']}]",
        )
        .unwrap_err();
        assert!(error.contains("limit bad in a/b"), "{error}");
    }
}
