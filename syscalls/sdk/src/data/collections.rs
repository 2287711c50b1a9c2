//! Lists, maps, tuples.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    data::{Data, Malformed, Reader, Writer},
    prelude::*,
    schema::Type,
};

impl<T: Data> Data for Vec<T> {
    const TYPE: &'static Type = T::LIST;
    fn write(&self, out: &mut Writer) {
        T::write_list(self, out);
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        T::read_list(from)
    }
}

impl<T: Data> Data for VecDeque<T> {
    const TYPE: &'static Type = &Type::List(T::TYPE);
    fn write(&self, out: &mut Writer) {
        out.list(self.len());
        self.iter().for_each(|item| item.write(out));
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut items = VecDeque::new();
        from.items(|from| {
            items.push_back(T::read(from)?);
            Ok(())
        })?;
        Ok(items)
    }
}

impl<T: Data + Ord> Data for BTreeSet<T> {
    const TYPE: &'static Type = &Type::List(T::TYPE);
    fn write(&self, out: &mut Writer) {
        out.list(self.len());
        self.iter().for_each(|item| item.write(out));
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut items = BTreeSet::new();
        from.items(|from| {
            items.insert(T::read(from)?);
            Ok(())
        })?;
        Ok(items)
    }
}

impl<K: Data + Ord, V: Data> Data for BTreeMap<K, V> {
    const TYPE: &'static Type = &Type::Map(K::TYPE, V::TYPE);
    fn write(&self, out: &mut Writer) {
        out.map(self.len());
        for (key, value) in self {
            key.write(out);
            value.write(out);
        }
    }
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut map = BTreeMap::new();
        from.pairs(|from| {
            let key = K::read(from)?;
            map.insert(key, V::read(from)?);
            Ok(())
        })?;
        Ok(map)
    }
}

macro_rules! tuple {
    ($count:literal $($name:ident)*) => {
        impl<$($name: Data),*> Data for ($($name,)*) {
            const TYPE: &'static Type = &Type::Tuple(&[$($name::TYPE),*]);

            #[allow(non_snake_case)]
            fn write(&self, out: &mut Writer) {
                let ($($name,)*) = self;
                out.list($count);
                $($name.write(out);)*
            }
            fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
                from.row($count)?;
                Ok(($($name::read(from)?,)*))
            }
        }
    };
}
tuple!(1 A);
tuple!(2 A B);
tuple!(3 A B C);
tuple!(4 A B C D);
tuple!(5 A B C D E);
tuple!(6 A B C D E F);
