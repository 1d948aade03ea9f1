//! The command line, as limitador-operator writes it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use limitador::limit::Expression;

/// How many callers' counters are kept; the longest unused ones go first.
const DEFAULT_COUNTERS: u64 = 20_000;

/// How to run.
#[derive(Debug)]
pub struct Args {
    /// The file of limits.
    pub limits: PathBuf,
    /// Where the gRPC services listen.
    pub grpc: SocketAddr,
    /// Where health, limits, counters and metrics are.
    pub http: SocketAddr,
    /// Whether responses tell how much is left.
    pub headers: bool,
    /// An expression whose map becomes labels of every metric.
    pub labels: Option<Expression>,
    /// Whether `limited_calls` names the limit.
    pub limit_names: bool,
    /// How many callers' counters are kept.
    pub counters: u64,
    /// How much to log.
    pub verbosity: usize,
    /// Only look at the file of limits.
    pub validate: bool,
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Command {
    /// To run.
    Serve(Box<Args>),
    /// To explain itself.
    Help,
    /// To name itself.
    Version,
}

/// What `--help` prints.
pub const HELP: &str = "\
The lab's stand-in for limitador-server: counters in memory only.

Usage: limitador-server [OPTIONS] <LIMITS_FILE> [memory [--cache <COUNTERS>]]

Options:
  -b, --rls-ip <IP>                  gRPC address [0.0.0.0]
  -p, --rls-port <PORT>              gRPC port [8081]
  -B, --http-ip <IP>                 HTTP address [0.0.0.0]
  -P, --http-port <PORT>             HTTP port [8080]
  -H, --rate-limit-headers <NAME>    NONE or DRAFT_VERSION_03 [NONE]
  -l, --limit-name-in-labels         name the limit in metrics
      --metric-labels-default <CEL>  labels of every metric, such as descriptors[1]
      --grpc-reflection-service      accepted, not done
      --tracing-endpoint <URL>       accepted, not done
      --structured-logs              accepted, not done
      --validate                     check the limits file and exit
  -v                                 log more, up to -vvvv
";

/// Reads a command line without the program's name.
///
/// # Errors
/// When it asks for something unknown, or for storage other than memory.
pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let mut words = words.into_iter();
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let mut args = Args {
        limits: PathBuf::new(),
        grpc: SocketAddr::new(any, 8081),
        http: SocketAddr::new(any, 8080),
        headers: false,
        labels: None,
        limit_names: false,
        counters: DEFAULT_COUNTERS,
        verbosity: 0,
        validate: false,
    };
    let mut file = None;
    let mut storage = None;
    while let Some(word) = words.next() {
        let (option, mut attached) = match word.split_once('=') {
            Some((option, value)) if word.starts_with("--") => (option, Some(value.to_string())),
            _ => (word.as_str(), None),
        };
        let mut value = || {
            attached
                .take()
                .or_else(|| words.next())
                .ok_or_else(|| format!("{option} needs a value"))
        };
        match option {
            "-h" | "--help" => return Ok(Command::Help),
            "-V" | "--version" => return Ok(Command::Version),
            "-b" | "--rls-ip" => args.grpc.set_ip(parsed(option, &value()?)?),
            "-p" | "--rls-port" => args.grpc.set_port(parsed(option, &value()?)?),
            "-B" | "--http-ip" => args.http.set_ip(parsed(option, &value()?)?),
            "-P" | "--http-port" => args.http.set_port(parsed(option, &value()?)?),
            "-H" | "--rate-limit-headers" => {
                args.headers = match value()?.as_str() {
                    "NONE" => false,
                    "DRAFT_VERSION_03" => true,
                    other => {
                        return Err(format!("{option} {other:?}: NONE or DRAFT_VERSION_03"));
                    }
                }
            }
            "-l" | "--limit-name-in-labels" => args.limit_names = true,
            "--metric-labels-default" => {
                let source = value()?;
                let expression = crate::limits::guarded(|| Expression::parse(&source))
                    .map_err(|error| format!("{option} {source:?}: {error}"))?;
                args.labels = Some(expression);
            }
            "--grpc-reflection-service" | "--structured-logs" => {
                log::warn!("{option} is not done by the lab's stand-in");
            }
            "--tracing-endpoint" => {
                value()?;
                log::warn!("{option} is not done by the lab's stand-in");
            }
            "--validate" => args.validate = true,
            "-c" | "--cache" if storage.is_some() => {
                args.counters = parsed(option, &value()?)?;
            }
            _ if is_verbosity(option) => args.verbosity += option.len() - 1,
            _ if option.starts_with('-') => return Err(format!("unknown option {option}")),
            _ if file.is_none() => file = Some(PathBuf::from(&word)),
            _ if storage.is_none() => storage = Some(word),
            _ => return Err(format!("unexpected argument {word:?}")),
        }
        if let Some(storage) = storage.as_deref().filter(|storage| *storage != "memory") {
            return Err(format!(
                "storage {storage:?}: the lab's stand-in keeps counters in memory only; \
                 remove spec.storage from the Limitador resource, or run the real limitador-server"
            ));
        }
    }
    args.limits = file.ok_or("the file of limits is missing")?;
    Ok(Command::Serve(Box::new(args)))
}

fn is_verbosity(option: &str) -> bool {
    option
        .strip_prefix('-')
        .is_some_and(|letters| !letters.is_empty() && letters.chars().all(|c| c == 'v'))
}

fn parsed<T: std::str::FromStr>(option: &str, text: &str) -> Result<T, String>
where
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error| format!("{option} {text:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(line: &str) -> Result<Args, String> {
        match parse(line.split_whitespace().map(String::from))? {
            Command::Serve(args) => Ok(*args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_operator_s_command_line() {
        let args = arguments(
            "--rate-limit-headers DRAFT_VERSION_03 --limit-name-in-labels -vvv --http-port 8180 \
             --rls-port 8181 --metric-labels-default descriptors[1] \
             /home/limitador/etc/limitador-config.yaml memory",
        )
        .unwrap();
        assert_eq!(args.http.to_string(), "0.0.0.0:8180");
        assert_eq!(args.grpc.to_string(), "0.0.0.0:8181");
        assert_eq!(
            args.limits.to_str(),
            Some("/home/limitador/etc/limitador-config.yaml")
        );
        assert!(args.headers && args.limit_names);
        assert_eq!(args.verbosity, 3);
        assert_eq!(args.labels.unwrap().source(), "descriptors[1]");
    }

    #[test]
    fn defaults() {
        let args = arguments("limits.yaml").unwrap();
        assert_eq!(args.http.port(), 8080);
        assert_eq!(args.grpc.port(), 8081);
        assert!(!args.headers && !args.limit_names && args.labels.is_none());
        assert_eq!(args.counters, DEFAULT_COUNTERS);
        let args = arguments("--http-port=1 limits.yaml memory --cache 5").unwrap();
        assert_eq!((args.http.port(), args.counters), (1, 5));
    }

    #[test]
    fn other_storage_is_refused_by_name() {
        for storage in [
            "disk --optimize disk /var",
            "redis redis://r",
            "redis_cached redis://r",
        ] {
            let error = arguments(&format!("limits.yaml {storage}")).unwrap_err();
            assert!(error.contains("in memory only"), "{error}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in [
            "",
            "--http-port",
            "--http-port x limits.yaml",
            "--rate-limit-headers SOME limits.yaml",
            "--metric-labels-default ( limits.yaml",
            "--surprise limits.yaml",
            "- limits.yaml",
            "limits.yaml memory more",
        ] {
            assert!(arguments(line).is_err(), "{line}");
        }
    }
}
