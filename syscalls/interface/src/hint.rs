//! What may come next while somebody writes arguments.
//!
//! Owns: the rest of a signature, and the words that a type allows. Does not know: names and nodes of a realm.

use crate::syntax::{Interface, Method, Payload, Type, write_fields};

/// What the argument under the cursor should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    /// `by: i64`
    pub param: String,
    /// This parameter and those after it, `by: i64, times: u32`: what a hint shows.
    pub rest: String,
    /// Words that the type allows, if they can be told.
    pub choices: Vec<String>,
    /// Is an actor wanted?
    pub actor: bool,
}

/// What `method` wants after `given` arguments; `None` if it wants no more.
pub fn expect_argument(interface: &Interface, method: &Method, given: usize) -> Option<Expect> {
    let params = method.params.get(given..).filter(|rest| !rest.is_empty())?;
    Some(Expect {
        param: format!("{}: {}", params[0].name, params[0].ty),
        rest: Rest(params).to_string(),
        choices: choices(interface, &params[0].ty),
        actor: wants_actor(&params[0].ty),
    })
}

struct Rest<'a>(&'a [crate::Field]);

impl std::fmt::Display for Rest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_fields(f, self.0)
    }
}

fn wants_actor(ty: &Type) -> bool {
    match ty {
        Type::Actor => true,
        Type::Option(of) => wants_actor(of),
        _ => false,
    }
}

fn choices(interface: &Interface, ty: &Type) -> Vec<String> {
    match ty {
        Type::Bool => vec!["true".into(), "false".into()],
        Type::Option(of) => {
            let mut words = choices(interface, of);
            words.push("none".into());
            words
        }
        Type::Named(name) => match interface.enumeration(name) {
            Some(of) => of
                .variants
                .iter()
                .map(|v| match &v.payload {
                    Payload::Unit => v.name.clone(),
                    Payload::Tuple(_) => format!("{}(", v.name),
                    Payload::Record(_) => format!("{}{{", v.name),
                })
                .collect(),
            None => Vec::new(),
        },
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_argument_is_told_with_its_words() {
        let interface = Interface::parse(
            "actor A fn f(on: option<bool>, shape: Shape, who: actor) enum Shape { Circle(f64), Empty }",
        )
        .unwrap();
        let method = &interface.methods[0];
        let first = expect_argument(&interface, method, 0).unwrap();
        assert_eq!(first.rest, "on: option<bool>, shape: Shape, who: actor");
        assert_eq!(first.choices, ["true", "false", "none"]);
        assert_eq!(expect_argument(&interface, method, 1).unwrap().choices, ["Circle(", "Empty"]);
        assert!(expect_argument(&interface, method, 2).unwrap().actor);
        assert_eq!(expect_argument(&interface, method, 3), None);
    }
}
