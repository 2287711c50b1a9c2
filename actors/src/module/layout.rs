//! What has to be the same in two modules before memory of the one is given to the other.
//!
//! Owns: the author's word, and a hash over all that can be checked of it. Does not know: what is on the heap; nobody but the
//! author does.
//!
//! 1. Memory, tables, globals and data are compared as they stand; a table element by the name and type of its function, for
//!    indices shift with any change of code. Without a name it is compared by its index.
//! 2. Without the author's word there is no layout.

use std::collections::HashMap;

use pando_abi::call::LAYOUT_SECTION;
use rkyv::{Archive, Deserialize, Serialize};
use wasmparser::{
    BinaryReaderError, CompositeInnerType, ConstExpr, DataKind, ElementItems, ElementKind, KnownCustom, Name, Operator,
    Parser, Payload, TypeRef,
};

/// The layout of a module's memory.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub(crate) struct Layout {
    /// What its author calls it.
    pub(crate) tag: String,
    shape: [u8; 32],
}

impl Layout {
    /// Does memory of `old` mean the same to the module of this one? If not, why.
    pub(crate) fn takes(&self, old: &Layout) -> Result<(), &'static str> {
        if self.tag != old.tag {
            Err("its section pando.layout has another text")
        } else if self.shape != old.shape {
            Err("its data, globals, tables or table elements differ, though its section pando.layout has the same text")
        } else {
            Ok(())
        }
    }
}

/// The layout of a module that [`super::inspect`] has passed; `None`: its author says nothing.
pub(crate) fn of(wasm: &[u8]) -> Result<Option<Layout>, BinaryReaderError> {
    let mut found = Found::default();
    for payload in Parser::new(0).parse_all(wasm) {
        found.payload(payload?)?;
    }
    let Some(tag) = found.tag.take().filter(|tag| !tag.is_empty()) else { return Ok(None) };
    let names = &found.names;
    for piece in &found.elements {
        match piece {
            Piece::Text(text) => found.shape.update(text.as_bytes()),
            Piece::Function(index) => {
                let ty = found.functions.get(*index as usize).and_then(|ty| found.types.get(*ty as usize));
                let name = names.get(index).cloned().unwrap_or_else(|| format!("#{index}"));
                found.shape.update(format!("{name} {};", ty.map_or("", String::as_str)).as_bytes())
            }
        };
    }
    Ok(Some(Layout { tag, shape: *found.shape.finalize().as_bytes() }))
}

enum Piece {
    Text(String),
    Function(u32),
}

#[derive(Default)]
struct Found {
    tag: Option<String>,
    shape: blake3::Hasher,
    types: Vec<String>,
    functions: Vec<u32>,
    elements: Vec<Piece>,
    names: HashMap<u32, String>,
}

impl Found {
    fn payload(&mut self, payload: Payload<'_>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::TypeSection(section) => {
                for group in section {
                    for ty in group?.into_types() {
                        self.types.push(match ty.composite_type.inner {
                            CompositeInnerType::Func(f) => format!("{:?}{:?}", f.params(), f.results()),
                            _ => String::new(),
                        });
                    }
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    if let TypeRef::Func(ty) = import?.ty {
                        self.functions.push(ty);
                    }
                }
            }
            Payload::FunctionSection(section) => {
                for ty in section {
                    self.functions.push(ty?);
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    self.note(format!("table {:?};", table?.ty));
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    self.note(format!("memory {:?};", memory?));
                }
            }
            Payload::GlobalSection(section) => {
                for global in section {
                    let global = global?;
                    let value = code(&global.init_expr)?;
                    self.note(format!("global {:?} {value};", global.ty));
                }
            }
            Payload::DataSection(section) => {
                for data in section {
                    let data = data?;
                    let place = match &data.kind {
                        DataKind::Passive => "passive".to_owned(),
                        DataKind::Active { memory_index, offset_expr } => {
                            format!("{memory_index} {}", code(offset_expr)?)
                        }
                    };
                    self.note(format!("data {place} {};", data.data.len()));
                    self.shape.update(data.data);
                }
            }
            Payload::ElementSection(section) => {
                for element in section {
                    let element = element?;
                    self.element(&element)?;
                }
            }
            Payload::CustomSection(section) if section.name() == LAYOUT_SECTION => {
                self.tag = Some(String::from_utf8_lossy(section.data()).trim().to_owned());
            }
            Payload::CustomSection(section) => {
                if let KnownCustom::Name(names) = section.as_known() {
                    // Names that cannot be read are as good as none.
                    for name in names.into_iter().map_while(Result::ok) {
                        if let Name::Function(map) = name {
                            self.names
                                .extend(map.into_iter().map_while(Result::ok).map(|n| (n.index, n.name.to_owned())));
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn note(&mut self, text: String) {
        self.shape.update(text.as_bytes());
    }

    fn element(&mut self, element: &wasmparser::Element<'_>) -> Result<(), BinaryReaderError> {
        let place = match &element.kind {
            ElementKind::Passive => "passive".to_owned(),
            ElementKind::Declared => "declared".to_owned(),
            ElementKind::Active { table_index, offset_expr } => format!("{table_index:?} {}", code(offset_expr)?),
        };
        self.elements.push(Piece::Text(format!("elements {place};")));
        match &element.items {
            ElementItems::Functions(indices) => {
                for index in indices.clone() {
                    self.elements.push(Piece::Function(index?));
                }
            }
            ElementItems::Expressions(_, values) => {
                for value in values.clone() {
                    for operator in value?.get_operators_reader() {
                        self.elements.push(match operator? {
                            Operator::RefFunc { function_index } => Piece::Function(function_index),
                            other => Piece::Text(format!("{other:?};")),
                        });
                    }
                }
            }
        }
        Ok(())
    }
}

fn code(expression: &ConstExpr<'_>) -> Result<String, BinaryReaderError> {
    let mut text = String::new();
    for operator in expression.get_operators_reader() {
        text.push_str(&format!("{:?} ", operator?));
    }
    Ok(text)
}
