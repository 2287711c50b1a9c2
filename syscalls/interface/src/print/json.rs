//! Values for scripts.
//!
//! 1. What JSON has no word for becomes text: bytes as `0x..`, actors as addresses, numbers out of range in digits.

use ciborium::Value;
use serde_json::{Map, Number, Value as Json};

use super::{actor, hex, octets, one_pair};
use crate::syntax::{Field, Interface, Payload, Type};

/// `value` as JSON, typed by `ty`. `handles` are the actors that came beside it.
pub fn json(interface: Option<&Interface>, ty: &Type, value: &Value, handles: &[String]) -> Json {
    Printer { interface, handles }.value(ty, value)
}

struct Printer<'a> {
    interface: Option<&'a Interface>,
    handles: &'a [String],
}

impl Printer<'_> {
    fn value(&self, ty: &Type, value: &Value) -> Json {
        match (ty, value) {
            (_, Value::Null) => Json::Null,
            (Type::Option(of), value) => self.value(of, value),
            (Type::Result(of), value) => match one_pair(value) {
                Some(("Ok", inside)) => single("ok", self.value(of, inside)),
                Some(("Err", inside)) => single("err", self.value(&Type::Text, inside)),
                _ => self.value(of, value),
            },
            // Widening a float of 32 bits to 64 would show digits that nobody wrote.
            (Type::F32, Value::Float(n)) => number(format!("{:?}", *n as f32).parse().unwrap_or(*n)),
            (Type::F32 | Type::F64, Value::Integer(n)) => number(i128::from(*n) as f64),
            (Type::Actor, value) => actor(value, self.handles).map_or_else(|| self.any(value), Json::from),
            (Type::Bytes, Value::Array(items)) => match octets(items) {
                Some(bytes) => hex(&bytes).into(),
                None => self.any(value),
            },
            (Type::List(of), Value::Array(items)) => items.iter().map(|item| self.value(of, item)).collect(),
            (Type::Tuple(types), Value::Array(items)) if types.len() == items.len() => {
                types.iter().zip(items).map(|(ty, item)| self.value(ty, item)).collect()
            }
            (Type::Map(key, of), Value::Map(pairs)) => {
                let pairs = pairs.iter().map(|(k, v)| (self.key(key, k), self.value(of, v)));
                Json::Object(pairs.collect())
            }
            (Type::Named(name), value) => self.named(name, value).unwrap_or_else(|| self.any(value)),
            (_, value) => self.any(value),
        }
    }

    fn named(&self, name: &str, value: &Value) -> Option<Json> {
        let interface = self.interface?;
        if let Some(record) = interface.record(name) {
            return self.fields(&record.fields, value);
        }
        let of = interface.enumeration(name)?;
        let (name, inside) = one_pair(value)?;
        Some(match &of.variants.iter().find(|v| v.name == name)?.payload {
            Payload::Unit => return None,
            Payload::Tuple(types) => match types.as_slice() {
                [ty] => single(name, self.value(ty, inside)),
                types => single(name, self.value(&Type::Tuple(types.to_vec()), inside)),
            },
            Payload::Record(fields) => single(name, self.fields(fields, inside)?),
        })
    }

    fn fields(&self, fields: &[Field], value: &Value) -> Option<Json> {
        let Value::Map(pairs) = value else { return None };
        let mut out = Map::new();
        for (key, value) in pairs {
            let Value::Text(key) = key else { return None };
            let ty = fields.iter().find(|f| f.name == *key).map_or(&Type::Any, |f| &f.ty);
            out.insert(key.clone(), self.value(ty, value));
        }
        Some(Json::Object(out))
    }

    fn key(&self, ty: &Type, key: &Value) -> String {
        match self.value(ty, key) {
            Json::String(text) => text,
            other => other.to_string(),
        }
    }

    fn any(&self, value: &Value) -> Json {
        match value {
            Value::Bool(b) => (*b).into(),
            Value::Integer(n) => {
                let n = i128::from(*n);
                let exact = u64::try_from(n).map(Number::from).or_else(|_| i64::try_from(n).map(Number::from));
                exact.map_or_else(|_| n.to_string().into(), Json::Number)
            }
            Value::Float(n) => number(*n),
            Value::Text(text) => text.as_str().into(),
            Value::Bytes(bytes) => hex(bytes).into(),
            Value::Array(items) => items.iter().map(|item| self.any(item)).collect(),
            Value::Map(pairs) => {
                Json::Object(pairs.iter().map(|(k, v)| (self.key(&Type::Any, k), self.any(v))).collect())
            }
            Value::Tag(_, inside) => self.any(inside),
            _ => Json::Null,
        }
    }
}

fn single(key: &str, value: Json) -> Json {
    Json::Object(Map::from_iter([(key.to_owned(), value)]))
}

fn number(n: f64) -> Json {
    Number::from_f64(n).map_or_else(|| format!("{n:?}").into(), Json::Number)
}
