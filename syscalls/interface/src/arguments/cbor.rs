//! The few CBOR items that arguments need, written in their shortest definite form.

/// Bytes of CBOR being written.
#[derive(Default)]
pub(crate) struct Cbor(pub(crate) Vec<u8>);

impl Cbor {
    fn head(&mut self, major: u8, n: u64) {
        let major = major << 5;
        match n {
            0..24 => self.0.push(major | n as u8),
            24..0x100 => self.0.extend([major | 24, n as u8]),
            0x100..0x1_0000 => {
                self.0.push(major | 25);
                self.0.extend((n as u16).to_be_bytes());
            }
            0x1_0000..0x1_0000_0000 => {
                self.0.push(major | 26);
                self.0.extend((n as u32).to_be_bytes());
            }
            _ => {
                self.0.push(major | 27);
                self.0.extend(n.to_be_bytes());
            }
        }
    }

    /// A whole number between -2^63 and 2^64-1; the caller has checked.
    pub(crate) fn integer(&mut self, n: i128) {
        debug_assert!((i64::MIN as i128..=u64::MAX as i128).contains(&n));
        if n >= 0 { self.head(0, n as u64) } else { self.head(1, (-1 - n) as u64) }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.head(2, bytes.len() as u64);
        self.0.extend(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.head(3, text.len() as u64);
        self.0.extend(text.as_bytes());
    }

    pub(crate) fn array(&mut self, items: usize) {
        self.head(4, items as u64);
    }

    pub(crate) fn map(&mut self, pairs: usize) {
        self.head(5, pairs as u64);
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.0.push(if value { 0xf5 } else { 0xf4 });
    }

    pub(crate) fn null(&mut self) {
        self.0.push(0xf6);
    }

    pub(crate) fn f32(&mut self, value: f32) {
        self.0.push(0xfa);
        self.0.extend(value.to_be_bytes());
    }

    pub(crate) fn f64(&mut self, value: f64) {
        self.0.push(0xfb);
        self.0.extend(value.to_be_bytes());
    }
}
