use core::fmt::Debug;

use super::*;

fn body<T: Data>(value: &T) -> Vec<u8> {
    let mut out = Writer::new();
    value.write(&mut out);
    out.bytes().to_vec()
}

fn read<T: Data>(bytes: &[u8]) -> Result<T, Malformed> {
    T::read(&mut Reader::new(bytes, Vec::new()))
}

fn returns<T: Data + PartialEq + Debug>(value: T) {
    assert_eq!(read::<T>(&body(&value)), Ok(value));
}

#[derive(Data, Clone, PartialEq, Debug)]
struct Tree {
    value: i8,
    #[data(any)]
    children: Vec<Tree>,
}

#[derive(Data, PartialEq, Debug)]
enum Shape {
    Circle(f64),
    Line(i8, i8),
    Square { side: f32 },
    Empty,
}

#[test]
fn what_is_written_is_read() {
    returns((i8::MIN, i16::MIN, i32::MIN, i64::MIN, u64::MAX, u8::MAX));
    returns((f32::MAX, f64::MIN_POSITIVE, true, "grüß".to_string(), ()));
    returns(vec![Some(1u8), None]);
    returns(vec![0u8, 255]);
    returns(BTreeMap::from([("a".to_string(), vec![1u16]), ("b".to_string(), vec![])]));
    returns(VecDeque::from([BTreeSet::from([3i32, 1])]));
    returns(vec![Shape::Circle(1.5), Shape::Line(-1, 1), Shape::Square { side: 2.0 }, Shape::Empty]);
    returns(Tree { value: 1, children: vec![Tree { value: -2, children: vec![] }] });
}

#[test]
fn bytes_are_bytes_and_a_variant_without_payload_is_its_name() {
    assert_eq!(body(&vec![1u8, 2]), [0x42, 1, 2]);
    assert_eq!(body(&Shape::Empty), b"\x65Empty");
    assert_eq!(body(&Shape::Line(0, 1)), b"\xa1\x64Line\x82\x00\x01");
    assert_eq!(body(&Shape::Circle(1.0)), b"\xa1\x66Circle\xfb\x3f\xf0\0\0\0\0\0\0");
}

#[test]
fn a_whole_number_will_do_for_a_float_and_nothing_else_for_a_whole_number() {
    assert_eq!(read::<f64>(&[0x05]), Ok(5.0));
    assert_eq!(read::<f32>(&[0x24]), Ok(-5.0));
    assert!(read::<i64>(&body(&5.0f64)).is_err());
    assert_eq!(read::<u8>(&body(&256u32)).unwrap_err().what, "a whole number of 8 bits is wanted");
    assert!(read::<u64>(&body(&-1i8)).is_err());
}

#[test]
fn an_unknown_variant_or_a_payload_too_many_is_malformed() {
    assert!(read::<Shape>(b"\x66Sphere").is_err());
    assert!(read::<Shape>(b"\xa1\x65Empty\xf6").is_err());
    assert!(read::<Shape>(b"\x66Circle").is_err());
    assert!(read::<Shape>(b"\xa1\x64Line\x81\x00").is_err());
    assert!(read::<Shape>(b"\xa2\x64Line\x82\x00\x00\x65Empty\xf6").is_err());
}

#[test]
fn what_is_nested_too_deep_is_malformed() {
    let mut tree = Tree { value: 0, children: vec![] };
    for _ in 0..100 {
        tree = Tree { value: 0, children: vec![tree] };
    }
    assert_eq!(read::<Tree>(&body(&tree)).unwrap_err().what, "it is nested too deep");
}

#[test]
fn no_bytes_panic_or_make_it_allocate_much() {
    let mut seed = 3u64;
    let mut next = || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as u8
    };
    for _ in 0..20_000 {
        let mut bytes: Vec<u8> = (0..16).map(|_| next()).collect();
        bytes[0] = [bytes[0], 0x9b, 0xbb, 0x5b, 0x82, 0xa1][usize::from(next() % 6)];
        let _ = read::<Vec<Tree>>(&bytes);
        let _ = read::<Shape>(&bytes);
        let _ = read::<BTreeMap<String, Vec<u64>>>(&bytes);
        let _ = read::<(Any, Any)>(&bytes);
        let _ = read::<Vec<u8>>(&bytes);
        let _ = read::<Handle>(&bytes);
    }
}
