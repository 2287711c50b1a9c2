use ciborium::cbor;
use proptest::prelude::*;

use super::*;
use crate::{decode, encode_call};

const TEXT: &str = "actor A
    record Point { x: f64, y: option<text> }
    enum Shape { Circle(f64), Box(u8, u8), Square { side: f64 }, Empty }";

fn ty(text: &str) -> Type {
    let interface = Interface::parse(&format!("{TEXT}\nfn f(a: {text})")).unwrap();
    interface.methods[0].params[0].ty.clone()
}

fn check(of: &str, value: Result<Value, ciborium::value::Error>, shown: &str, json: &str) {
    let interface = Interface::parse(TEXT).unwrap();
    let handles = ["n1/7f3a2b10".to_owned()];
    let value = value.unwrap();
    assert_eq!(human(Some(&interface), &ty(of), &value, &handles), shown);
    assert_eq!(super::json(Some(&interface), &ty(of), &value, &handles).to_string(), json);
}

#[test]
fn every_type_has_its_look() {
    check("i64", cbor!(5), "5", "5");
    check("unit", cbor!(null), "ok", "null");
    check("text", cbor!("a \"b\"\u{1b}[31m"), r#""a \"b\"\u001b[31m""#, r#""a \"b\"\u001b[31m""#);
    check("option<text>", cbor!(null), "none", "null");
    check("f64", cbor!(2), "2.0", "2.0");
    check("bool", cbor!(true), "true", "true");
    check("bytes", Ok(Value::Bytes(vec![0xca, 0xfe])), "0xcafe", r#""0xcafe""#);
    check("bytes", cbor!([202, 254]), "0xcafe", r#""0xcafe""#);
    check("list<text>", cbor!(["a", "b"]), r#"["a", "b"]"#, r#"["a","b"]"#);
    check("(u8, text)", cbor!([1, "b"]), r#"(1, "b")"#, r#"[1,"b"]"#);
    check("map<text, u8>", cbor!({"b c" => 1}), r#"{"b c": 1}"#, r#"{"b c":1}"#);
    check("map<u8, u8>", cbor!({2 => 1}), "{2: 1}", r#"{"2":1}"#);
    check("Point", cbor!({"x" => 1.5, "y" => null}), "Point{x: 1.5, y: none}", r#"{"x":1.5,"y":null}"#);
    check("Shape", cbor!("Empty"), "Empty", r#""Empty""#);
    check("Shape", cbor!({"Circle" => 2}), "Circle(2.0)", r#"{"Circle":2.0}"#);
    check("Shape", cbor!({"Box" => [1, 2]}), "Box(1, 2)", r#"{"Box":[1,2]}"#);
    check("Shape", cbor!({"Square" => {"side" => 1.0}}), "Square{side: 1.0}", r#"{"Square":{"side":1.0}}"#);
    check("result<u8>", cbor!({"Err" => "no"}), r#"err("no")"#, r#"{"err":"no"}"#);
    check("result<u8>", cbor!(3), "3", "3");
    check("actor", cbor!(0), "n1/7f3a2b10", r#""n1/7f3a2b10""#);
    check("actor", cbor!(7), "7", "7");
}

#[test]
fn a_value_of_another_type_is_shown_as_what_it_is() {
    check("i64", cbor!("five"), r#""five""#, r#""five""#);
    check("Shape", cbor!({"Hexagon" => 1}), "{Hexagon: 1}", r#"{"Hexagon":1}"#);
    check("Point", cbor!([1, 2]), "[1, 2]", "[1,2]");
    check("(u8, u8)", cbor!([1]), "[1]", "[1]");
}

#[test]
fn what_is_long_gets_lines() {
    let long = "x".repeat(50);
    let value = cbor!([long.clone(), long.clone()]).unwrap();
    assert_eq!(human(None, &ty("list<text>"), &value, &[]), format!("[\n  \"{long}\",\n  \"{long}\",\n]"));
}

fn any_type() -> impl Strategy<Value = Type> {
    let leaf = prop_oneof![
        Just(Type::Bool),
        Just(Type::Int(8)),
        Just(Type::Int(64)),
        Just(Type::Uint(64)),
        Just(Type::F64),
        Just(Type::Text),
        Just(Type::Bytes),
        Just(Type::Named("Shape".into())),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|t| Type::List(Box::new(t))),
            inner.clone().prop_map(|t| Type::Map(Box::new(Type::Text), Box::new(t))),
            proptest::collection::vec(inner, 1..3).prop_map(Type::Tuple),
        ]
    })
}

fn value_of(ty: &Type) -> BoxedStrategy<Value> {
    match ty {
        Type::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Type::Int(8) => any::<i8>().prop_map(Value::from).boxed(),
        Type::Int(_) => any::<i64>().prop_map(Value::from).boxed(),
        Type::Uint(_) => any::<u64>().prop_map(Value::from).boxed(),
        Type::F64 => any::<f64>().prop_filter("NaN is not itself", |n| !n.is_nan()).prop_map(Value::Float).boxed(),
        Type::Text => ".{0,8}".prop_map(Value::Text).boxed(),
        Type::Bytes => any::<Vec<u8>>().prop_map(Value::Bytes).boxed(),
        Type::List(of) => proptest::collection::vec(value_of(of), 0..3).prop_map(Value::Array).boxed(),
        Type::Map(_, of) => {
            proptest::collection::vec((".{0,5}".prop_map(Value::Text), value_of(of)), 0..3).prop_map(Value::Map).boxed()
        }
        Type::Tuple(types) => types.iter().map(value_of).collect::<Vec<_>>().prop_map(Value::Array).boxed(),
        _ => prop_oneof![
            Just(Value::Text("Empty".into())),
            any::<u8>().prop_map(|n| Value::Map(vec![("Circle".into(), Value::Float(n.into()))])),
        ]
        .boxed(),
    }
}

proptest! {
    #[test]
    fn what_is_printed_can_be_written_again(
        (ty, value) in any_type().prop_flat_map(|ty| { let v = value_of(&ty); (Just(ty), v) })
    ) {
        let mut interface = Interface::parse(TEXT).unwrap();
        let list = Type::List(Box::new(ty.clone()));
        interface.methods.push(crate::Method {
            name: "f".into(),
            doc: String::new(),
            query: false,
            params: vec![Field { name: "a".into(), ty: list }],
            result: Type::Unit,
        });
        let word = format!("[{}]", human(Some(&interface), &ty, &value, &[]));
        let encoded = encode_call(Some(&interface), "a", "f", &[&word]);
        let body = encoded.map_err(|e| TestCaseError::fail(format!("{e} for {word}")))?.body;
        prop_assert_eq!(decode(&body).unwrap(), Value::Array(vec!["f".into(), Value::Array(vec![value])]));
    }
}
