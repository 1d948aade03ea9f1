//! Counters under the names that limitador-server publishes.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;

use limitador::limit::{Context, Expression};

const NAMESPACE: &str = "limitador_namespace";
const LIMIT_NAME: &str = "limit_name";

type Labels = Vec<(String, String)>;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Requests that were let through.
    AuthorizedCalls,
    /// What they used.
    AuthorizedHits,
    /// Requests that were not.
    LimitedCalls,
}

impl Metric {
    fn name(self) -> &'static str {
        match self {
            Self::AuthorizedCalls => "authorized_calls",
            Self::AuthorizedHits => "authorized_hits",
            Self::LimitedCalls => "limited_calls",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::AuthorizedCalls => "Authorized calls",
            Self::AuthorizedHits => "Authorized hits",
            Self::LimitedCalls => "Limited calls",
        }
    }
}

/// All counters.
#[derive(Debug, Default)]
pub struct Metrics {
    counters: Mutex<BTreeMap<(Metric, Labels), u64>>,
    default_labels: Option<Expression>,
    limit_names: bool,
}

impl Metrics {
    /// Counters with these labels besides the namespace.
    pub fn new(default_labels: Option<Expression>, limit_names: bool) -> Self {
        Self {
            counters: Mutex::default(),
            default_labels,
            limit_names,
        }
    }

    /// Counts.
    pub fn add(
        &self,
        metric: Metric,
        amount: u64,
        namespace: &str,
        limit_name: Option<&str>,
        context: &Context<'_>,
    ) {
        let mut labels = self.labels(context);
        labels.push((NAMESPACE.to_string(), namespace.to_string()));
        if self.limit_names && metric == Metric::LimitedCalls {
            let name = limit_name.unwrap_or_default().to_string();
            labels.push((LIMIT_NAME.to_string(), name));
        }
        if let Ok(mut counters) = self.counters.lock() {
            *counters.entry((metric, labels)).or_default() += amount;
        }
    }

    /// Prometheus' text format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let mut heading = None;
        if let Ok(counters) = self.counters.lock() {
            for ((metric, labels), value) in counters.iter() {
                if heading.replace(*metric) != Some(*metric) {
                    let (name, help) = (metric.name(), metric.help());
                    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} counter\n");
                }
                let labels: Vec<String> = labels
                    .iter()
                    .map(|(name, value)| format!("{}=\"{}\"", label_name(name), escape(value)))
                    .collect();
                let _ = writeln!(text, "{}{{{}}} {value}", metric.name(), labels.join(","));
            }
        }
        for (name, help, value) in [
            (
                "datastore_partitioned",
                "Limitador is partitioned from backing datastore",
                0,
            ),
            ("limitador_up", "Limitador is running", 1),
        ] {
            let _ = write!(
                text,
                "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n"
            );
        }
        text
    }

    fn labels(&self, context: &Context<'_>) -> Labels {
        // Requests without that descriptor have no such labels.
        let mut labels: Labels = self
            .default_labels
            .as_ref()
            .and_then(|labels| crate::limits::guarded(|| labels.eval_map(context)).ok())
            .unwrap_or_default()
            .into_iter()
            .filter(|(name, _)| name != NAMESPACE && name != LIMIT_NAME)
            .collect();
        labels.sort();
        labels
    }
}

fn label_name(name: &str) -> String {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut label: String = name
        .chars()
        .map(|c| if legal(c) { c } else { '_' })
        .collect();
    if label.starts_with(|c: char| c.is_ascii_digit()) {
        label.insert(0, '_');
    }
    label
}

fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn context(labels: &[(&str, &str)]) -> Context<'static> {
        let mut context = Context::default();
        let map = |pairs: &[(&str, &str)]| -> HashMap<String, String> {
            pairs
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect()
        };
        context.list_binding("descriptors".to_string(), vec![map(&[]), map(labels)]);
        context
    }

    #[test]
    fn request_data_becomes_labels() {
        let labels = Expression::parse("descriptors[1]").unwrap();
        let metrics = Metrics::new(Some(labels), true);
        let alice = context(&[
            ("user", "ali\"ce\n"),
            ("a.b", "x"),
            ("limit_name", "forged"),
        ]);
        metrics.add(Metric::AuthorizedCalls, 1, "a/b", None, &alice);
        metrics.add(Metric::AuthorizedHits, 42, "a/b", None, &alice);
        metrics.add(Metric::LimitedCalls, 1, "a/b", Some("free"), &alice);
        metrics.add(Metric::LimitedCalls, 1, "a/b", Some("free"), &alice);
        let text = metrics.render();
        let labels = r#"a_b="x",user="ali\"ce\n",limitador_namespace="a/b""#;
        assert!(
            text.contains(&format!("authorized_calls{{{labels}}} 1\n")),
            "{text}"
        );
        assert!(
            text.contains(&format!("authorized_hits{{{labels}}} 42\n")),
            "{text}"
        );
        assert!(
            text.contains(&format!(
                "limited_calls{{{labels},limit_name=\"free\"}} 2\n"
            )),
            "{text}"
        );
        assert!(text.contains("# TYPE authorized_calls counter\n"));
    }

    #[test]
    fn a_request_without_request_data_is_counted_without_its_labels() {
        let labels = Expression::parse("descriptors[1]").unwrap();
        let metrics = Metrics::new(Some(labels), false);
        let mut bare = Context::default();
        bare.list_binding("descriptors".to_string(), vec![]);
        metrics.add(Metric::LimitedCalls, 1, "a/b", Some("free"), &bare);
        assert!(
            metrics
                .render()
                .contains("limited_calls{limitador_namespace=\"a/b\"} 1\n")
        );
    }

    #[test]
    fn without_any_request_it_is_up() {
        assert!(Metrics::default().render().contains("\nlimitador_up 1\n"));
    }
}
