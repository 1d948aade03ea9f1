//! Which action sets a host name selects.

use std::collections::HashMap;

/// Values by host name; the most specific name wins, and only it counts.
#[derive(Debug, Default)]
pub struct Hosts<T> {
    exact: HashMap<String, Vec<T>>,
    /// By the domain behind the `*`, with its leading dot; the empty string is `*` itself.
    wildcard: HashMap<String, Vec<T>>,
}

impl<T> Hosts<T> {
    /// An index without any name.
    pub fn new() -> Self {
        Self {
            exact: HashMap::new(),
            wildcard: HashMap::new(),
        }
    }

    /// Adds a value under `name`: a host name, `*.` and a domain, or `*`.
    pub fn insert(&mut self, name: &str, value: T) {
        let name = name.to_ascii_lowercase();
        let (map, key) = match name.strip_prefix('*') {
            Some(domain) => (&mut self.wildcard, domain.to_string()),
            None => (&mut self.exact, name),
        };
        map.entry(key).or_default().push(value);
    }

    /// The values for a request's host, which may carry a port.
    ///
    /// Case and a trailing dot are ignored, as routing to a backend ignores case: a name spelled
    /// in another way must not lead past the actions.
    pub fn select(&self, host: &str) -> &[T] {
        let host = normalise(host);
        if let Some(values) = self.exact.get(&host) {
            return values;
        }
        // Longest domain first: `.b.c.d` before `.c.d`.
        for (at, _) in host.match_indices('.').filter(|(at, _)| *at > 0) {
            if let Some(values) = self.wildcard.get(&host[at..]) {
                return values;
            }
        }
        self.wildcard.get("").map_or(&[], Vec::as_slice)
    }
}

fn normalise(host: &str) -> String {
    let name = if host.starts_with('[') {
        host.split_inclusive(']').next().unwrap_or(host)
    } else {
        host.split(':').next().unwrap_or(host)
    };
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn index(names: &[&'static str]) -> Hosts<&'static str> {
        let mut hosts = Hosts::new();
        for name in names {
            hosts.insert(name, *name);
        }
        hosts
    }

    #[test]
    fn the_most_specific_name_wins() {
        let hosts = index(&["maas.lab.test", "*.lab.test", "*.eu.lab.test", "*"]);
        for (host, expected) in [
            ("maas.lab.test", "maas.lab.test"),
            ("MAAS.Lab.Test", "maas.lab.test"),
            ("maas.lab.test.", "maas.lab.test"),
            ("maas.lab.test:8443", "maas.lab.test"),
            ("other.lab.test", "*.lab.test"),
            ("a.b.lab.test", "*.lab.test"),
            ("a.eu.lab.test", "*.eu.lab.test"),
            ("lab.test", "*"),
            ("example.com", "*"),
            ("[::1]:8443", "*"),
        ] {
            assert_eq!(hosts.select(host), [expected], "{host}");
        }
    }

    #[test]
    fn a_wildcard_needs_a_label() {
        let hosts = index(&["*.lab.test"]);
        for host in [
            "lab.test",
            ".lab.test",
            "evil-lab.test",
            "lab.test.evil",
            "",
        ] {
            assert!(hosts.select(host).is_empty(), "{host}");
        }
    }

    #[test]
    fn values_of_one_name_keep_their_order() {
        let mut hosts = Hosts::new();
        hosts.insert("a.test", 1);
        hosts.insert("A.test", 2);
        assert_eq!(hosts.select("a.test"), [1, 2]);
    }

    proptest! {
        #[test]
        fn any_spelling_finds_the_same(
            labels in prop::collection::vec("[a-z0-9]{1,8}", 1..5),
            upper in prop::collection::vec(any::<bool>(), 64),
            port in prop::option::of(1u16..),
            dot in any::<bool>(),
        ) {
            let name = labels.join(".");
            let mut hosts = Hosts::new();
            hosts.insert(&name, ());
            let mut spelled: String = name
                .chars()
                .zip(upper.iter().cycle())
                .map(|(c, up)| if *up { c.to_ascii_uppercase() } else { c })
                .collect();
            if dot {
                spelled.push('.');
            }
            if let Some(port) = port {
                spelled.push_str(&format!(":{port}"));
            }
            prop_assert_eq!(hosts.select(&spelled).len(), 1);
        }

        #[test]
        fn a_wildcard_covers_exactly_the_names_below(
            below in prop::collection::vec("[a-z0-9]{1,5}", 0..4),
        ) {
            let mut hosts = Hosts::new();
            hosts.insert("*.lab.test", ());
            let host = below.iter().map(String::as_str).chain(["lab", "test"]).collect::<Vec<_>>();
            prop_assert_eq!(hosts.select(&host.join(".")).is_empty(), below.is_empty());
        }

        #[test]
        fn no_host_can_break_it(host in ".*") {
            index(&["maas.lab.test", "*.lab.test"]).select(&host);
        }
    }
}
