use ciborium::Value;

use super::*;

const TEXT: &str = "actor Counter
    fn start(at: i64, name: option<text>)
    fn add(by: i64) -> i64
    query value() -> i64
    fn small(a: u8, b: f32) -> unit
    fn say(text: text, times: option<u32>)
    fn many(of: list<i64>, pair: (text, bool))
    fn put(key: text, value: bytes)
    fn place(at: Point)
    fn draw(shape: Shape)
    fn table(of: map<u32, text>)
    fn meet(who: actor, others: list<actor>)
    fn free(what: any)
    record Point { x: f64, y: f64, label: option<text> }
    enum Shape { Circle(f64), Box(f64, f64), Square { side: f64 }, Empty }";

fn interface() -> Interface {
    Interface::parse(TEXT).unwrap()
}

fn encode(line: &str) -> Result<Encoded, ArgumentError> {
    // `|` between words stands for the shell's quoting.
    let words: Vec<&str> = line.split('|').collect();
    encode_call(Some(&interface()), "counter", words[0], &words[1..])
}

/// `line` becomes the CBOR that `json` shows, as ciborium reads it.
fn check(line: &str, json: &str) {
    let encoded = encode(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    let value = crate::decode(&encoded.body).unwrap();
    assert_eq!(crate::json(None, &Type::Any, &value, &[]).to_string(), json, "for {line}");
}

fn refused(line: &str, says: &str) {
    assert_eq!(encode(line).unwrap_err().to_string(), says, "for {line}");
}

#[test]
fn words_become_what_their_parameters_want() {
    check("add|5", r#"["add",5]"#);
    check("add|-9_000", r#"["add",-9000]"#);
    check("value", r#"["value"]"#);
    check("small|255|2.5", r#"["small",255,2.5]"#);
    check("say|hello world", r#"["say","hello world",null]"#);
    check("say|12|3", r#"["say","12",3]"#);
    check("many|[1, 2,3]|(a, true)", r#"["many",[1,2,3],["a",true]]"#);
    check("put|k|0xCAfe", r#"["put","k","0xcafe"]"#);
    check("place|{x: 1, y: -2.5}", r#"["place",{"label":null,"x":1.0,"y":-2.5}]"#);
    check(r#"place|Point {"y": 1, "x": 2, "label": "a b"}"#, r#"["place",{"label":"a b","x":2.0,"y":1.0}]"#);
    check("draw|Empty", r#"["draw","Empty"]"#);
    check("draw|Circle(2)", r#"["draw",{"Circle":2.0}]"#);
    check("draw|Box(2, 3)", r#"["draw",{"Box":[2.0,3.0]}]"#);
    check("draw|Square{side: 1}", r#"["draw",{"Square":{"side":1.0}}]"#);
    check(r#"draw|{"Square": {"side": 1}}"#, r#"["draw",{"Square":{"side":1.0}}]"#);
    check("table|{1: one, 2: two}", r#"["table",{"1":"one","2":"two"}]"#);
    check("free|{a: [1, 2.5, x], b: 0x00}", r#"["free",{"a":[1,2.5,"x"],"b":"0x00"}]"#);
    check("free|not a literal", r#"["free","not a literal"]"#);
}

#[test]
fn actors_travel_beside_the_body() {
    let encoded = encode("meet|hits|[n1/7f3a2b10, hits]").unwrap();
    assert_eq!(encoded.handles, ["hits", "n1/7f3a2b10", "hits"]);
    check("meet|hits|[n1/7f3a2b10, hits]", r#"["meet",0,[1,2]]"#);
}

#[test]
fn what_does_not_fit_gets_one_sentence() {
    refused("ad|5", "counter has no method `ad`; did you mean `add`?");
    refused("start|5|x", "counter has no method `start`");
    refused("add|five", "add wants by: i64, but `five` is not a whole number");
    refused("add|1.5", "add wants by: i64, but `1.5` is not a whole number");
    refused("add", "add wants by: i64, but it is missing");
    refused("add|1|2", "add wants 1 argument, but 2 were given");
    refused("value|1", "value wants no arguments, but 1 was given");
    refused("small|256|1", "small wants a: u8, but `256` does not fit: u8 goes from 0 to 255");
    refused("small|1|1e39", "small wants b: f32, but `1e39` is too large for f32");
    refused(
        "put|k|cafe",
        "put wants value: bytes, but `cafe` is not bytes; write them as 0x and two hexadecimal digits each, as in 0xcafe",
    );
    refused(
        "put|k|0xabc",
        "put wants value: bytes, but `0xabc` is not bytes; write them as 0x and two hexadecimal digits each, as in 0xcafe",
    );
    refused(
        "put|k|0xé",
        "put wants value: bytes, but `0xé` is not bytes; write them as 0x and two hexadecimal digits each, as in 0xcafe",
    );
    refused("many|[1, x]|(a, true)", "many wants of: list<i64>, but `x` is not a whole number (at 2)");
    refused("many|[1]|(a)", "many wants pair: (text, bool), but `(a)` has 1 item, and (text, bool) has 2");
    refused("many|[1|(a, true)", "many wants of: list<i64>, but `]` is missing at the end");
    refused("place|{x: 1}", "place wants at: Point, but the field y: f64 of Point is missing");
    refused("place|{x: 1, z: 2}", "place wants at: Point, but Point has no field `z`");
    refused("place|{x: a, y: 2}", "place wants at: Point, but `a` is not a number (at x)");
    refused("draw|Cirlce(1)", "draw wants shape: Shape, but Shape has no variant `Cirlce`; did you mean `Circle`?");
    refused("draw|Square {side: a}", "draw wants shape: Shape, but `a` is not a number (at Square.side)");
    refused("draw|Circle", "draw wants shape: Shape, but the variant Circle carries something; write Circle(…)");
    assert_eq!(encode("ad").unwrap_err().mend().split(',').next(), Some("it has add"));
    assert_eq!(encode("add|x").unwrap_err().mend(), "it is declared as add(by: i64) -> i64");
}

#[test]
fn start_takes_arguments_and_may_be_silent() {
    let interface = interface();
    let encoded = encode_start(Some(&interface), "counter", &["7"]).unwrap();
    assert_eq!(crate::decode(&encoded.body).unwrap(), Value::Array(vec![7.into(), Value::Null]));
    let error = encode_start(Some(&interface), "counter", &[] as &[&str]).unwrap_err();
    assert_eq!(error.to_string(), "the start of counter wants at: i64, but it is missing");
    let plain = Interface::parse("actor A").unwrap();
    assert!(encode_start(Some(&plain), "a", &[] as &[&str]).unwrap().body.is_empty());
    assert!(encode_start(Some(&plain), "a", &["1"]).is_err());
    assert_eq!(encode_start(None, "a", &["1", "x"]).unwrap().body, [0x82, 1, 0x61, b'x']);
}

#[test]
fn floats_keep_the_width_of_their_type() {
    let body = encode("small|1|2.5").unwrap().body;
    assert_eq!(body[body.len() - 5], 0xfa);
    let body = encode("free|2.5").unwrap().body;
    assert_eq!(body[body.len() - 9], 0xfb);
}

#[test]
fn a_message_too_long_is_refused() {
    let long = format!("free|{}", "x".repeat(MESSAGE_BYTES_MAX));
    assert!(matches!(encode(&long), Err(ArgumentError::TooLong(_))));
}

proptest::proptest! {
    #[test]
    fn no_word_panics(method in 0usize..13, words in proptest::collection::vec("([\\[\\](){},:\"a-e0-9.-]|\\PC){0,20}", 0..3)) {
        let interface = interface();
        let method = &interface.methods[method % interface.methods.len()].name;
        let _ = encode_call(Some(&interface), "x", method, &words);
    }

    #[test]
    fn whole_numbers_come_back_as_they_were_written(n in proptest::num::i64::ANY) {
        let body = encode(&format!("add|{n}")).unwrap().body;
        proptest::prop_assert_eq!(crate::decode(&body).unwrap(), Value::Array(vec!["add".into(), n.into()]));
    }
}
