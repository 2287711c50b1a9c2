//! `#[pando::actor]`, `#[pando::client]` and `#[derive(pando::Data)]`.
//!
//! Owns: what people may write, and how they are told what they may not. Does not know: how anything runs; the code that it
//! writes calls `pando::macros`. Use it through the crate `pando`.

#![forbid(unsafe_code)]

mod actor;
mod client;
mod data;
mod dispatch;
mod interface;
mod method;
mod names;

use proc_macro::TokenStream;

/// Makes an actor of an `impl` block: every function in it is a method.
///
/// | a method is | and then it |
/// |---|---|
/// | `fn add(&mut self, by: i64) -> i64` | has the state to itself from beginning to end |
/// | `#[query] fn value(&self) -> i64` | only reads: it may run on a copy, and on any replica |
/// | `async fn ask(this: This<Self>, ..) -> ..` | may wait; others run meanwhile; see `This` |
/// | `fn next(&mut self, reply: Reply<Job>, ..)` | answers when it likes |
///
/// Parameters and results are any `Data`; a result may also be a `Result` whose error becomes a `pando::Error` (text, an `Errno`).
/// A parameter of type `Option` may be left out by the caller.
///
/// These names are not methods:
///
/// - `start`: begins with the spawner's arguments. `fn start(args..) -> Self` (or a `Result` of it); or with `&mut self` or
///   `this: This<Self>`, where the state is `Default` first. Without `start` the state is `Default`, and arguments are refused.
/// - `on_down(&mut self, down: Down)`: something that was watched (`Handle::watch`) or linked has ended.
/// - `on_bounce(&mut self, bounce: Bounce)`: sends could not be delivered. Without it they are logged.
/// - `export_state(&self) -> T` and `import_state(state: State) -> Self` (or a `Result` of it): how the state goes from one version
///   of the code to the next; `T` is any `Data`. `#[pando::actor(state = 2)]` gives its form a version, which is 1 otherwise. See `State`.
///
/// `#[pando::actor(layout = "a")]` says that memory itself may be kept when the code is replaced by one that says the same. That is
/// true only if no type that is reachable from the state, and no `async` method that may be waiting, has changed. The kernel checks
/// what it can of it and goes by `export_state` where it finds a difference.
///
/// It makes a reference type for others, `CounterRef` for `Counter`, with a method for each method and `start` to spawn one; the
/// exports of the module, and its `pando.interface` section with the doc comments as help. One crate exports one actor; another one in
/// the same crate is `#[pando::actor(no_export)]`. To call an actor of another crate, write its methods down with `#[pando::client]`.
#[proc_macro_attribute]
pub fn actor(arguments: TokenStream, item: TokenStream) -> TokenStream {
    actor::expand(arguments.into(), item.into()).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Makes a reference type of a list of methods: `KvRef` for `trait Kv`. For actors of other crates and other languages.
///
/// ```ignore
/// #[pando::client]
/// trait Kv {
///     fn put(key: String, value: Vec<u8>);
///     #[query]
///     fn get(key: String) -> Option<Vec<u8>>;
/// }
/// ```
#[proc_macro_attribute]
pub fn client(arguments: TokenStream, item: TokenStream) -> TokenStream {
    client::expand(arguments.into(), item.into()).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Makes a struct or an enum travel in messages.
///
/// A struct with named fields is a record, one with a single unnamed field is that field, one with several is a tuple. Keys that
/// a record does not know are let be. On a field: `#[data(default)]` takes its default if it is missing; `#[data(any)]` calls it `any` in
/// the interface text, which a type that contains itself needs.
#[proc_macro_derive(Data, attributes(data))]
pub fn data(item: TokenStream) -> TokenStream {
    data::expand(item.into()).unwrap_or_else(|error| error.to_compile_error()).into()
}
