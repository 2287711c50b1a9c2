//! What the interface text says of an actor.

use pando::{Any, prelude::*};

/// A place.
///
/// In the plane.
#[derive(Data, Default)]
struct Point {
    x: f64,
    y: f64,
}

#[derive(Data)]
enum Shape {
    Circle(Point, f64),
    Polygon(Vec<Point>),
    Square { side: f64, r#type: Kind },
    Empty,
}

#[derive(Data)]
enum Kind {
    Round,
    Edged,
}

#[derive(Data)]
struct Id(u64);

#[derive(Data)]
struct Tree {
    value: Id,
    #[data(any)]
    children: Vec<Tree>,
    #[data(default)]
    colour: String,
}

#[derive(Default)]
struct Canvas;

/// Draws.
#[pando::actor(no_export)]
impl Canvas {
    /// Begins with a name.
    fn start(&mut self, name: String, scale: Option<f32>) {
        drop((name, scale));
    }

    /// Draws shapes.
    /// Slowly.
    async fn draw(this: This<Self>, shapes: Vec<Shape>, at: (i8, u16)) -> pando::Result<Id> {
        let _ = this;
        Ok(Id(shapes.len() as u64 + at.1 as u64))
    }

    #[query]
    fn names(&self) -> BTreeMap<String, Vec<u8>> {
        BTreeMap::new()
    }

    fn later(&mut self, reply: Reply<bool>, tree: Tree, who: CanvasRef) {
        drop((reply, tree, who));
    }

    fn any(&mut self, any: Any, of: Box<u64>) {
        drop((any, of));
    }

    fn on_down(&mut self, down: pando::Down) {
        drop(down);
    }
}

#[test]
fn it_has_every_method_with_its_types_and_every_type_once() {
    let text = "\
/// Draws.
actor Canvas
/// Begins with a name.
fn start(name: text, scale: option<f32>)
/// Draws shapes.
/// Slowly.
fn draw(shapes: list<Shape>, at: (i8, u16)) -> result<u64>
query names() -> map<text, bytes>
fn later(tree: Tree, who: actor) -> bool
fn any(any: any, of: u64)
enum Shape { Circle(Point, f64), Polygon(list<Point>), Square { side: f64, type: Kind }, Empty }
record Tree { value: u64, children: any, colour: option<text> }
/// A place.
///
/// In the plane.
record Point { x: f64, y: f64 }
enum Kind { Round, Edged }
";
    assert_eq!(pando::interface_of::<Canvas>(), text);
}

#[test]
fn it_is_a_constant() {
    const LENGTH: usize = pando::schema::length(<Canvas as pando::Actor>::INTERFACE);
    static TEXT: [u8; LENGTH] = pando::schema::text(<Canvas as pando::Actor>::INTERFACE);
    assert_eq!(core::str::from_utf8(&TEXT).unwrap(), pando::interface_of::<Canvas>());
}
