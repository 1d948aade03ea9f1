//! CEL expressions, parsed once and evaluated for every request.

use std::collections::HashMap;

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr};
use cel::common::value::CelVal;
use cel::objects::{Key, Map};
use cel::parser::Parser;
use cel::{Context, Value};

use crate::attributes::{Attribute, Cache, ROOTS};
use crate::functions::{ITERABLE, RESPONSE_BODY, RESPONSE_BODY_JSON};
use crate::host::Host;

/// The variable that a granted authorization fills.
const AUTH: &str = "auth";

/// An expression and what it reads.
#[derive(Debug)]
pub struct Expression {
    source: String,
    tree: IdedExpr,
    /// The fields of each of Envoy's variables, by variable.
    fields: Vec<(String, Fields)>,
    attributes: Vec<usize>,
    reads_auth: bool,
    pointers: Vec<String>,
}

#[derive(Debug)]
enum Fields {
    Attribute(usize),
    Nested(Vec<(String, Fields)>),
}

/// Parses expressions and numbers the attributes they read.
#[derive(Debug, Default)]
pub struct Compiler {
    attributes: Vec<Attribute>,
    numbers: HashMap<Vec<String>, usize>,
}

impl Compiler {
    /// Parses an expression.
    ///
    /// # Errors
    /// When it is not CEL, or uses a part of CEL that cannot be evaluated here.
    pub fn compile(&mut self, source: &str) -> Result<Expression, String> {
        let mut tree = Parser::new()
            .parse(source)
            .map_err(|error| format!("cannot parse {source:?}: {error}"))?;
        let mut reads = Reads::default();
        reads
            .walk(&mut tree)
            .map_err(|part| format!("cannot evaluate {source:?}: {part} is not supported"))?;
        // Short paths first: where a whole variable is read, its fields come with it.
        reads.paths.sort_by_key(Vec::len);
        let mut fields = Vec::new();
        let mut attributes = Vec::new();
        for path in reads.paths {
            let number = self.number(&path);
            if insert(&mut fields, &path, number) {
                attributes.push(number);
            }
        }
        Ok(Expression {
            source: source.to_string(),
            tree,
            fields,
            attributes,
            reads_auth: reads.auth,
            pointers: reads.pointers,
        })
    }

    /// Every attribute by number.
    pub fn into_attributes(self) -> Vec<Attribute> {
        self.attributes
    }

    fn number(&mut self, path: &[String]) -> usize {
        if let Some(number) = self.numbers.get(path) {
            return *number;
        }
        let number = self.attributes.len();
        self.attributes.push(Attribute::new(path.to_vec()));
        self.numbers.insert(path.to_vec(), number);
        number
    }
}

/// Puts an attribute into the tree; false where a shorter path already covers it.
fn insert(fields: &mut Vec<(String, Fields)>, path: &[String], number: usize) -> bool {
    let Some((name, rest)) = path.split_first() else {
        return false;
    };
    match fields.iter_mut().position(|(field, _)| field == name) {
        Some(at) => match &mut fields[at].1 {
            Fields::Attribute(_) => false,
            Fields::Nested(nested) => insert(nested, rest, number),
        },
        None if rest.is_empty() => {
            fields.push((name.clone(), Fields::Attribute(number)));
            true
        }
        None => {
            let mut nested = Vec::new();
            let inserted = insert(&mut nested, rest, number);
            fields.push((name.clone(), Fields::Nested(nested)));
            inserted
        }
    }
}

/// What an expression reads, collected while its tree is made safe to evaluate.
#[derive(Default)]
struct Reads {
    paths: Vec<Vec<String>>,
    auth: bool,
    pointers: Vec<String>,
}

impl Reads {
    fn walk(&mut self, tree: &mut IdedExpr) -> Result<(), &'static str> {
        if let Some(path) = path_of(tree) {
            if ROOTS.contains(&path[0].as_str()) && path.len() > 1 {
                self.paths.push(path);
            } else if path[0] == AUTH {
                self.auth = true;
            }
            return Ok(());
        }
        match &mut tree.expr {
            Expr::Call(call) => {
                if let (RESPONSE_BODY_JSON, [argument]) =
                    (call.func_name.as_str(), call.args.as_slice())
                {
                    let Expr::Literal(CelVal::String(pointer)) = &argument.expr else {
                        return Err("responseBodyJSON of anything but a string literal");
                    };
                    self.pointers.push(pointer.clone());
                }
                if let Some(target) = &mut call.target {
                    self.walk(target)?;
                }
                call.args.iter_mut().try_for_each(|arg| self.walk(arg))
            }
            Expr::Select(select) => self.walk(&mut select.operand),
            Expr::List(list) => list
                .elements
                .iter_mut()
                .try_for_each(|item| self.walk(item)),
            Expr::Map(map) => map
                .entries
                .iter_mut()
                .try_for_each(|entry| match &mut entry.expr {
                    EntryExpr::MapEntry(entry) => {
                        self.walk(&mut entry.key)?;
                        self.walk(&mut entry.value)
                    }
                    EntryExpr::StructField(_) => Err("a message"),
                }),
            Expr::Comprehension(macro_call) => {
                for part in [
                    &mut macro_call.iter_range,
                    &mut macro_call.accu_init,
                    &mut macro_call.loop_cond,
                    &mut macro_call.loop_step,
                    &mut macro_call.result,
                ] {
                    self.walk(part)?;
                }
                let range = std::mem::replace(
                    &mut macro_call.iter_range,
                    IdedExpr {
                        id: 0,
                        expr: Expr::Unspecified,
                    },
                );
                macro_call.iter_range = IdedExpr {
                    id: range.id,
                    expr: Expr::Call(CallExpr {
                        func_name: ITERABLE.to_string(),
                        target: None,
                        args: vec![range],
                    }),
                };
                Ok(())
            }
            // The interpreter would panic on these.
            Expr::Struct(_) => Err("a message"),
            Expr::Unspecified => Err("an empty expression"),
            Expr::Ident(_) | Expr::Literal(_) => Ok(()),
        }
    }
}

/// The names of `a.b.c`, or nothing for any other expression.
fn path_of(tree: &IdedExpr) -> Option<Vec<String>> {
    match &tree.expr {
        Expr::Ident(name) => Some(vec![name.clone()]),
        Expr::Select(select) => {
            let mut path = path_of(&select.operand)?;
            path.push(select.field.clone());
            Some(path)
        }
        _ => None,
    }
}

/// What expressions are evaluated against.
pub struct Scope<'a> {
    /// The functions.
    pub functions: &'a Context<'static>,
    /// Every attribute by number.
    pub attributes: &'a [Attribute],
    /// Attributes read so far.
    pub cache: &'a Cache,
    /// Where the others come from.
    pub host: &'a dyn Host,
    /// What the authorization said of the request, null before it did.
    pub auth: &'a Value,
    /// Values of the response body, once it is over.
    pub body: Option<&'a HashMap<String, Value>>,
}

impl Expression {
    /// The expression as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The JSON pointers into the response body that it reads.
    pub fn pointers(&self) -> &[String] {
        &self.pointers
    }

    /// Reads every attribute now, so that later evaluations see today's values.
    pub fn remember_attributes(&self, scope: &Scope<'_>) {
        for number in &self.attributes {
            // What fails now is asked again, and fails again, when it is evaluated.
            let _ = scope
                .cache
                .get(*number, &scope.attributes[*number], scope.host);
        }
    }

    /// The expression's value.
    ///
    /// # Errors
    /// Whatever keeps it from having one; the request must then be refused.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, String> {
        let mut context = scope.functions.new_inner_scope();
        for (name, fields) in &self.fields {
            context.add_variable_from_value(name.as_str(), fields_value(fields, scope)?);
        }
        if self.reads_auth {
            context.add_variable_from_value(AUTH, scope.auth.clone());
        }
        if let Some(body) = scope.body.filter(|_| !self.pointers.is_empty()) {
            context.add_variable_from_value(RESPONSE_BODY, Value::Map(Map::from(body.clone())));
        }
        Value::resolve(&self.tree, &context)
            .map_err(|error| format!("cannot evaluate {:?}: {error}", self.source))
    }

    /// The expression's value, which must be true or false.
    ///
    /// # Errors
    /// As [`Self::evaluate`], and where it is neither.
    pub fn holds(&self, scope: &Scope<'_>) -> Result<bool, String> {
        match self.evaluate(scope)? {
            Value::Bool(value) => Ok(value),
            other => Err(format!(
                "{:?} is {} instead of true or false",
                self.source,
                other.type_of()
            )),
        }
    }
}

/// Whether all predicates hold; none after the first that does not is evaluated.
///
/// # Errors
/// When one of them cannot be evaluated.
pub fn all_hold(predicates: &[Expression], scope: &Scope<'_>) -> Result<bool, String> {
    for predicate in predicates {
        if !predicate.holds(scope)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn fields_value(fields: &Fields, scope: &Scope<'_>) -> Result<Value, String> {
    match fields {
        Fields::Attribute(number) => {
            scope
                .cache
                .get(*number, &scope.attributes[*number], scope.host)
        }
        Fields::Nested(nested) => {
            let mut map = HashMap::with_capacity(nested.len());
            for (name, fields) in nested {
                map.insert(Key::from(name.as_str()), fields_value(fields, scope)?);
            }
            Ok(Value::Map(Map { map: map.into() }))
        }
    }
}
