use super::*;

fn refused(item: &str, says: &str) {
    let item = item.parse().expect("tokens");
    match expand(TokenStream::new(), item) {
        Ok(made) => panic!("it was taken: {made}"),
        Err(error) => assert!(error.to_string().contains(says), "{error}"),
    }
}

#[test]
fn a_method_that_cannot_be_one_is_refused_with_its_mend() {
    refused("impl A { async fn f(&mut self) {} }", "take `this: This<Self>`, and borrow the state for a moment");
    refused("impl A { async fn f(&self) {} }", "cannot keep `self` while it waits");
    refused("impl A { fn f(self) {} }", "a method takes `&self`, `&mut self` or `this: This<Self>`");
    refused("impl A { fn f(x: u8) {} }", "functions that are no methods go into another `impl` block");
    refused("impl A { fn f(&self, name: &str) {} }", "take `String` for text");
    refused("impl A { fn f(&self, (a, b): (u8, u8)) {} }", "a parameter has a name");
    refused("impl A { fn f<T>(&self, x: T) {} }", "cannot be generic");
}

#[test]
fn a_query_that_cannot_be_one_is_refused() {
    refused("impl A { #[query] fn f(&mut self) {} }", "a query only reads and cannot wait");
    refused("impl A { #[query] async fn f(this: This<Self>) {} }", "a query only reads and cannot wait");
    refused("impl A { #[query] fn f(&self, r: Reply<u8>) {} }", "a query answers by returning");
}

#[test]
fn a_reply_stands_first_and_answers_alone() {
    refused("impl A { fn f(&self, x: u8, r: Reply<u8>) {} }", "the first parameter after the state");
    refused("impl A { fn f(&self, r: Reply<u8>) -> u8 { 1 } }", "answers through it and returns nothing");
    refused("impl A { fn f(&self, r: Reply) {} }", "wants the type of the answer");
}

#[test]
fn hooks_have_their_shapes() {
    refused("impl A { async fn start(x: u8) -> Self { A } }", "an `async` start takes `this: This<Self>`");
    refused("impl A { #[query] fn start(&self) {} }", "it is no query");
    refused("impl A { fn on_down(&mut self) {} }", "`on_down` takes the state and one value");
}

#[test]
fn an_actor_is_one_plain_impl_block() {
    refused("impl Clone for A { fn clone(&self) -> A { A } }", "an `impl` block of its own");
    refused("impl<T> A<T> { fn f(&self) {} }", "cannot be generic");
    refused("impl (u8, u8) { fn f(&self) {} }", "a struct or enum of this crate");
    let refused = expand("twice".parse().unwrap(), "impl A {}".parse().unwrap()).unwrap_err();
    assert!(refused.to_string().contains("`no_export`"), "{refused}");
}

#[test]
fn a_state_that_is_carried_on_is_written_and_read() {
    refused("impl A { fn export_state(&self) -> u8 { 1 } }", "come together");
    refused("impl A { fn import_state(state: State) -> Self { A } }", "come together");
    let import = "fn import_state(state: State) -> Self { A }";
    refused(&format!("impl A {{ fn export_state(&mut self) -> u8 {{ 1 }} {import} }}"), "takes `&self`");
    refused("impl A { fn export_state(&self) -> u8 { 1 } fn import_state(&self) {} }", "takes a `State`");
    let whole: TokenStream = format!("impl A {{ fn export_state(&self) -> u8 {{ 1 }} {import} }}").parse().unwrap();
    let made = expand("state = 3, layout = \"b\"".parse().unwrap(), whole.clone()).unwrap().to_string();
    for part in ["pando_export_state", "pando_import_state", "pando.layout", "Some ((3"] {
        assert!(made.contains(part), "{part}: {made}");
    }
    let plain = expand(TokenStream::new(), "impl A {}".parse().unwrap()).unwrap().to_string();
    assert!(!plain.contains("pando_export_state") && !plain.contains("pando.layout"));
    for bad in ["state = \"a\"", "layout = \"\"", "state = 2"] {
        assert!(expand(bad.parse().unwrap(), "impl A {}".parse().unwrap()).is_err(), "{bad}");
    }
}

#[test]
fn only_an_actor_that_is_exported_exports() {
    let item: TokenStream = "impl A { fn f(&self) {} }".parse().unwrap();
    let exported = expand(TokenStream::new(), item.clone()).unwrap().to_string();
    assert!(exported.contains("__export") && exported.contains("ARef"));
    let quiet = expand("no_export".parse().unwrap(), item).unwrap().to_string();
    assert!(!quiet.contains("__export") && quiet.contains("ARef"));
}
